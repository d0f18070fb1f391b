"""Weights by chance for a synthetic model: every block is one that its type could hold.

Speed does not depend on what weights say, as long as arithmetic stays among ordinary numbers: the
scales of a block are finite and chosen, everything else in it is random.
Source: block layouts in ggml/src/ggml-common.h, ggml-org/llama.cpp commit 0c1e5709.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final

from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing.errors import UnknownFileTypeError
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.units import MIB, pad

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from whatfits.sizing.model import TensorSpec

__all__ = ["FILLED_TYPES", "random_blocks", "write_random_gguf"]

# type → (where in its block a half-precision scale lies, its value) such that weights spread by
# 0.02 around zero: with larger ones attention would work with numbers too small to be normal,
# which processors handle many times slower.
_SCALES: Final = {
    "Q4_0": ((0, 4.3e-3),),
    "Q4_1": ((0, 4.3e-3), (2, -7.5 * 4.3e-3)),
    "Q5_0": ((0, 2.2e-3),),
    "Q5_1": ((0, 2.2e-3), (2, -15.5 * 2.2e-3)),
    "Q8_0": ((0, 2.7e-4),),
    "Q2_K": ((80, 1.5e-3), (82, 1.5 * 1.5e-3)),
    "Q3_K": ((108, 4.7e-4),),
    "Q4_K": ((0, 7.8e-5), (2, 7.5 * 7.8e-5)),
    "Q5_K": ((0, 3.8e-5), (2, 15.5 * 3.8e-5)),
    "Q6_K": ((208, 1.5e-5),),
    "IQ4_NL": ((0, 2.7e-4),),
    "IQ4_XS": ((0, 1.5e-5),),
}
_PLAIN: Final = ("F32", "F16", "BF16")
FILLED_TYPES: Final = (*_PLAIN, *_SCALES)
_SPREAD: Final = 0.02
_CHUNK_BYTES: Final = 4 * MIB  # repeated: nobody looks at weights twice
_ONES: Final = "ones"
_ALIGNMENT: Final = 32


def random_blocks(type_name: str, n_bytes: int, *, seed: int) -> NDArray[np.uint8]:
    """Return whole blocks of a storage type with random contents and finite scales.

    Raises:
        UnknownFileTypeError: its layout is not known here.
    """
    import numpy as np  # noqa: PLC0415 - heavy, and only where a model is filled

    if type_name not in FILLED_TYPES:
        raise UnknownFileTypeError(
            what="storage type to fill", got=type_name, allowed=", ".join(FILLED_TYPES)
        )
    chance = np.random.default_rng(seed)
    if type_name in _PLAIN:
        size = GGML_TYPES[type_name].block_bytes
        weights = chance.normal(0.0, _SPREAD, n_bytes // size).astype(np.float32)
        if type_name == "BF16":  # the upper half of a float32
            return np.ascontiguousarray(weights.view(np.uint8).reshape(-1, 4)[:, 2:]).reshape(-1)
        return weights.astype(np.float16 if type_name == "F16" else np.float32).view(np.uint8)
    block_bytes = GGML_TYPES[type_name].block_bytes
    blocks = chance.integers(0, 256, (n_bytes // block_bytes, block_bytes), dtype=np.uint8)
    for offset, scale in _SCALES[type_name]:
        blocks[:, offset : offset + 2] = np.array([scale], dtype=np.float16).view(np.uint8)
    return blocks.reshape(-1)


def write_random_gguf(
    path: Path, *, metadata: Mapping[str, object], tensors: Iterable[TensorSpec]
) -> int:
    """Write a GGUF whose weights are random, and return its bytes.

    One-dimensional tensors are ones: most of them scale a norm.

    Raises:
        UnknownFileTypeError: a tensor's type cannot be filled.
        OSError: it cannot be written.
    """
    specs = tuple(tensors)
    total = write_synthetic_gguf(path, metadata=metadata, tensors=specs)
    position = total - sum(pad(spec.n_bytes, _ALIGNMENT) for spec in specs)
    ready: dict[str, NDArray[np.uint8]] = {}
    with path.open("r+b") as file:
        for spec in specs:
            kind = _ONES if len(spec.shape) == 1 and spec.type == "F32" else spec.type
            if kind not in ready:
                ready[kind] = _chunk(kind)
            file.seek(position)
            _fill(file, ready[kind], spec.n_bytes)
            position += pad(spec.n_bytes, _ALIGNMENT)
    return total


def _chunk(kind: str) -> NDArray[np.uint8]:
    """Return what tensors of a kind are filled with, again and again."""
    if kind == _ONES:
        import numpy as np  # noqa: PLC0415 - as above

        return np.ones(_CHUNK_BYTES // 4, dtype=np.float32).view(np.uint8)
    block_bytes = GGML_TYPES[kind].block_bytes if kind in GGML_TYPES else 1
    return random_blocks(kind, _CHUNK_BYTES // block_bytes * block_bytes, seed=0)


def _fill(file: BinaryIO, chunk: NDArray[np.uint8], n_bytes: int) -> None:
    left = n_bytes
    while left > 0:
        part = chunk[: min(left, chunk.size)]
        file.write(part.data)
        left -= part.size
