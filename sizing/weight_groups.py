"""Tensors that always lie together, and the part of a file that they cover.

Source: llama.cpp (0c1e57098) src/llama-model.cpp:load_tensors, src/llama-model-loader.cpp
(get_mapping_range), ggml/src/ggml-backend.cpp for what an offloaded operation copies.
"""

from __future__ import annotations

from whatfits.sizing.model import FullAttention
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.placement import expert_layer
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from whatfits.sizing.model import ModelSpec, TensorSpec

__all__ = ["EXPERTS", "WeightGroup", "groups_of", "sharing_layers", "spans_of", "union_bytes"]

EXPERTS: Final = "exps.weight"
# Only layers without a window read the shared rotation factors. Source: src/models/gemma4.cpp.
_SHARED_BY_FULL_LAYERS: Final = frozenset({"gemma4"})


class WeightGroup(NamedTuple):
    """Tensors that always lie together: same role, layer and kind of weight.

    Attributes:
        role: which device they follow.
        layer: their layer.
        tensors: the tensors.
        n_bytes: bytes of their data.
        streamed_bytes: what an offloaded operation copies of them: the expert stacks, or one
            matrix.
    """

    role: str
    layer: int | None
    tensors: tuple[TensorSpec, ...]
    n_bytes: int
    streamed_bytes: int


def groups_of(model: ModelSpec, *, singly: bool) -> tuple[WeightGroup, ...]:
    """Return the tensors of a model in groups; `singly`: every tensor is one of its own."""
    grouped: dict[tuple[object, ...], list[TensorSpec]] = {}
    for tensor in model.tensors:
        # biases of experts go with them, but are no matrices that a token reads a share of
        experts = (EXPERTS in tensor.name, expert_layer(tensor.name) is not None)
        key: tuple[object, ...] = (tensor.role, tensor.layer, *experts)
        if singly:
            key = (*key, tensor.name)
        grouped.setdefault(key, []).append(tensor)
    return tuple(
        WeightGroup(
            tensors[0].role,
            tensors[0].layer,
            tuple(tensors),
            sum([tensor.n_bytes for tensor in tensors]),
            _streamed(tensors),
        )
        for tensors in grouped.values()
    )


def _streamed(tensors: Sequence[TensorSpec]) -> int:
    """Return what an offloaded operation copies of a group: its expert stacks, or one matrix."""
    if tensors[0].role == "input":
        return 0
    sizes = [tensor.n_bytes for tensor in tensors if len(tensor.shape) > 1]
    experts = [tensor.n_bytes for tensor in tensors if EXPERTS in tensor.name]
    return max(sum(experts), max(sizes, default=0))


def sharing_layers(model: ModelSpec) -> tuple[int, ...] | None:
    """Return the layers that read the shared tensors; None for every layer."""
    layers = model.layers
    if model.architecture not in _SHARED_BY_FULL_LAYERS:
        return None
    owners = [
        i if layer.cache_layer is None else layer.cache_layer for i, layer in enumerate(layers)
    ]
    full = [isinstance(layers[owner].attention, FullAttention) for owner in owners]
    return tuple(index for index, is_full in enumerate(full) if is_full)


def spans_of(tensors: Iterable[TensorSpec]) -> dict[int, tuple[int, int]]:
    """Return the first and the last byte of tensors in each file; unknown places are left out."""
    spans: dict[int, tuple[int, int]] = {}
    for tensor in tensors:
        start = tensor.offset_bytes
        if start is not None:
            end = start + tensor.n_bytes
            first, last = spans.get(tensor.file_index, (start, end))
            spans[tensor.file_index] = (min(first, start), max(last, end))
    return spans


def union_bytes(spans: dict[tuple[str, int], tuple[int, int]]) -> int:
    """Return the bytes covered by spans of the same files, overlaps counted once."""
    by_file: dict[int, list[tuple[int, int]]] = {}
    for (_, file_index), span in spans.items():
        by_file.setdefault(file_index, []).append(span)
    covered = 0
    for parts in by_file.values():
        end_so_far = -1
        for start, end in sorted(parts):
            covered += max(0, end - max(start, end_so_far))
            end_so_far = max(end_so_far, end)
    return covered
