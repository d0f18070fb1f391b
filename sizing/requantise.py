"""The same model under another file type: what `llama-quantize` would make of it."""

from __future__ import annotations

from whatfits.sizing.model import LayerSpec, TensorShape, TensorSpec
from whatfits.sizing.quants.file_layout import data_offsets, header_range
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.quants.mixing import MixFacts, assign_types
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec

__all__ = ["requantised"]

_ALIGNMENT: Final = 32
# Natively trained low-bit tensors are kept as they are: published files do the same, and making
# them smaller would quantise twice.
_KEPT_TYPES: Final = frozenset({"F32", "MXFP4", "NVFP4", "I8", "I16", "I32", "I64", "F64"})
# In a file of this type only gpt-oss has experts trained so: others were made from 16 bits.
_MADE, _TRAINED_SO = "MXFP4_MOE", "gpt-oss"


def requantised(model: ModelSpec, file_type: str) -> ModelSpec:
    """Return `model` with the storage types a file type gives its tensors.

    Raises:
        UnknownFileTypeError: no such file type.
    """
    file_kind = find_file_type(file_type)
    every = (*model.tensors, *model.prediction_tensors)  # llama-quantize counts both
    is_made = model.file_type == _MADE and model.architecture != _TRAINED_SO
    kept = _KEPT_TYPES - {"MXFP4"} if is_made else _KEPT_TYPES
    shapes = tuple(_shape(tensor, kept) for tensor in every)
    heads, heads_kv = _heads_of_the_first_layer(model)
    facts = MixFacts(
        n_layers_all=model.n_layers + model.hparams.n_layer_nextn,
        n_head=heads,
        n_head_kv=heads_kv,
        n_expert=model.hparams.n_expert,
    )
    types = assign_types(shapes, architecture=model.architecture, facts=facts, file_type=file_kind)
    sizes = [tensor_bytes(kind, shape.shape) for shape, kind in zip(shapes, types, strict=True)]
    offsets = data_offsets([tensor.name for tensor in every], sizes)
    tensors = tuple(
        # in the order of its fields: as many as this are not made by name in the same time
        TensorSpec(tensor.name, tensor.shape, chosen, n_bytes, tensor.role, tensor.layer, 0, offset)
        for tensor, chosen, n_bytes, offset in zip(every, types, sizes, offsets, strict=True)
    )
    return replace(
        model,
        tensors=tensors[: len(model.tensors)],
        prediction_tensors=tensors[len(model.tensors) :],
        file_type=file_kind.name,
        file_bytes=sum(pad(n_bytes, _ALIGNMENT) for n_bytes in sizes),
        file_header=header_range(tensors, n_vocab=model.hparams.n_vocab),
    )


def _heads_of_the_first_layer(model: ModelSpec) -> tuple[int, int]:
    """Return query and key/value heads as the header names them for it, be it recurrent or not."""
    first = model.layers[0] if model.layers else LayerSpec()
    heads = _first(model, "attention.head_count", other=first.n_head)
    return heads, _first(model, "attention.head_count_kv", other=first.n_head_kv or heads)


def _first(model: ModelSpec, key: str, *, other: int) -> int:
    """Return a value of the header for layer 0; the other where it is not known."""
    value = model.metadata.get(f"{model.architecture}.{key}")
    if isinstance(value, (list, tuple)):
        value = next(iter(value), None)
    return value if isinstance(value, int) else other


def _shape(tensor: TensorSpec, kept: frozenset[str]) -> TensorShape:
    return TensorShape(tensor.name, tensor.shape, tensor.type if tensor.type in kept else None)
