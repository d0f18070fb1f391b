"""A GGUF file written from what a reader made of another: read again, it must say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf_builder as b

from whatfits.sizing.quants.ggml_types import GGML_TYPES

if TYPE_CHECKING:
    from whatfits.sizing.readers.gguf import GgufHeader

_KINDS = {bool: b.BOOL, float: b.FLOAT64, str: b.STRING}
_NOT_KEPT_STRINGS = 17  # from this length on a list of strings is only counted


class Hole:
    """A file that is a header and then a hole, as long as its tensors need."""

    def __init__(self, head: bytes, size_bytes: int) -> None:
        self.head = head
        self.size_bytes = size_bytes

    def read(self, offset: int, n: int) -> bytes:
        n = max(0, min(n, self.size_bytes - offset))
        return self.head[offset : offset + n].ljust(n, b"\0")


def rewritten(header: GgufHeader) -> Hole:
    """Return a file with the same values, array lengths and tensors.

    The widths of numbers are not kept by the reader: each is written as wide as it goes.
    """
    pairs = []
    for key, value in header.metadata.items():
        if key == "general.alignment":
            pairs.append(b.scalar(key, b.UINT32, value))
        elif isinstance(value, tuple):
            kind = _kind(max(value, key=_largest_last)) if value else b.UINT8
            pairs.append(b.array(key, kind, value))
        else:
            pairs.append(b.scalar(key, _kind(value), value))
    for key, length in header.array_lengths.items():
        if key not in header.metadata:
            pairs.append(_counted(key, length))
    rows = [
        b.tensor(t.name, t.shape, GGML_TYPES[t.type].id, t.offset_bytes) for t in header.tensors
    ]
    head = b.gguf(pairs, rows, alignment=header.alignment, version=header.version)
    data_bytes = max((t.offset_bytes + t.n_bytes for t in header.tensors), default=0)
    return Hole(head, len(head) + data_bytes)


def _largest_last(value: object) -> int:
    return value if type(value) is int else 0


def _kind(value: object) -> int:
    if type(value) is int:
        return b.UINT64 if value > 2**63 - 1 else b.INT64
    return _KINDS[type(value)]


def _counted(key: str, length: int) -> bytes:
    """An array whose values the reader does not keep."""
    if length >= _NOT_KEPT_STRINGS:
        return b.array(key, b.STRING, [b""] * length)
    return b.array(key, b.STRING, [b"x" * 1_025, *[b""] * (length - 1)])
