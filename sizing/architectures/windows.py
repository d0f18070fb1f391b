"""Which layers attend to a sliding window, and how long it is.

A window in the metadata is not enough: llama.cpp gives window layers their own short cache only
for the architectures listed here, and ignores or switches off the key for all others (llama,
mistral, phi3, qwen2, starcoder2 …), which then keep the full context in every layer.
Source: llama.cpp (0c1e57098) src/models/*.cpp load_arch_hparams, src/llama-hparams.cpp
set_swa_pattern.
"""

from __future__ import annotations

from whatfits.sizing.architectures.metadata import MAX_CONTEXT
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.architectures.metadata import Metadata

__all__ = ["Windows", "read_windows"]

_WINDOW: Final = "attention.sliding_window"
_PATTERN: Final = "attention.sliding_window_pattern"


class Windows(NamedTuple):
    """Window layers of a model.

    Attributes:
        tokens: length of the window; None when no layer has one.
        layers: one flag a layer, true for a window layer.
    """

    tokens: int | None
    layers: tuple[bool, ...]


class _Rule(NamedTuple):
    """How an architecture finds its window layers.

    Attributes:
        period: without a list in the file, every `period`-th layer is full (0: a list is needed).
        full_first: the full layer is the first of a period, not the last.
        needed: the file must give the window.
        builtin: window when the file gives none.
        fixed: window whatever number the file gives.
        zero_switches_off: a window of 0 means full attention everywhere (else an empty window).
    """

    period: int
    full_first: bool = False
    needed: bool = False
    builtin: int | None = None
    fixed: int | None = None
    zero_switches_off: bool = True


_RULES: Final = {
    "afmoe": _Rule(4),
    "cohere2": _Rule(4, needed=True),
    "cohere2moe": _Rule(4, full_first=True, needed=True),
    "dflash": _Rule(0),
    "dots3note": _Rule(0, needed=True),
    "exaone-moe": _Rule(4, needed=True),
    "exaone4": _Rule(4, builtin=4096, zero_switches_off=False),
    "gemma2": _Rule(2, builtin=4096, zero_switches_off=False),
    "gemma3": _Rule(6),
    "gemma3n": _Rule(5, needed=True),
    "gemma4": _Rule(0, needed=True),
    "gemma4-assistant": _Rule(0, needed=True),
    "gpt-oss": _Rule(2, needed=True),
    "granite_swa": _Rule(0, needed=True),
    "laguna": _Rule(4, full_first=True),
    "llama4": _Rule(4, builtin=8192, fixed=8192),
    "maple": _Rule(0, needed=True),
    "mellum": _Rule(4),
    "mimo2": _Rule(0, needed=True),
    "muse-glimmer": _Rule(4, needed=True),
    "olmo2": _Rule(4),
    "plamo3": _Rule(8),
    "smallthinker": _Rule(4, full_first=True, fixed=4096),
    "spark2_5": _Rule(0, needed=True),
    "step35": _Rule(0, needed=True),
}
# exaone4 uses windows in its 32B size only, which is told by its layer count.
_EXAONE4_LAYERS_WITH_WINDOW: Final = 64


def _periodic(rule: _Rule, period: int, n_layers: int) -> tuple[bool, ...]:
    """Return the flags of a repeating pattern; period 0 means a window in every layer."""
    if period == 0:
        return (True,) * n_layers
    full = 0 if rule.full_first else period - 1
    return tuple(layer % period != full for layer in range(n_layers))


def read_windows(
    metadata: Metadata, *, n_layers: int, n_layers_all: int, recurrent: Sequence[bool]
) -> Windows:
    """Return the window layers of an architecture; the flags cover `n_layers_all` layers.

    Raises:
        MalformedFileError: a window or a pattern that is needed is missing or out of range.
    """
    none = Windows(None, (False,) * n_layers_all)
    architecture = metadata.architecture
    tokens = metadata.optional(_WINDOW, high=MAX_CONTEXT)
    if architecture == "lfm2":
        # every attention layer, when there is a window at all
        if not tokens:
            return none
        layers = tuple(il < n_layers and not recurrent[il] for il in range(n_layers_all))
        return Windows(tokens, layers)
    rule = _RULES.get(architecture)
    if rule is None or (architecture == "exaone4" and n_layers != _EXAONE4_LAYERS_WITH_WINDOW):
        return none
    tokens = _window_tokens(metadata, rule, tokens)
    if tokens is None:
        return none
    flags = metadata.flags(_PATTERN, n_layers_all)
    if flags is None:
        period = metadata.optional(_PATTERN) if rule.period else None
        if not rule.period:
            raise metadata.error(_PATTERN, "missing", allowed="a list, one flag a layer")
        pattern = _periodic(rule, rule.period if period is None else period, n_layers)
        flags = pattern + (False,) * (n_layers_all - n_layers)
    return Windows(tokens, flags)


def _window_tokens(metadata: Metadata, rule: _Rule, given: int | None) -> int | None:
    if rule.needed:
        return metadata.integer(_WINDOW, low=0, high=MAX_CONTEXT)
    if given is None:
        return rule.builtin
    if given == 0 and rule.zero_switches_off:
        return None
    return rule.fixed or given
