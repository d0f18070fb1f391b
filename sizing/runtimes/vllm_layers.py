"""A model's layers as vLLM's cache planner sees them on one rank.

Source: vllm-project/vllm 0.33.0 vllm/v1/kv_cache_interface.py (pages), vllm/platforms/interface.py
(blocks of models with states), vllm/model_executor/layers/mamba/mamba_utils.py (states),
vllm/v1/attention/backends (blocks of latent caches), vllm/platforms/cuda.py
(_get_backend_priorities) and vllm/model_executor/models/config.py for rows of sparse attention.
"""

from __future__ import annotations

from whatfits.sizing.errors import UnsupportedArchitectureError
from whatfits.sizing.model import FullAttention, LatentAttention, SlidingWindow
from whatfits.sizing.quants.layouts.parts import F32, HALF, ceil_div
from whatfits.sizing.runtimes.vllm_kv_specs import CacheSpec, padded
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.model import LayerSpec, ModelSpec, RecurrentState
    from whatfits.sizing.runtimes.vllm_kv_specs import CacheKind

__all__ = [
    "SPARSE",
    "CacheRules",
    "cache_layers",
    "convolution_columns",
    "kv_heads_on_rank",
    "lone_group_rows",
    "refuse_unknown_caches",
    "state_bytes",
]

_BLOCK_TOKENS: Final = 16
_BEFORE_AND_AFTER: Final = 2  # what goes into a state and what comes out of it, of a group each
_LATENT_HYBRID_STEP: Final = 128
_SPARSE_FP8_ROW_BYTES: Final = 656  # fp8_ds_mla: 512, their scales, the rotary part in 16 bits
_SPARSE_BLOCK_TOKENS: Final = 64
_INDEX_ROW_BYTES: Final = 132
# Keeps keys and values in full, and beside those of its sparse layers a row of index keys; its
# kernels take blocks of this length. Source: vllm/models/minimax_m3/common/indexer.py.
_INDEXED: Final = "minimax-m3"
_INDEXED_BLOCK_TOKENS: Final = 128
_CHUNKED: Final = frozenset({"llama4"})
# The recurrent part of these is kept in 32 bits whatever the model's type is.
_STATES_IN_F32: Final = frozenset({"kimi-linear", "kimi-k3", "bailingmoe3"})
# So are these, unless their configuration says otherwise.
_STATES_IN_F32_BY_DEFAULT: Final = frozenset({"nemotron_h", "nemotron_h_moe"})
SPARSE: Final = frozenset({"deepseek32", "glm-dsa"})
# Nobody described here what vLLM keeps for these, or vLLM has no such model.
_UNKNOWN: Final = frozenset(
    {"deepseek4", "dots3note", "glm5-next", "hy_v4", "minimax-01", "qwen4exp"}
)
_NOT_IN_VLLM: Final = frozenset({"rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7", "bitnet"})


@dataclass(frozen=True, slots=True)
class CacheRules:
    """What fixes the size of a page beside the model.

    Attributes:
        ranks: tensor-parallel ranks.
        element_bytes: bytes of one cached element: 2, or 1 with an FP8 cache.
        latent_block_tokens: tokens of a block of latent rows, as the attention kernel wants it.
        states_in_f32: the recurrent part of a state is kept in 32 bits; None where the model's
            configuration does not say.
        plain_sparse_rows: rows that an indexer picks are kept in FP8 as they are, without scales.
        drafted_tokens: tokens drafted ahead: a state is kept after each of them, with as many more
            columns for its convolution.
    """

    ranks: int
    element_bytes: int
    latent_block_tokens: int = _BLOCK_TOKENS
    states_in_f32: bool | None = None
    plain_sparse_rows: bool = False
    drafted_tokens: int = 0


def refuse_unknown_caches(model: ModelSpec) -> None:
    """Refuse a model whose cache in vLLM is not known.

    Raises:
        UnsupportedArchitectureError: nothing sound can be said about its cache.
    """
    known = not any(layer.compressed for layer in model.layers) and not any(
        isinstance(layer.attention, SlidingWindow) and not layer.attention.value_width
        for layer in model.layers
    )
    if model.architecture in _UNKNOWN or not known:
        raise UnsupportedArchitectureError(
            what="architecture",
            got=model.architecture,
            allowed="one whose cache in vLLM is known",
            next_step="take --runtime llama.cpp",
        )
    if model.architecture in _NOT_IN_VLLM or not model.hparams.causal or not model.tensors:
        why = "a decoder with a known tensor table that vLLM loads"
        raise UnsupportedArchitectureError(
            what="architecture",
            got=model.architecture,
            allowed=why,
            next_step="take --runtime llama.cpp",
        )


