"""Which storage type a file type's mix gives a tensor, by category: the rules as data.

A rule is a list of (conditions, type); the first whose conditions all hold decides, and when none
does the file type's default stays. Conditions about the model hold for a whole file; conditions
about the place hold for some of its tensors (`PLACES`).

Source: ggml-org/llama.cpp (commit 0c1e5709, 2026-10-01), src/llama-quant.cpp
(llama_tensor_get_type_impl, tensor_type_fallback), src/models/*.cpp (LLM_TYPE_70B). Checked type
by type against the dry run of `llama_model_quantize` (tests/sizing/quants/test_mixing_oracle.py).
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

    from whatfits.sizing.quants.tensor_classes import Category

__all__ = [
    "EIGHT_EXPERT_TYPE",
    "FALLBACK_TYPES",
    "LOW_BIT",
    "LOW_OUTPUT",
    "PLACES",
    "RULES",
    "RULES_FALCON",
    "SEVENTY_B_LAYERS",
    "SEVENTY_B_TYPES",
    "TOKEN_EMBEDDING_TYPES",
    "Rule",
]

Rule = tuple[tuple[tuple[str, ...], str], ...]
"""(conditions, type) pairs. About the model: `gqa4` four or more query heads share a key head,
`experts4` four or more experts, `experts8` exactly eight, `not_experts8`, `no_imatrix`,
`imatrix`. About the place: a key of `PLACES`."""

PLACES: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "first_2": lambda i, n: i < 2,  # noqa: ARG005, PLR2004 - the rule's own number
    "first_4": lambda i, n: i < 4,  # noqa: ARG005, PLR2004 - same
    "first_16th": lambda i, n: i < n // 16,
    "first_8th": lambda i, n: i < n // 8,
    # The first and last eighth, and every third in between.
    "more_bits": lambda i, n: i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2,  # noqa: PLR2004
    "middle": lambda i, n: n // 8 <= i < 7 * n // 8,
}
"""Condition → whether tensor `i` of `n` (or layer `i` of `n`) meets it."""

LOW_BIT: Final = frozenset({"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M"})
"""Mixes under three bits: they follow rules of their own throughout."""

LOW_OUTPUT: Final = LOW_BIT | {"IQ3_XXS"}
"""Mixes whose output matrix (or tied embedding) takes Q5_K instead of Q6_K."""

TOKEN_EMBEDDING_TYPES: Final[Mapping[str, str]] = {
    "IQ1_S": "Q2_K",
    "IQ1_M": "Q2_K",
    "IQ2_XXS": "Q2_K",
    "IQ2_XS": "Q2_K",
    "IQ2_S": "IQ3_S",
    "IQ2_M": "IQ3_S",
    "IQ3_XXS": "IQ3_S",
    "TQ1_0": "Q4_K",
    "TQ2_0": "Q4_K",
    "Q2_0": "Q4_K",
}
"""File type → type of a token embedding that is not also the output; others: the default."""

EIGHT_EXPERT_TYPE: Final = "Q8_0"
"""Keys and values of a model with eight experts: small beside the experts, so kept wide."""

SEVENTY_B_LAYERS: Final[Mapping[str, int]] = {
    "llama": 80,
    "llama-embed": 80,
    "qwen2": 80,
    "deci": 80,
    "olmo": 80,
    "jais2": 68,
}
"""Architecture → layer count at which llama.cpp calls a model 70B."""

SEVENTY_B_TYPES: Final[Mapping[str, str]] = {"Q3_K": "Q5_K", "Q4_K": "Q5_K"}
"""Attention values of a 70B model: eight query heads share each, so one step up costs little."""

FALLBACK_TYPES: Final[Mapping[str, str]] = {
    "IQ1_S": "IQ4_NL",
    "IQ1_M": "IQ4_NL",
    "IQ2_XXS": "IQ4_NL",
    "IQ2_XS": "IQ4_NL",
    "IQ2_S": "IQ4_NL",
    "IQ3_XXS": "IQ4_NL",
    "IQ3_S": "IQ4_NL",
    "IQ4_XS": "IQ4_NL",
    "Q2_0": "Q4_0",
    "Q2_K": "Q4_0",
    "Q3_K": "Q4_0",
    "TQ1_0": "Q4_0",
    "TQ2_0": "Q4_0",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
"""Type → type with a shorter block, for rows that are not a whole number of blocks."""

_ALWAYS: Final = ()
_GQA4: Final = ("gqa4",)


def _always(type_name: str) -> Rule:
    return ((_ALWAYS, type_name),)


_LOW_V_Q2: Final[Rule] = ((_GQA4, "Q4_K"), (("experts4",), "Q4_K"), (_ALWAYS, "Q2_K"))
_LOW_V_Q3: Final[Rule] = ((_GQA4, "Q4_K"), (("experts4",), "Q4_K"), (_ALWAYS, "IQ3_S"))
_ATTENTION_V: Final[Mapping[str, Rule]] = {
    "IQ1_S": _LOW_V_Q2,
    "IQ1_M": _LOW_V_Q2,
    "IQ2_XXS": _LOW_V_Q2,
    "IQ2_XS": _LOW_V_Q2,
    "IQ2_S": _LOW_V_Q3,
    "IQ2_M": _LOW_V_Q3,
    "Q2_K": ((_GQA4, "Q4_K"), (_ALWAYS, "Q3_K")),
    "Q2_K_S": ((_GQA4, "Q4_K"),),
    "IQ3_XXS": ((_GQA4, "Q4_K"), (("no_imatrix",), "IQ3_S")),
    "IQ3_XS": ((_GQA4, "Q4_K"),),
    "IQ3_S": ((_GQA4, "Q4_K"),),
    "IQ3_M": _always("Q4_K"),
    "Q3_K_M": ((("first_2",), "Q5_K"), (_ALWAYS, "Q4_K")),
    "Q3_K_L": _always("Q5_K"),
    "IQ4_NL": ((_GQA4, "Q5_K"),),
    "IQ4_XS": ((_GQA4, "Q5_K"),),
    "Q4_K_S": ((("first_4",), "Q5_K"),),
    "Q4_K_M": ((("more_bits",), "Q6_K"),),
    "Q5_K_M": ((("more_bits",), "Q6_K"),),
}

_LOW_K: Final[Rule] = ((("experts8",), "Q4_K"),)
_ATTENTION_K: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(LOW_BIT, _LOW_K),
    "IQ3_XS": _always("IQ3_XXS"),
    "IQ3_XXS": _always("IQ2_S"),
}
_ATTENTION_Q: Final[Mapping[str, Rule]] = {
    "IQ3_XS": _always("IQ3_XXS"),
    "IQ3_XXS": _always("IQ2_S"),
}

_EIGHT_Q5: Final = (("experts8",), "Q5_K")
_OTHERWISE: Final = ("not_experts8",)
_ATTENTION_OUTPUT: Final[Mapping[str, Rule]] = {
    "IQ1_S": (_EIGHT_Q5, (_ALWAYS, "IQ2_XXS")),
    "IQ1_M": (_EIGHT_Q5, (_ALWAYS, "IQ2_XXS")),
    "IQ2_XXS": (_EIGHT_Q5,),
    "IQ2_XS": (_EIGHT_Q5,),
    "IQ2_S": (_EIGHT_Q5, (_ALWAYS, "IQ3_S")),
    "IQ2_M": (_EIGHT_Q5, (_ALWAYS, "IQ3_S")),
    "Q2_K": (_EIGHT_Q5, (_ALWAYS, "Q3_K")),
    "IQ3_XXS": (_EIGHT_Q5, (_ALWAYS, "IQ3_S")),
    "IQ3_XS": (_EIGHT_Q5,),
    "IQ3_S": (_EIGHT_Q5,),
    "IQ3_M": (_EIGHT_Q5, (_ALWAYS, "Q4_K")),
    "Q3_K_S": (_EIGHT_Q5,),
    "Q3_K_M": (_EIGHT_Q5, (_ALWAYS, "Q4_K")),
    "Q3_K_L": ((_OTHERWISE, "Q5_K"),),
    "IQ4_NL": (_EIGHT_Q5,),
    "IQ4_XS": (_EIGHT_Q5,),
    "Q4_K_S": (_EIGHT_Q5,),
    "Q4_K_M": (_EIGHT_Q5,),
}

_LOW_DOWN_Q2: Final[Rule] = ((("first_8th",), "Q2_K"),)
_LOW_DOWN_Q3: Final[Rule] = ((("first_8th",), "IQ3_S"),)
_FFN_DOWN: Final[Mapping[str, Rule]] = {
    "IQ1_S": _LOW_DOWN_Q2,
    "IQ1_M": _LOW_DOWN_Q2,
    "IQ2_XXS": _LOW_DOWN_Q2,
    "IQ2_XS": _LOW_DOWN_Q2,
    "IQ2_S": _LOW_DOWN_Q3,
    "IQ2_M": _LOW_DOWN_Q3,
    "Q2_K": _always("Q3_K"),
    "Q2_K_S": ((("first_8th",), "Q4_K"),),
    "IQ3_XXS": ((("no_imatrix", "first_8th"), "Q4_K"), (("no_imatrix",), "Q3_K")),
    "Q3_K_M": ((("first_16th",), "Q5_K"), (_ALWAYS, "Q4_K")),
    "IQ3_M": ((("first_8th",), "Q4_K"), (("experts8", "more_bits"), "Q4_K")),
    "Q3_K_L": _always("Q5_K"),
    "Q4_K_M": ((("more_bits",), "Q6_K"),),
    "IQ4_NL": ((("no_imatrix", "first_8th"), "Q5_K"),),
    "IQ4_XS": ((("no_imatrix", "first_8th"), "Q5_K"),),
    "Q5_K_M": ((("more_bits",), "Q6_K"),),
    "Q4_K_S": ((("first_8th",), "Q5_K"),),
    "Q4_0": ((("imatrix", "first_8th"), "Q4_1"),),
    "Q5_0": ((("imatrix", "first_8th"), "Q5_1"),),
}

_FFN_IN: Final[Mapping[str, Rule]] = {"IQ3_XS": ((("middle",), "IQ3_XXS"),)}

RULES: Final[Mapping[Category, Mapping[str, Rule]]] = {
    "attention_v": _ATTENTION_V,
    "attention_k": _ATTENTION_K,
    "attention_q": _ATTENTION_Q,
    "attention_output": _ATTENTION_OUTPUT,
    "ffn_down": _FFN_DOWN,
    "ffn_gate": _FFN_IN,
    "ffn_up": _FFN_IN,
}
"""Category → file type → rule; no entry: the default type."""

RULES_FALCON: Final[Mapping[Category, Mapping[str, Rule]]] = {
    "attention_output": {
        **{name: rule for name, rule in _ATTENTION_OUTPUT.items() if name in LOW_BIT},
        "Q3_K_L": _always("Q4_K"),
    },
    "ffn_down": {
        **_FFN_DOWN,
        "Q3_K_M": ((("first_16th",), "Q5_K"), (("more_bits",), "Q4_K")),
        "Q3_K_L": _always("Q4_K"),
        "Q4_K_M": ((("first_16th",), "Q6_K"), (("more_bits",), "Q5_K")),
        "Q4_K_S": (),
    },
}
"""Falcon's exceptions: these categories are looked up here instead."""
