"""Encoders without a cache: BERT, XLM-RoBERTa (as `bert`), Nomic BERT, Jina's.

Source: llama.cpp src/models/bert.cpp.
"""

from __future__ import annotations

from whatfits.sizing.graph.attention import Attention, Heads
from whatfits.sizing.graph.stack import Step
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["GRAPHS"]

_LEARNED_POSITIONS: Final = frozenset({"bert"})
_ROTARY: Final = frozenset({"nomic-bert", "nomic-bert-moe", "jina-bert-v3"})


def _embedded(c: GraphContext, positions: Tensor) -> Tensor:
    """Return embedded tokens of the first kind, at their positions, normalised."""
    whole = c.whole
    x = c.input_embedding(whole.need("token_embd.weight"))
    kinds = whole("token_types.weight")
    if kinds is not None:
        x = c.like("ADD", x, c.view(kinds, (kinds.ne[0],)))
    if c.model.architecture in _LEARNED_POSITIONS:
        x = c.like("ADD", c.get_rows(whole.need("position_embd.weight"), positions), x)
    norm, bias = whole("token_embd_norm.weight"), whole("token_embd_norm.bias")
    return c.norm(x, norm, bias, rms=False, layer=0)


def _heads(step: Step, x: Tensor) -> Heads:
    c, spec = step.c, step.c.spec(step.layer)
    heads = step.attention.project(x, step.part, step.layer)
    made = []
    for y, name, count in (
        (heads.q, "attn_q_norm", spec.n_head),
        (heads.k, "attn_k_norm", spec.n_head_kv),
    ):
        assert y is not None
        if step.part(f"{name}.weight") is not None:
            flat = c.reshape(y, spec.key_length * count, c.n_tokens)
            flat = step.norm(flat, name, rms=False)
            y = c.reshape(flat, spec.key_length, count, c.n_tokens)  # noqa: PLW2901
        rotary = c.model.architecture in _ROTARY
        made.append(c.like("ROPE", y, step.positions) if rotary else y)
    return Heads(made[0], made[1], heads.v)


def _feed(step: Step, x: Tensor) -> Tensor:
    c, part = step.c, step.part
    if part("ffn_gate_inp.weight") is not None:
        used = c.model.hparams.n_expert_used
        scale = c.metadata("expert_weights_scale")
        return c.experts(x, part, n_used=used, normalised=False, scale=scale, activation="act")
    up = part.need("ffn_up.weight")
    halves = part("ffn_gate.weight") is None and up.ne[1] != part.need("ffn_down.weight").ne[0]
    return c.feed_forward(x, part, activation="fused_glu" if halves else "glu")


def _encoder(c: GraphContext) -> None:
    """Norms come after what they normalise: the sum of attention, of the feed-forward part."""
    positions = c.input_positions()
    x = _embedded(c, positions)
    attention = Attention(c)
    mask = c.input("F16" if c.settings.flash_attention else "F32", c.n_tokens, c.n_tokens)
    out_ids = c.input_out_ids()
    for layer in c.layers:
        step = Step(c, attention, positions, layer, c.layer(layer))
        part = step.part
        y = attention.attend_within(
            _heads(step, x),
            mask,
            out=part("attn_output.weight"),
            out_bias=part("attn_output.bias"),
            out_scale=part("attn_output.scale"),
        )
        if layer == c.layers[-1]:
            y, x = c.get_rows(y, out_ids), c.get_rows(x, out_ids)
        y = step.norm(c.like("ADD", y, x), "attn_output_norm", rms=False)
        if part("attn_norm_2.weight") is not None:
            y = step.norm(c.like("ADD", y, x), "attn_norm_2", rms=False)
        x = step.norm(c.like("ADD", _feed(step, y), y), "layer_output_norm", rms=False)
    c.hand_out(x)


GRAPHS: Final[dict[str, Callable[[GraphContext], None]]] = dict.fromkeys(
    ("bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3"), _encoder
)
