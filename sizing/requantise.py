"""The same model under another file type: what `llama-quantize` would make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.model import TensorShape, TensorSpec
from whatfits.sizing.quants.file_layout import data_offsets, header_range
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.quants.mixing import MixFacts, assign_types
from whatfits.sizing.units import pad
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

__all__ = ["requantised"]

_ALIGNMENT: Final = 32
# Natively trained low-bit tensors are kept as they are: published files do the same, and making
# them smaller would quantise twice.
_KEPT_TYPES: Final = frozenset({"F32", "MXFP4", "NVFP4", "I8", "I16", "I32", "I64", "F64"})


def requantised(model: ModelSpec, file_type: str) -> ModelSpec:
    """Return `model` with the storage types a file type gives its tensors.

    Raises:
        UnknownFileTypeError: no such file type.
    """
    file_kind = find_file_type(file_type)
    shapes = tuple(_shape(tensor) for tensor in model.tensors)
    first = model.layers[0] if model.layers else None
    facts = MixFacts(
        n_layers_all=model.n_layers + model.hparams.n_layer_nextn,
        n_head=first.n_head if first else 0,
        n_head_kv=first.n_head_kv if first else 0,
        n_expert=model.hparams.n_expert,
    )
    types = assign_types(shapes, architecture=model.architecture, facts=facts, file_type=file_kind)
    sizes = [tensor_bytes(kind, shape.shape) for shape, kind in zip(shapes, types, strict=True)]
    offsets = data_offsets([tensor.name for tensor in model.tensors], sizes)
    tensors = tuple(
        # in the order of its fields: as many as this are not made by name in the same time
        TensorSpec(tensor.name, tensor.shape, chosen, n_bytes, tensor.role, tensor.layer, 0, offset)
        for tensor, chosen, n_bytes, offset in zip(
            model.tensors, types, sizes, offsets, strict=True
        )
    )
    return replace(
        model,
        tensors=tensors,
        file_type=file_kind.name,
        file_bytes=sum(pad(n_bytes, _ALIGNMENT) for n_bytes in sizes),
        file_header=header_range(tensors, n_vocab=model.hparams.n_vocab),
    )


def _shape(tensor: TensorSpec) -> TensorShape:
    kept = tensor.type if tensor.type in _KEPT_TYPES else None
    return TensorShape(tensor.name, tensor.shape, kept)
