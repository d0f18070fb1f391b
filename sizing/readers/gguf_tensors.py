"""The tensor table of a GGUF header: exact sizes, and extents that lie in the file.

Source: ggml docs/gguf.md; block sizes in sizing/quants/ggml_types.py.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from operator import attrgetter

from whatfits.sizing.quants.ggml_types import GGML_TYPES_BY_ID, RETIRED_TYPE_IDS
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.errors import MalformedFileError
    from whatfits.sizing.readers.findings import Findings
    from whatfits.sizing.readers.gguf_scan import HeaderCursor

__all__ = [
    "MAX_DATA_BYTES",
    "MAX_TENSORS",
    "GgufTensor",
    "check_extents",
    "check_tensor_count",
    "read_tensors",
]

MAX_TENSORS: Final = 65_536  # published models have up to about 2,000; each takes 0.4 kB here
MAX_DATA_BYTES: Final = 2**50  # 1 PiB; the largest published model is near 2**41
_MAX_DIMENSIONS: Final = 4
_LLAMA_CPP_NAME_BYTES: Final = 63

_DIMENSION_COUNT: Final = struct.Struct("<I")
_REST: Final = tuple(struct.Struct(f"<{n}QiQ") for n in range(_MAX_DIMENSIONS + 1))
_DIMENSION_BYTES: Final = 8
_OFFSET_BYTES: Final = 8
_TYPE_AND_OFFSET_BYTES: Final = 4 + _OFFSET_BYTES
_SMALLEST_INFO_BYTES: Final = 8 + 1 + 4 + 8 + 4 + 8  # name of one letter, one dimension

LONG_NAME: Final = f"tensor name above the {_LLAMA_CPP_NAME_BYTES} bytes that llama.cpp takes"
ODD_NAME: Final = "tensor name with characters other than printable ASCII"
OUT_OF_ORDER: Final = "tensor data not in the order of the table (llama.cpp refuses that), first at"
GAP: Final = "unused bytes between tensors (llama.cpp refuses that), first before"


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor as the header describes it.

    Attributes:
        name: as in the file; not yet made printable.
        shape: dimensions, row length first.
        type: storage type, as `Q4_K`.
        n_bytes: exact bytes of its data.
        offset_bytes: where its data starts in its file's data section.
        file_index: which file of a split model holds it.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    n_bytes: int
    offset_bytes: int
    file_index: int = 0


def check_tensor_count(cursor: HeaderCursor, count: int) -> None:
    """Refuse a number of tensors that cannot be described in what remains.

    Raises:
        MalformedFileError: the count is above the limit or above what the bytes allow.
    """
    cursor.check_count(
        "number of tensors",
        count,
        most=MAX_TENSORS,
        smallest_bytes=_SMALLEST_INFO_BYTES,
        offset=8,
    )


def read_tensors(
    cursor: HeaderCursor, count: int, *, alignment: int, findings: Findings
) -> tuple[GgufTensor, ...]:
    """Return the `count` tensors whose descriptions start at the cursor.

    Raises:
        MalformedFileError: a description contradicts the format or does not fit in the file.
    """
    names: set[str] = set()
    tensors: list[GgufTensor] = []
    for index in range(count):
        cursor.owner = ("tensor", index)
        name = cursor.name("name")
        cursor.owner = ("tensor", name)
        if name in names:
            raise cursor.name_error("name", "appears twice", n_bytes=len(name.encode()))
        names.add(name)
        if len(name) > _LLAMA_CPP_NAME_BYTES or not (name.isascii() and name.isprintable()):
            _note_odd_name(name, findings)
        tensors.append(_read_tensor(cursor, name, alignment))
    cursor.owner = None
    return tuple(tensors)


def _note_odd_name(name: str, findings: Findings) -> None:
    if not (name.isascii() and name.isprintable()):
        findings.add(ODD_NAME, name)
    if len(name.encode()) > _LLAMA_CPP_NAME_BYTES:
        findings.add(LONG_NAME, name)


def _read_tensor(cursor: HeaderCursor, name: str, alignment: int) -> GgufTensor:
    (n_dimensions,) = cursor.unpack(_DIMENSION_COUNT, "number of dimensions")
    if not 1 <= n_dimensions <= _MAX_DIMENSIONS:
        raise cursor.error(
            "number of dimensions",
            f"is {n_dimensions:,}",
            allowed="1 to 4",
            offset=cursor.offset - _DIMENSION_COUNT.size,
        )
    *dimensions, type_id, offset = cursor.unpack(_REST[n_dimensions], "shape, type and offset")
    shape = tuple(dimensions)
    kind = GGML_TYPES_BY_ID.get(type_id)
    if kind is None:
        era = "retired" if type_id in RETIRED_TYPE_IDS else "unknown, perhaps of a newer llama.cpp"
        raise cursor.error(
            "storage type",
            f"has id {type_id:,} ({era})",
            allowed="the type ids of ggml that have a size",
            offset=cursor.offset - _TYPE_AND_OFFSET_BYTES,
        )
    blocks, rest = divmod(shape[0], kind.block_elements)
    n_bytes = blocks * kind.block_bytes
    for dimension in shape[1:]:
        n_bytes *= dimension
    if rest or not 0 < n_bytes <= MAX_DATA_BYTES:
        raise _bad_shape(cursor, shape, kind.name, kind.block_elements)
    if offset % alignment:
        raise cursor.error(
            "data offset",
            f"is {offset:,}",
            allowed=f"a multiple of {alignment}",
            offset=cursor.offset - _OFFSET_BYTES,
        )
    return GgufTensor(name, shape, kind.name, n_bytes, offset)


def _bad_shape(
    cursor: HeaderCursor, shape: tuple[int, ...], kind: str, block: int
) -> MalformedFileError:
    """Return the error for a shape that is empty, too large, or no whole number of blocks."""
    row = shape[0]
    if row % block:
        reason, allowed = f"a row has {row:,} elements of {kind}", f"a multiple of {block}"
    else:
        reason = "is " + " × ".join(f"{dimension:,}" for dimension in shape)
        allowed = f"no zero, and at most {MAX_DATA_BYTES:,} bytes of {kind}"
    start = cursor.offset - _TYPE_AND_OFFSET_BYTES - _DIMENSION_BYTES * len(shape)
    return cursor.error("shape", reason, allowed=allowed, offset=start)


def check_extents(
    cursor: HeaderCursor,
    tensors: tuple[GgufTensor, ...],
    *,
    data_offset_bytes: int,
    alignment: int,
    findings: Findings,
) -> int:
    """Return where the last tensor ends in the data section.

    Raises:
        MalformedFileError: tensors overlap, a gap leads out of the file, or it is all too large.
    """
    for before, tensor in pairwise(tensors):
        if tensor.offset_bytes < before.offset_bytes:
            findings.add(OUT_OF_ORDER, tensor.name)
    end = 0
    previous = ""
    for tensor in sorted(tensors, key=attrgetter("offset_bytes")):
        start = tensor.offset_bytes
        if start < end:
            raise cursor.error(
                f"data of tensor {tensor.name!r}",
                f"overlaps that of {previous!r}",
                allowed=f"an offset of {end:,} or more",
                offset=data_offset_bytes + start,
            )
        if start - end >= alignment:
            _check_gap(cursor, tensor, data_offset_bytes)
            findings.add(GAP, tensor.name)
        end = start + tensor.n_bytes
        previous = tensor.name
    if end > MAX_DATA_BYTES:
        raise cursor.error(
            "tensor data", f"takes {end:,} bytes", allowed=f"at most {MAX_DATA_BYTES:,}"
        )
    return end


def _check_gap(cursor: HeaderCursor, tensor: GgufTensor, data_offset_bytes: int) -> None:
    """Refuse a gap whose bytes do not exist: an offset that lies, not an unusual layout."""
    start = data_offset_bytes + tensor.offset_bytes
    if start > cursor.size_bytes:
        raise cursor.error(
            f"data offset of tensor {tensor.name!r}",
            f"leads to byte {start:,}",
            allowed=f"up to the end of the file at {cursor.size_bytes:,}",
        )
