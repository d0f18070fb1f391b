"""Synthetic models: a GGUF with a real model's metadata and tensor table, and a hole for its data.

The file is sparse: a few kilobytes on disk whatever size it claims. llama.cpp plans memory for it
exactly as for the real model (dry run), because planning reads no weights.
Format: GGUF version 3, ggml docs/gguf.md.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import InvalidRequestError, MalformedFileError
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec, TensorSpec

__all__ = ["write_catalog_model", "write_synthetic_gguf", "write_synthetic_model"]

_ALIGNMENT: Final = 32
_CONTEXT_TOKENS: Final = 8192  # llama.cpp insists on one; nothing depends on it
_VERSION: Final = 3
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY, _UINT64 = 4, 5, 6, 7, 8, 9, 10


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _scalar(value: object) -> tuple[int, bytes]:
    """Return (GGUF value type, bytes) of a scalar."""
    match value:
        case bool():
            return _BOOL, struct.pack("<?", value)
        case int() if value > 2**32 - 1:
            return _UINT64, struct.pack("<Q", value)
        case int() if value < 0:
            return _INT32, struct.pack("<i", value)
        case int():
            return _UINT32, struct.pack("<I", value)
        case float():
            return _FLOAT32, struct.pack("<f", value)
        case str():
            return _STRING, _string(value)
        case _:
            raise TypeError(f"no GGUF type for {type(value).__name__}")


def _array(values: Sequence[object]) -> bytes:
    """Return an array of one scalar type; mixed integers become signed when one is negative."""
    items = [_scalar(value) for value in values]
    kinds = {kind for kind, _ in items}
    if kinds == {_UINT32, _INT32}:
        kind, data = _INT32, b"".join(struct.pack("<i", v) for v in values)
    elif len(kinds) <= 1:
        kind, data = next(iter(kinds), _UINT32), b"".join(raw for _, raw in items)
    else:
        raise TypeError("an array holds one type")
    return struct.pack("<IQ", kind, len(values)) + data


def _key_value(key: str, value: object) -> bytes:
    if isinstance(value, (list, tuple)):
        return _string(key) + struct.pack("<I", _ARRAY) + _array(value)
    kind, data = _scalar(value)
    return _string(key) + struct.pack("<I", kind) + data


def write_synthetic_gguf(
    path: Path, *, metadata: Mapping[str, object], tensors: Iterable[TensorSpec]
) -> int:
    """Write a sparse GGUF to `path` and return the bytes it claims to have.

    Tensor data is a hole: reading it gives zeros. Tensors are laid out in the given order, each
    padded to 32 bytes.
    """
    specs = tuple(tensors)
    infos = bytearray()
    offset = 0
    for spec in specs:
        ggml_type = GGML_TYPES[spec.type]
        infos += _string(spec.name) + struct.pack("<I", len(spec.shape))
        infos += struct.pack(f"<{len(spec.shape)}Q", *spec.shape)
        infos += struct.pack("<IQ", ggml_type.id, offset)
        offset += pad(spec.n_bytes, _ALIGNMENT)
    header = b"GGUF" + struct.pack("<IQQ", _VERSION, len(specs), len(metadata))
    header += b"".join(_key_value(key, value) for key, value in metadata.items())
    header += bytes(infos)
    header += b"\0" * (pad(len(header), _ALIGNMENT) - len(header))
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + offset)
    return len(header) + offset


def write_synthetic_model(path: Path, spec: ModelSpec) -> ModelSpec:
    """Write a model as a sparse GGUF that llama.cpp accepts; return it as it was written.

    Blocks that predict further tokens are no part of most specs, so they are left out of the file.
    """
    n_layers = spec.n_layers
    metadata = dict(spec.metadata)
    metadata[f"{spec.architecture}.block_count"] = n_layers
    metadata.pop(f"{spec.architecture}.nextn_predict_layers", None)
    n_blocks = spec.metadata.get(f"{spec.architecture}.block_count", n_layers)
    for key, value in metadata.items():
        if isinstance(value, (list, tuple)) and len(value) == n_blocks:
            metadata[key] = value[:n_layers]
    # llama.cpp loads some tensors of such a block along with the model
    tensors = tuple(tensor for tensor in spec.tensors if (tensor.layer or 0) < n_layers)
    _write(path, spec.architecture, metadata, tensors)
    return replace(spec, tensors=tensors, hparams=replace(spec.hparams, n_layer_nextn=0))


def write_catalog_model(path: Path, model: str, *, file_type: str) -> ModelSpec:
    """Write a catalog model whole, unloaded blocks included; return its spec.

    Raises:
        BadInputError: no such model or file type, or no tensor table for it.
    """
    from whatfits.sizing.architectures.config_spec import config_file  # noqa: PLC0415 - reads a family
    from whatfits.sizing.catalog.lookup import find_model  # noqa: PLC0415 - reads the catalog
    from whatfits.sizing.sources.catalog_model import load_catalog_model  # noqa: PLC0415 - same

    entry = find_model(model)
    spec = load_catalog_model(model, file_type=file_type)
    try:
        metadata, tensors = config_file(entry.config, file_type=file_type)
    except MalformedFileError as error:
        raise InvalidRequestError(
            what="model to write without weights",
            got=entry.id,
            allowed="one whose whole shape is in the catalog",
            next_step=f"of this one it lacks {', '.join(entry.unknown)}; give its .gguf file",
        ) from error
    # what no configuration says (how rows are pooled) is in the model's metadata alone
    _write(path, spec.architecture, {**spec.metadata, **metadata}, tensors)
    return spec


def _write(
    path: Path,
    architecture: str,
    metadata: Mapping[str, object],
    tensors: Sequence[TensorSpec],
) -> None:
    kinds = next((t.shape[1] for t in tensors if t.name == "token_types.weight"), 1)
    needed = {
        f"{architecture}.context_length": _CONTEXT_TOKENS,
        "tokenizer.ggml.token_type_count": kinds,
    }
    write_synthetic_gguf(
        path,
        metadata={**needed, **metadata, "tokenizer.ggml.model": "none"},
        tensors=tensors,
    )
