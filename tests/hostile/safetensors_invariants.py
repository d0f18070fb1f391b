"""What must hold for every safetensors header that is accepted, however the file came to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.readers.safetensors import DTYPE_BITS

if TYPE_CHECKING:
    from whatfits.sizing.readers.safetensors import SafetensorsHeader


def assert_sound(header: SafetensorsHeader, file_bytes: int, *, complete: bool = True) -> None:
    """All sizes are exact, and the tensors cover the data without hole or overlap."""
    assert header.file_bytes == file_bytes
    assert 8 < header.data_offset_bytes <= file_bytes
    end = 0
    for tensor in sorted(header.tensors, key=lambda t: (t.offset_bytes, t.n_bytes)):
        assert tensor.offset_bytes == end
        assert type(tensor.n_bytes) is int
        end += tensor.n_bytes
        if tensor.dtype in DTYPE_BITS:
            elements = 1
            for dimension in tensor.shape:
                assert type(dimension) is int
                assert dimension >= 0
                elements *= dimension
            assert tensor.n_bytes * 8 == elements * DTYPE_BITS[tensor.dtype]
    if complete:
        assert header.data_offset_bytes + end <= file_bytes
    assert len({tensor.name for tensor in header.tensors}) == len(header.tensors)
    assert header.tensor_bytes == end
    assert all(line.isprintable() for line in header.findings)
