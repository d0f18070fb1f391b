"""The numbers of a model that its cache and its graph are made of, layer by layer.

Source: llama.cpp (0c1e57098) src/llama-model.cpp load_hparams and the load_arch_hparams of
src/models/*.cpp that add layers.
"""

from __future__ import annotations

from whatfits.sizing.architectures.metadata import MAX_CONTEXT, MAX_EXPERTS, MAX_HEADS, MAX_LAYERS
from whatfits.sizing.architectures.states import RECURRENT, recurrent_layers
from whatfits.sizing.architectures.windows import Windows, read_windows
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

    from whatfits.sizing.architectures.metadata import Metadata

__all__ = ["Geometry", "read_geometry", "read_layer_counts"]

# No attention heads anywhere: state-space models, and the convolutional speech decoder.
_HEADLESS: Final = RECURRENT | {"wavtokenizer-dec"}


@dataclass(frozen=True, slots=True)
class Geometry:
    """Shapes of a model; every tuple has one entry a layer of `n_layers_all`.

    Attributes:
        n_embd: width of the residual stream.
        n_layers_all: blocks in the file.
        n_layers: blocks that are loaded (the rest predict further tokens).
        heads: query heads.
        heads_kv: key/value heads.
        key_lengths: elements of one head's key.
        value_lengths: elements of one head's value.
        feed_forward: width of the dense feed-forward part.
        windows: window layers.
        recurrent: layers that keep a state.
        context_train_tokens: context the model was trained for.
        n_expert: routed experts.
        n_expert_used: routed experts a token goes through.
    """

    n_embd: int
    n_layers_all: int
    n_layers: int
    heads: tuple[int, ...]
    heads_kv: tuple[int, ...]
    key_lengths: tuple[int, ...]
    value_lengths: tuple[int, ...]
    feed_forward: tuple[int, ...]
    windows: Windows
    recurrent: tuple[bool, ...]
    context_train_tokens: int | None
    n_expert: int
    n_expert_used: int


def read_layer_counts(
    metadata: Metadata, *, tensor_names: Collection[str] | None = None
) -> tuple[int, int]:
    """Return (blocks in the file, blocks that are loaded).

    Raises:
        MalformedFileError: the counts are missing, out of range, or contradict each other.
    """
    total = metadata.integer("block_count", high=MAX_LAYERS)
    nextn = metadata.optional("nextn_predict_layers", high=MAX_LAYERS) or 0
    if nextn > total:
        raise metadata.error("nextn_predict_layers", f"got {nextn}", allowed=f"up to {total}")
    if metadata.architecture == "deepseek4" and nextn and tensor_names is not None:
        # The predicting blocks count as ordinary ones when the file does not hold them.
        probe = f"blk.{total - nextn}.nextn.eh_proj.weight"
        nextn = nextn if probe in tensor_names else 0
    # A draft model may consist of predicting blocks alone; those are then the model.
    return total, total - nextn if nextn < total else total


def read_geometry(metadata: Metadata, *, tensor_names: Collection[str] | None = None) -> Geometry:
    """Return the shapes of a model.

    Raises:
        MalformedFileError: a value is missing, of the wrong kind, out of range, or contradicts
            another one.
    """
    total, loaded = read_layer_counts(metadata, tensor_names=tensor_names)
    n_embd = metadata.integer("embedding_length")
    heads, heads_kv = _heads(metadata, total)
    feed_forward = metadata.per_layer("feed_forward_length", total) or (0,) * total
    recurrent = recurrent_layers(
        metadata,
        n_layers=loaded,
        n_layers_all=total,
        heads_kv=heads_kv,
        feed_forward=feed_forward,
    )
    windows = read_windows(metadata, n_layers=loaded, n_layers_all=total, recurrent=recurrent)
    keys, values = _head_lengths(metadata, windows, n_embd=n_embd, n_head=heads[0])
    experts, used = _experts(metadata, total)
    return Geometry(
        n_embd=n_embd,
        n_layers_all=total,
        n_layers=loaded,
        heads=heads,
        heads_kv=heads_kv,
        key_lengths=keys,
        value_lengths=values,
        feed_forward=feed_forward,
        windows=windows,
        recurrent=recurrent,
        context_train_tokens=metadata.optional("context_length", low=1, high=MAX_CONTEXT),
        n_expert=experts,
        n_expert_used=used,
    )


def _heads(metadata: Metadata, n_layers: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return query heads and key/value heads, one each a layer."""
    headless = metadata.architecture in _HEADLESS
    key, key_kv = "attention.head_count", "attention.head_count_kv"
    heads = metadata.per_layer(key, n_layers, high=MAX_HEADS)
    if heads is None:
        if not headless:
            raise metadata.error(key, "missing", allowed=f"a whole number up to {MAX_HEADS:,}")
        heads = (0,) * n_layers
    if not headless and not any(heads):
        raise metadata.error(key, "got 0", allowed=f"a whole number from 1 to {MAX_HEADS:,}")
    heads_kv = metadata.per_layer(key_kv, n_layers, high=MAX_HEADS)
    if heads_kv is None:
        return heads, heads
    for layer, (query, shared) in enumerate(zip(heads, heads_kv, strict=True)):
        if shared > query and not headless:
            reason = f"layer {layer} has {shared:,} for {query:,} query heads"
            raise metadata.error(key_kv, reason, allowed="no more than attention.head_count")
    return heads, heads_kv


def _head_lengths(
    metadata: Metadata, windows: Windows, *, n_embd: int, n_head: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return key and value lengths, one each a layer; window layers may have their own."""
    default = n_embd // n_head if n_head else 0
    lengths: list[tuple[int, ...]] = []
    for kind in ("key", "value"):
        full = metadata.optional(f"attention.{kind}_length") if n_head else 0
        full = default if full is None else full
        if n_head and full == 0:
            reason = f"is 0: {n_head:,} heads in a width of {n_embd:,}"
            raise metadata.error(f"attention.{kind}_length", reason, allowed="at least 1")
        window = metadata.optional(f"attention.{kind}_length_swa")
        window = full if window is None else window
        lengths.append(tuple(window if flag else full for flag in windows.layers))
    return lengths[0], lengths[1]


def _experts(metadata: Metadata, n_layers: int) -> tuple[int, int]:
    """Return (routed experts, routed experts a token goes through)."""
    experts = metadata.optional("expert_count", high=MAX_EXPERTS) or 0
    used = metadata.per_layer("expert_used_count", n_layers, high=MAX_EXPERTS)
    most = max(used) if used else 0
    if metadata.architecture in ("hunyuan_vl", "hunyuan-dense") and experts <= 1:
        return 0, 0
    if most > experts:
        raise metadata.error("expert_used_count", f"got {most:,}", allowed=f"up to {experts:,}")
    if experts and not most:
        raise metadata.error("expert_used_count", "missing", allowed=f"from 1 to {experts:,}")
    return experts, most
