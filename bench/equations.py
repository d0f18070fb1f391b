"""The time of a step that was timed, as a sum of amounts times costs nobody knows yet.

The sums are those of the model of speed: decoding is bytes of weights by storage type, on a
processor rows of matrices by storage type, a cost a layer and a token, and at a depth bytes of
cache and operations of attention; a prompt is operations with weights by storage type, operations
of attention, the activations that layers pass on, and on an accelerator a cost a layer of each
batch and one a prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.bench.fitting import Equation
from whatfits.sizing.speed.terms import ACTIVATION_BYTES, ROW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.bench.micro import Measured

__all__ = [
    "ACTIVATIONS",
    "ATTENTION",
    "BATCH_TOKENS",
    "CACHE",
    "LAYER",
    "PROMPT_LAYER",
    "PROMPT_START",
    "TOKEN",
    "decode_equation",
    "prefill_equation",
]

LAYER, TOKEN, CACHE = "layer", "token", "cache"
ATTENTION, ACTIVATIONS, PROMPT_LAYER = "attention", "activations", "prompt_layer"
PROMPT_START = "prompt_start"
BATCH_TOKENS: Final = 512
"""That an accelerator computes at once."""
_FIRST_DEPTH: Final = 16  # where the first decoded token of a repeat stands


def decode_equation(measured: Measured, *, by_row: bool) -> Equation:
    """Return the time of one token as a sum, at the middle of the tokens that were decoded.

    With a cost a row (`by_row`): a processor's.
    """
    drawn, step = measured.drawn, measured.step
    depth = max(step.depth, _FIRST_DEPTH) + step.tokens / 2
    amounts: Mapping[str, float] = {
        **drawn.bytes_by_type,
        **({f"{ROW}.{name}": n for name, n in drawn.rows_by_type.items()} if by_row else {}),
        LAYER: drawn.shape.layers,
        TOKEN: 1.0,
        CACHE: depth * drawn.cache_bytes_per_token,
        ATTENTION: depth * drawn.attention_flops,
    }
    return Equation(amounts, measured.timing.median_seconds / step.tokens)


def prefill_equation(
    measured: Measured,
    *,
    by_layer: bool = False,
    by_width: bool = True,
    by_start: bool = False,
) -> Equation:
    """Return the time of a prompt as a sum; each of its tokens attends to all before it.

    With a cost a layer (`by_layer`), an accelerator's: what launching takes, whatever the width;
    with what layers pass on (`by_width`), so much a token; with a cost a prompt (`by_start`).
    """
    drawn, step = measured.drawn, measured.step
    pairs = step.tokens * step.depth + step.tokens * (step.tokens + 1) / 2
    wide = ACTIVATION_BYTES * drawn.shape.hidden * drawn.shape.layers
    batches = -(-step.tokens // BATCH_TOKENS)
    amounts: Mapping[str, float] = {
        **{name: step.tokens * flops for name, flops in drawn.flops_by_type.items()},
        ATTENTION: pairs * drawn.attention_flops,
        **({ACTIVATIONS: step.tokens * wide} if by_width else {}),
        **({PROMPT_LAYER: batches * drawn.shape.layers} if by_layer else {}),
        **({PROMPT_START: 1.0} if by_start else {}),
    }
    return Equation(amounts, measured.timing.median_seconds)
