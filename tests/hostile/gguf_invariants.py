"""What must hold for every header that is accepted, however the file came to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.quants.ggml_types import tensor_bytes

if TYPE_CHECKING:
    from whatfits.sizing.readers.gguf import GgufHeader


def assert_sound(header: GgufHeader, file_bytes: int, *, complete: bool = True) -> None:
    """All sizes are exact non-negative integers inside the file, and nothing overlaps."""
    assert header.file_bytes == file_bytes
    assert type(header.alignment) is int
    assert header.alignment > 0
    assert header.data_offset_bytes % header.alignment == 0
    end = 0
    for tensor in sorted(header.tensors, key=lambda t: t.offset_bytes):
        assert type(tensor.n_bytes) is int
        assert tensor.n_bytes == tensor_bytes(tensor.type, tensor.shape) > 0
        assert tensor.offset_bytes % header.alignment == 0
        assert tensor.offset_bytes >= end
        end = tensor.offset_bytes + tensor.n_bytes
    if complete and header.tensors:
        assert header.data_offset_bytes + end <= file_bytes
    assert len({tensor.name for tensor in header.tensors}) == len(header.tensors)
    for length in header.array_lengths.values():
        assert 0 <= length <= file_bytes
