"""A model whose tensor table is not known: weights from parameters and bits, with an interval.

The bits a weight of a file type takes are those of the catalog's models whose tables are known
(`sizing/catalog/index/bits.json`, made by the catalog's build): least, median and most, dense
models and mixtures of experts apart. The cache comes from the plain fields of the configuration
where they say enough. A width nobody read is replaced by the most it can be, and the notes say so.
"""

from __future__ import annotations

from whatfits.sizing.architectures.metadata import MAX_LAYERS, MAX_WIDTH
from whatfits.sizing.errors import (
    InvalidRequestError,
    UnsupportedArchitectureError,
    printable,
)
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
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.file_layout import header_range
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

    from whatfits.sizing.model import AttentionCache

__all__ = ["ParameterRange", "approximate_spec", "bits_of", "named_parameters"]

_NOTE: Final = (
    "The tensor table of this architecture is not known yet: weights are parameters x bits, the "
    "cache is read from the configuration, both with an interval."
)
_NOT_LOADABLE: Final = (
    "llama.cpp (0c1e57098) has no such architecture: this version cannot load the model, and the "
    "figures are those of a file that does not exist yet."
)
# Configurations no model class of llama.cpp stands for. Source: src/llama-arch.cpp.
_WITHOUT_CLASS: Final = frozenset(
    {"kolibri1", "lfm3", "mistral_large4", "mllama", "olmo_hybrid", "phi3small"}
)
_CACHE_ERROR: Final = 0.25
_FULL: Final = frozenset({"full_attention", "attention", "full", "global"})
_WINDOW: Final = frozenset({"sliding_attention", "sliding", "chunked_attention", "local"})
_NONE: Final = frozenset({"moe", "mlp", "dense"})
_MARGIN: Final = 0.03  # beyond the range seen, because an unseen shape may lie outside it
_LARGEST_VOCABULARY: Final = 262_400  # gemma-3n, the largest of the catalog
_PARALLEL: Final = frozenset({"falcon_h1"})  # attention and state space side by side, every layer
_FEED_FORWARD_MATRICES: Final = 3


class ParameterRange(NamedTuple):
    """A count of parameters: three times the same where it was counted."""

    low: int
    mid: int
    high: int


def named_parameters(published: int) -> ParameterRange:
    """Return what the size in a model's name stands for, as far as names go by the catalog."""
    low, mid, high = _figures()["named_size"]
    return ParameterRange(*(round(published * factor) for factor in (low, mid, high)))


def approximate_spec(
    config: Mapping[str, Any],
    *,
    name: str,
    source: str,
    file_type: str,
    parameters: ParameterRange | None,
    active_parameters: int | None,
    origin: str,
    parameters_from: str = "its name",
) -> ModelSpec:
    """Return a model with an interval for its weights and a cache read from plain fields.

    `parameters_from` says where a range of parameters comes from.

    Raises:
        UnsupportedArchitectureError: the parameters or the layers are not known.
        UnknownFileTypeError: no such file type.
    """
    kind = find_file_type(file_type)
    config = _flattened(config)
    n_layers = _layer_count(config)
    n_embd = _whole(config, "hidden_size", "d_model", "n_embd")
    if not parameters or not n_layers or not n_embd:
        missing = "parameters" if not parameters else "num_hidden_layers or hidden_size"
        raise UnsupportedArchitectureError(
            what=f"shape of {name}: {missing} is not known",
            next_step="give a .gguf file of the model",
        )
    experts = _whole(config, "num_experts", "n_routed_experts", "num_local_experts") or 0
    weights = _weights(parameters, kind.name, parameters_from, is_moe=experts > 0)
    widest = parameters.high // (n_layers * n_embd * _FEED_FORWARD_MATRICES)
    layers = _layers(config, n_layers, n_embd, experts, widest_feed_forward=widest)
    hparams = _hparams(config, n_embd, experts)
    notes = [_NOTE]
    if str(config.get("model_type")) in _WITHOUT_CLASS:
        notes.append(_NOT_LOADABLE)
    elif unheard := _unconverted(config):
        notes.append(
            f"llama.cpp's converter knows no {unheard}: nothing here says that a GGUF of it can be "
            "made and loaded."
        )
    if _whole(config, "vocab_size") is None:
        notes.append(f"Its vocabulary was not read: logits are sized for {_LARGEST_VOCABULARY:,}.")
    return ModelSpec(
        name=name,
        source=source,
        architecture=str(config.get("model_type") or "unknown"),
        file_type=kind.name,
        file_bytes=weights.mid_bytes,
        tensors=(),
        layers=layers,
        hparams=hparams,
        parameters=parameters.mid,
        active_parameters=active_parameters,
        weights=weights,
        cache_interval=_CACHE_ERROR,
        notes=tuple(notes),
        origin=origin,
        file_header=header_range((), n_vocab=hparams.n_vocab),
    )


