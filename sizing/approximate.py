"""A model whose tensor table is not known: weights from parameters and bits, with an interval.

The bits a weight of a file type takes are those of the catalog's models whose tables are known
(`sizing/catalog/index/bits.json`, made by the catalog's build): least, median and most. The cache
comes from the plain fields of the configuration where they say enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.errors import UnsupportedArchitectureError
from whatfits.sizing.model import (
    ByteRange,
    FullAttention,
    Hparams,
    LatentAttention,
    LayerSpec,
    ModelSpec,
    RecurrentState,
    SlidingWindow,
)
from whatfits.sizing.quants.file_types import find_file_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from whatfits.sizing.model import AttentionCache

__all__ = ["approximate_spec", "bits_of"]

_NOTE: Final = (
    "The tensor table of this architecture is not known yet: weights are parameters x bits, the "
    "cache is read from the configuration, both with an interval."
)
_CACHE_ERROR: Final = 0.25
_FULL: Final = frozenset({"full_attention", "attention", "full", "global"})
_WINDOW: Final = frozenset({"sliding_attention", "sliding", "chunked_attention", "local"})
_NONE: Final = frozenset({"moe", "mlp", "dense"})
_MARGIN: Final = 0.03  # beyond the range seen, because an unseen shape may lie outside it


def approximate_spec(
    config: Mapping[str, Any],
    *,
    name: str,
    source: str,
    file_type: str,
    parameters: int | None,
    active_parameters: int | None,
    origin: str,
) -> ModelSpec:
    """Return a model with an interval for its weights and a cache read from plain fields.

    Raises:
        UnsupportedArchitectureError: the parameters or the layers are not known.
        UnknownFileTypeError: no such file type.
    """
    kind = find_file_type(file_type)
    n_layers = _whole(config, "num_hidden_layers", "n_layers", "num_layers")
    n_embd = _whole(config, "hidden_size", "d_model", "n_embd")
    if not parameters or not n_layers or not n_embd:
        missing = "parameters" if not parameters else "num_hidden_layers or hidden_size"
        raise UnsupportedArchitectureError(
            what=f"shape of {name}: {missing} is not known",
            next_step="give a .gguf file of the model",
        )
    low, mid, high = bits_of(kind.stock_name)
    weights = ByteRange(
        low_bytes=round(parameters * low * (1 - _MARGIN) / 8),
        mid_bytes=round(parameters * mid / 8),
        high_bytes=round(parameters * high * (1 + _MARGIN) / 8),
        reason=f"no tensor table yet: {low:.2f} to {high:.2f} bits a weight seen at "
        f"{kind.name} over the catalog, {_MARGIN:.0%} more allowed",
    )
    experts = _whole(config, "num_experts", "n_routed_experts", "num_local_experts") or 0
    layers = _layers(config, n_layers, n_embd, experts)
    return ModelSpec(
        name=name,
        source=source,
        architecture=str(config.get("model_type") or "unknown"),
        file_type=kind.name,
        file_bytes=weights.mid_bytes,
        tensors=(),
        layers=layers,
        hparams=Hparams(
            n_embd=n_embd,
            n_vocab=_whole(config, "vocab_size") or 0,
            context_train_tokens=_whole(config, "max_position_embeddings"),
            n_expert=experts,
            n_expert_used=_whole(config, "num_experts_per_tok", "moe_k") or 0,
            n_ff_exp=_whole(config, "moe_intermediate_size") or 0,
        ),
        parameters=parameters,
        active_parameters=active_parameters,
        weights=weights,
        cache_interval=_CACHE_ERROR,
        notes=(_NOTE,),
        origin=origin,
    )


def bits_of(file_type: str) -> tuple[float, float, float]:
    """Return (least, median, most) bits a weight of a stock file type over the catalog."""
    from whatfits.sizing.catalog.index_file import read_json  # noqa: PLC0415 - on use

    low, mid, high = read_json("bits.json")["file_types"][file_type]
    return low, mid, high


def _whole(config: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = config.get(name)
        if type(value) is int and value > 0:
            return value
    return None


def _layers(
    config: Mapping[str, Any], n_layers: int, n_embd: int, experts: int
) -> tuple[LayerSpec, ...]:
    heads = _whole(config, "num_attention_heads", "n_head") or 0
    kv_heads = _whole(config, "num_key_value_heads", "num_kv_heads") or heads
    length = _whole(config, "head_dim") or (n_embd // heads if heads else 0)
    value_length = _whole(config, "v_head_dim") or length
    width = config.get("intermediate_size")
    n_ff = max(width) if isinstance(width, (list, tuple)) and width else width or 0
    kinds = _kinds(config, n_layers)
    return tuple(
        LayerSpec(
            attention=_cache(config, kind, kv_heads * length, kv_heads * value_length),
            recurrent=None if kind in _FULL | _WINDOW | _NONE else _state(config, n_embd),
            n_head=heads,
            n_head_kv=kv_heads,
            key_length=length,
            value_length=value_length,
            n_ff=n_ff if isinstance(n_ff, int) else 0,
            n_expert=experts,
        )
        for kind in kinds
    )


def _kinds(config: Mapping[str, Any], n_layers: int) -> Sequence[str]:
    for name in ("layer_types", "layers_block_type"):
        listed = config.get(name)
        if isinstance(listed, (list, tuple)) and len(listed) == n_layers:
            return [str(kind) for kind in listed]
    period = _whole(config, "full_attention_interval", "attn_layer_period")
    if period:
        return ["full_attention" if not (i + 1) % period else "linear" for i in range(n_layers)]
    return ["full_attention"] * n_layers


def _cache(
    config: Mapping[str, Any], kind: str, key_width: int, value_width: int
) -> AttentionCache | None:
    rank = _whole(config, "kv_lora_rank")
    if kind in _WINDOW:
        window = _whole(config, "sliding_window", "sliding_window_size", "attention_chunk_size")
        if window:
            return SlidingWindow(key_width, value_width, window)
        return FullAttention(key_width, value_width)
    if kind not in _FULL:
        return None
    if rank:
        return LatentAttention(rank + (_whole(config, "qk_rope_head_dim") or 0))
    return FullAttention(key_width, value_width) if key_width else None


def _state(config: Mapping[str, Any], n_embd: int) -> RecurrentState:
    """Return a state from whichever fields describe it; the interval covers the rest."""
    key_heads = _whole(config, "linear_num_key_heads") or 0
    value_heads = _whole(config, "linear_num_value_heads", "mamba_num_heads", "mamba_n_heads") or 0
    key = _whole(config, "linear_key_head_dim", "ssm_state_size", "mamba_d_state", "state_size")
    value = _whole(config, "linear_value_head_dim", "mamba_head_dim", "mamba_d_head") or 0
    inner = value_heads * value or n_embd * (_whole(config, "expand", "mamba_expand") or 2)
    kernel = _whole(config, "linear_conv_kernel_dim", "conv_kernel", "mamba_d_conv") or 4
    mixed = inner + 2 * key_heads * (key or 0)
    return RecurrentState((kernel - 1) * mixed, inner * (key or 16))