def kv_heads_on_rank(heads: int, *, ranks: int) -> int:
    """Return the key/value heads of one rank: copied when there are more ranks than heads."""
    return max(1, heads // ranks)


def cache_layers(
    model: ModelSpec, layers: Sequence[LayerSpec], rules: CacheRules
) -> tuple[CacheSpec, ...]:
    """Return the pages of some of a model's layers on one rank, in their order.

    A layer that reads another one's cache has none. Beside states, the attention layers' blocks
    grow until a page holds a state, and the states' pages are padded to that.
    """
    found = [spec for layer in layers for spec in _layer(model, layer, rules)]
    states = [spec for spec in found if spec.kind == "state"]
    attending = [spec for spec in found if spec.kind != "state"]
    if not states or not attending:
        return tuple(found)
    largest_state = max(spec.page_bytes for spec in states)
    block_tokens = max(_hybrid_block(spec, largest_state) for spec in attending)
    found = [_aligned(spec, block_tokens) for spec in found]
    page_bytes = max(spec.page_bytes for spec in found if spec.kind != "state")
    return tuple(padded(s, page_bytes=page_bytes) if s.kind == "state" else s for s in found)


def _layer(model: ModelSpec, layer: LayerSpec, rules: CacheRules) -> Iterator[CacheSpec]:
    match layer.attention:
        case FullAttention(key_width=width) if model.architecture == _INDEXED:
            yield _pages("full", _token_bytes(layer, rules), _INDEXED_BLOCK_TOKENS)
            if index := width - layer.n_head_kv * layer.key_length:  # the same on every rank
                yield _pages("full", index * HALF, _INDEXED_BLOCK_TOKENS)
        case FullAttention():
            yield _pages("full", _token_bytes(layer, rules))
        case SlidingWindow():
            spec = _pages(
                "chunk" if model.architecture in _CHUNKED else "window", _token_bytes(layer, rules)
            )
            yield replace(spec, span_tokens=layer.attention.window_tokens)
        case LatentAttention():
            yield from _latent(model, layer.attention, rules)
        case None:
            pass
    if layer.recurrent is not None:
        kept = 1 + rules.drafted_tokens
        yield CacheSpec("state", _BLOCK_TOKENS, state_bytes(model, layer, rules), kept_states=kept)


def _token_bytes(layer: LayerSpec, rules: CacheRules) -> int:
    heads = kv_heads_on_rank(layer.n_head_kv, ranks=rules.ranks)
    return heads * (layer.key_length + layer.value_length) * rules.element_bytes


def _pages(kind: CacheKind, token_bytes: int, block_tokens: int = _BLOCK_TOKENS) -> CacheSpec:
    return CacheSpec(kind, block_tokens, block_tokens * token_bytes)


def _latent(model: ModelSpec, cache: LatentAttention, rules: CacheRules) -> Iterator[CacheSpec]:
    """Yield the latent rows, and the index rows of sparse attention: the same on every rank."""
    plain = (cache.key_width - cache.index_width) * rules.element_bytes
    if model.architecture not in SPARSE:
        yield _pages("latent", plain, rules.latent_block_tokens)
        return
    has_scales = rules.element_bytes < HALF and not rules.plain_sparse_rows
    yield _pages("latent", _SPARSE_FP8_ROW_BYTES if has_scales else plain, _SPARSE_BLOCK_TOKENS)
    if cache.index_width:
        yield _pages("latent", _INDEX_ROW_BYTES, _SPARSE_BLOCK_TOKENS)


def state_bytes(model: ModelSpec, layer: LayerSpec, rules: CacheRules) -> int:
    """Return the bytes of one request's state in a layer on one rank; 0 without a state."""
    state = layer.recurrent
    if state is None:
        return 0
    by_default = model.architecture in _STATES_IN_F32_BY_DEFAULT
    told = by_default if rules.states_in_f32 is None else rules.states_in_f32
    in_f32 = told or model.architecture in _STATES_IN_F32
    shifts = _shift_elements(model, state, rules.ranks) * HALF
    if rules.drafted_tokens:
        columns = convolution_columns(model)
        shifts = shifts // columns * (columns + rules.drafted_tokens)
    return shifts + ceil_div(state.state_elements, rules.ranks) * (F32 if in_f32 else HALF)


def _shift_elements(model: ModelSpec, state: RecurrentState, ranks: int) -> int:
    """Return the elements of the convolution's columns on one rank, which all have a lone group.

    Source: vllm-project/vllm 0.33.0 vllm/model_executor/layers/mamba/mamba_utils.py
    (extra_groups_for_head_shards).
    """
    copied = (ranks - 1) * lone_group_rows(model) * convolution_columns(model)
    return ceil_div(state.shift_elements + copied, ranks)


def lone_group_rows(model: ModelSpec) -> int:
    """Return the rows of what goes into and comes out of states that every rank has; 0 if cut."""
    groups, width = (
        model.metadata.get(f"{model.architecture}.ssm.{key}")
        for key in ("group_count", "state_size")
    )
    return _BEFORE_AND_AFTER * width if groups == 1 and isinstance(width, int) else 0


def convolution_columns(model: ModelSpec) -> int:
    """Return the earlier tokens that a state's convolution keeps a column of; 1 where not known."""
    kernel = model.metadata.get(f"{model.architecture}.ssm.conv_kernel")
    return kernel - 1 if isinstance(kernel, int) and kernel > 1 else 1


def _hybrid_block(spec: CacheSpec, state: int) -> int:
    """Return the tokens of a block whose page is at least a state."""
    step = spec.block_tokens
    if spec.kind == "latent":
        step = max(step, _LATENT_HYBRID_STEP)
    return pad(ceil_div(state, spec.page_bytes // spec.block_tokens), step)


def _aligned(spec: CacheSpec, block_tokens: int) -> CacheSpec:
    if spec.kind == "state":
        return replace(spec, block_tokens=block_tokens)
    token_bytes = spec.page_bytes // spec.block_tokens
    return replace(spec, block_tokens=block_tokens, page_bytes=block_tokens * token_bytes)