def _unconverted(config: Mapping[str, Any]) -> str:
    """Return the class of a configuration where the converter has none of its classes."""
    from whatfits.sizing.architectures.class_names import CONVERTED  # noqa: PLC0415 - rarely needed

    classes = config.get("architectures")
    named = [one for one in classes if isinstance(one, str)] if isinstance(classes, list) else []
    return printable(named[0]) if named and not CONVERTED.intersection(named) else ""


def bits_of(file_type: str, *, is_moe: bool) -> tuple[float, float, float]:
    """Return (least, median, most) bits a weight of a file type over the catalog.

    Raises:
        InvalidRequestError: no model's tensor types are known under it.
    """
    seen = _figures()["moe" if is_moe else "dense"]
    if file_type not in seen:
        raise InvalidRequestError(
            what="file type of a model whose tensor table is not known",
            got=file_type,
            allowed="types llama-quantize makes",
            next_step="give the .gguf file itself",
        )
    low, mid, high = seen[file_type]
    return low, mid, high


def _figures() -> Any:  # noqa: ANN401 - JSON
    from whatfits.sizing.catalog.index_file import read_json  # noqa: PLC0415 - on use

    return read_json("bits.json")


def _weights(
    parameters: ParameterRange, file_type: str, parameters_from: str, *, is_moe: bool
) -> ByteRange:
    low, mid, high = bits_of(file_type, is_moe=is_moe)
    is_range = parameters.low != parameters.high
    named = f"the parameters are those of {parameters_from}, " if is_range else ""
    return ByteRange(
        low_bytes=round(parameters.low * low * (1 - _MARGIN) / 8),
        mid_bytes=round(parameters.mid * mid / 8),
        high_bytes=round(parameters.high * high * (1 + _MARGIN) / 8),
        reason=f"no tensor table yet: {named}{low:.2f} to {high:.2f} bits a weight seen at "
        f"{file_type} over the catalog, {_MARGIN:.0%} more allowed",
    )


def _hparams(config: Mapping[str, Any], n_embd: int, experts: int) -> Hparams:
    return Hparams(
        n_embd=n_embd,
        n_vocab=_whole(config, "vocab_size") or _LARGEST_VOCABULARY,
        context_train_tokens=_whole(config, "max_position_embeddings"),
        n_expert=experts,
        n_expert_used=_whole(config, "num_experts_per_tok", "moe_k", "num_experts_per_token") or 0,
        n_ff_exp=_whole(config, "moe_intermediate_size") or 0,
    )


def _flattened(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration with Kimi's nested description of linear attention spread out.

    Its layers are counted from one.
    """
    nested = config.get("linear_attn_config")
    n_layers = _layer_count(config)
    listed = nested.get("full_attn_layers") if isinstance(nested, dict) else None
    if not isinstance(nested, dict) or n_layers is None or not isinstance(listed, (list, tuple)):
        return config
    full = {number for number in listed if isinstance(number, int)}
    return {
        "layer_types": [
            "full_attention" if number in full else "linear_attention"
            for number in range(1, n_layers + 1)
        ],
        "linear_num_key_heads": nested.get("num_heads"),
        "linear_num_value_heads": nested.get("num_heads"),
        "linear_key_head_dim": nested.get("head_dim"),
        "linear_value_head_dim": nested.get("head_dim"),
        "linear_conv_kernel_dim": nested.get("short_conv_kernel_size"),
        **config,
    }


def _wholes(listed: Sequence[object]) -> list[int]:
    return [one for one in listed if type(one) is int and 0 <= one <= MAX_WIDTH] or [0]


def _layer_count(config: Mapping[str, Any]) -> int | None:
    """Return the number of layers; None when there is none, or one that no model has."""
    n_layers = _whole(config, "num_hidden_layers", "n_layers", "num_layers", "n_layer")
    return n_layers if n_layers is not None and n_layers <= MAX_LAYERS else None


def _whole(config: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = config.get(name)
        if type(value) is int and 0 < value <= MAX_WIDTH:
            return value
    return None


def _layers(
    config: Mapping[str, Any],
    n_layers: int,
    n_embd: int,
    experts: int,
    *,
    widest_feed_forward: int,
) -> tuple[LayerSpec, ...]:
    heads = _whole(config, "num_attention_heads", "n_head") or 0
    kv_heads = _whole(config, "num_key_value_heads", "num_kv_heads") or heads
    length = _whole(config, "head_dim") or (n_embd // heads if heads else 0)
    value_length = _whole(config, "v_head_dim") or length
    width = config.get("intermediate_size")
    n_ff = max(_wholes(width)) if isinstance(width, (list, tuple)) else width
    if not n_ff and not experts:
        n_ff = widest_feed_forward
    parallel = str(config.get("model_type")) in _PARALLEL
    kinds = _kinds(config, n_layers)
    return tuple(
        LayerSpec(
            attention=_cache(config, kind, kv_heads * length, kv_heads * value_length),
            recurrent=_state(config, n_embd)
            if parallel or kind not in _FULL | _WINDOW | _NONE
            else None,
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
