"""What mlx-lm's caches take: tokens they hold room for, and bytes.

A cache of keys and values grows in steps of 256 tokens; when it is full at a length that is no
multiple of 256 it is cut to that length first. A rotating cache takes a prompt as it comes, up to
its window and a chunk, and is cut to the window by the first single token. A quantised one keeps a
scale and a bias a group. States of recurrent layers have a fixed size.
Source: ml-explore/mlx-lm 0.32.2 mlx_lm/models/cache.py, mlx_lm/generate.py (generate_step).
Error: none against 23 generations, at their start, midway and end (tests/golden).
"""

from __future__ import annotations

from whatfits.sizing.model import FullAttention, LatentAttention, SlidingWindow
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.runtimes.mlx_models import MlxModel

__all__ = [
    "GROWTH_STEP_TOKENS",
    "LayerCache",
    "chunks",
    "expanded_width",
    "grown_tokens",
    "layer_cache",
    "room_tokens",
]

GROWTH_STEP_TOKENS: Final = 256
_HALF_BITS: Final = 16
_BIASED_ROUTER: Final = "exp_probs_b"
_SCALE_AND_BIAS_BITS: Final = 32  # a group: two 16-bit numbers


class LayerCache(NamedTuple):
    """What one layer remembers, per sequence.

    Attributes:
        width: elements of one token, keys and values together; 0 when tokens are not kept.
        window_tokens: of a rotating cache; None when it grows.
        chunk_tokens: of a cache that is cut to a chunk before each prompt step; None otherwise.
        state_low_bytes: of a recurrent state, lower end.
        state_bytes: the same, upper end.
    """

    width: int = 0
    window_tokens: int | None = None
    chunk_tokens: int | None = None
    state_low_bytes: int = 0
    state_bytes: int = 0

    def token_bytes(self, tokens: int, *, bits: int | None = None, group: int = 64) -> int:
        """Return what room for `tokens` takes; `bits` None is 16, which has no groups."""
        elements = tokens * self.width
        if bits is None:
            return elements * _HALF_BITS // 8
        return elements * (bits * group + _SCALE_AND_BIAS_BITS) // (8 * group)


def layer_cache(layer: LayerSpec, rules: MlxModel, *, expanded: int | None) -> LayerCache:
    """Return what a layer remembers in mlx-lm.

    `expanded` is the width of a latent cache which the model keeps as whole keys and values of
    every head (DeepSeek V2); None when the latent row itself is kept.
    """
    state_low = state = 0
    if layer.recurrent is not None:
        shift = 2 * layer.recurrent.shift_elements
        least = 4 if rules.wide_states else 2
        state_low = shift + least * layer.recurrent.state_elements
        state = shift + 4 * layer.recurrent.state_elements
    cache = layer.attention
    if cache is None:
        return LayerCache(state_low_bytes=state_low, state_bytes=state)
    match cache:
        case LatentAttention():
            width = cache.key_width if expanded is None else expanded
        case FullAttention() | SlidingWindow():
            width = cache.key_width + cache.value_width
    window = cache.window_tokens if isinstance(cache, SlidingWindow) else None
    return LayerCache(
        width,
        window_tokens=window if rules.rotating else None,
        chunk_tokens=window if rules.chunked else None,
        state_low_bytes=state_low,
        state_bytes=state,
    )


def expanded_width(model: ModelSpec) -> int | None:
    """Return the elements a token takes where whole keys and values of every head are kept.

    mlx-lm's DeepSeek V2 does that; those that choose experts with a bias (V3 and later) keep the
    latent row. Source: mlx_lm/models/deepseek_v2.py, deepseek_v3.py.
    """
    if model.architecture != "deepseek2":
        return None
    shapes = {tensor.name.partition(".attn_")[2]: tensor.shape for tensor in model.tensors}
    if any(_BIASED_ROUTER in tensor.name for tensor in model.tensors):
        return None
    keys, values = shapes.get("k_b.weight"), shapes.get("v_b.weight")
    if keys is None or values is None:
        return None
    rotary = model.layers[0].key_length - model.hparams.kv_lora_rank
    return keys[2] * (keys[0] + rotary + values[1])


def chunks(prompt_tokens: int, step_tokens: int) -> Iterator[int]:
    """Yield the tokens of each step that reads a prompt; its last token is read by itself."""
    left = prompt_tokens - 1
    while left > 0:
        taken = min(step_tokens, left)
        yield taken
        left -= taken


def grown_tokens(room: int, length: int, written: int) -> int:
    """Return the room of a growing cache after `written` tokens more than its `length`."""
    if length + written <= room:
        return room
    kept = room if length % GROWTH_STEP_TOKENS == 0 else length
    return kept + -(-written // GROWTH_STEP_TOKENS) * GROWTH_STEP_TOKENS


def room_tokens(
    cache: LayerCache, *, prompt_tokens: int, written_tokens: int, step_tokens: int
) -> Iterator[int]:
    """Yield the room after each step of the prompt and, last, after all `written_tokens`.

    Each token is written as it is read: `written_tokens` counts the prompt's, and those of the
    answer.
    """
    room = length = 0
    for taken in chunks(prompt_tokens, step_tokens):
        if cache.window_tokens is not None:
            room = _rotated(room, length, taken, window=cache.window_tokens)
        else:
            if cache.chunk_tokens is not None and length > cache.chunk_tokens:
                room = length = cache.chunk_tokens
            room = grown_tokens(room, length, taken)
        length += taken
        yield room
    single = max(0, written_tokens - max(0, prompt_tokens - 1))
    if cache.window_tokens is not None:
        yield _rotated_singly(room, length, single, window=cache.window_tokens)
        return
    short = length + single - room
    last = room + max(0, -(-short // GROWTH_STEP_TOKENS)) * GROWTH_STEP_TOKENS
    if cache.chunk_tokens is not None:  # cut before every token: one step of growth beside it
        last = min(last, max(room, cache.chunk_tokens + GROWTH_STEP_TOKENS))
    yield last


def _rotated(room: int, length: int, taken: int, *, window: int) -> int:
    """Return what a rotating cache holds after a prompt step."""
    if taken == 1:
        return _rotated_singly(room, length, 1, window=window)
    return min(room, window - 1) + taken if room else taken


def _rotated_singly(room: int, length: int, taken: int, *, window: int) -> int:
    """Return what a rotating cache holds after `taken` steps of a single token."""
    if not taken:
        return room
    if room >= window:
        return window
    short = max(0, length + taken - room)
    return min(window, room + -(-short // GROWTH_STEP_TOKENS) * GROWTH_STEP_TOKENS)
