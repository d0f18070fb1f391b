"""Reading the header of a safetensors file: every tensor's name, type, shape and place, bounded.

A file is the header's length (8 bytes, little-endian), the header (one JSON object) and the data,
which the tensors cover without hole or overlap. Tensor data is never looked at. What contradicts
that is refused with the field, its place in the file and what is allowed; what is odd but leaves
every size known is a finding.
Format: huggingface/safetensors README.md and safetensors/src/tensor.rs, 0.8.0. Where this reader
is stricter: the same key twice (last wins there), blanks before the header, long headers (100 MB
there). Where it is not: unknown types, and bytes after the last tensor.
"""

from __future__ import annotations

import re

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.readers.byte_source import ByteSource, BytesSource
from whatfits.sizing.readers.findings import MISSING_DATA, Findings
from whatfits.sizing.readers.json_cursor import JsonCursor
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

__all__ = ["DTYPE_BITS", "SafetensorsHeader", "StoredTensor", "read_safetensors_header"]

FILE_FORMAT: Final = "safetensors"
LENGTH_BYTES: Final = 8
# 131,072 tensors of 120 bytes of text each, more than any published file has. The reference stops
# at 100 MB, which as Python objects would be gigabytes.
MAX_HEADER_BYTES: Final = 16 * 2**20
MAX_TENSORS: Final = 131_072
_MAX_DIMS: Final = 16
_MAX_NUMBER: Final = 2**64 - 1
_MAX_METADATA_SHOWN: Final = 64
_MAX_METADATA_TEXT_BYTES: Final = 1_024

# Source: safetensors/src/tensor.rs, Dtype::bitsize.
DTYPE_BITS: Final = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
_METADATA: Final = "__metadata__"
_FIELDS: Final = ("dtype", "shape", "data_offsets")
# An entry as nearly every writer writes it, with a blank after each mark or without; anything
# else takes the slow way to the same checks.
_USUAL_ENTRY: Final = re.compile(
    rb'\{"dtype": ?"([A-Z0-9_]{1,16})", ?"shape": ?\[((?:\d{1,19}(?:, ?\d{1,19}){0,15})?)\], ?'
    rb'"data_offsets": ?\[(\d{1,19}), ?(\d{1,19})\]\}'
)
_LEADING_ZERO: Final = re.compile(rb"(?:^|, ?)0\d")
_ENTRY_MARK: Final = b'"data_offsets"'


class StoredTensor(NamedTuple):
    """One tensor of a file.

    Attributes:
        name: as in the file.
        dtype: as in the file: `BF16`, `F8_E4M3`, `U8`, …; perhaps one nobody knows yet.
        shape: dimensions, rows first; empty for a single number.
        offset_bytes: where it starts in the data.
        n_bytes: exact bytes of its data.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset_bytes: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """Everything a header says.

    Attributes:
        tensors: in the order of the header.
        metadata: the first 64 short strings of `__metadata__`.
        data_offset_bytes: where the data starts in the file.
        file_bytes: length of the file.
        findings: what is odd but harmless, one printable line each.
    """

    tensors: tuple[StoredTensor, ...]
    metadata: dict[str, str]
    data_offset_bytes: int
    file_bytes: int
    findings: tuple[str, ...] = ()

    @property
    def tensor_bytes(self) -> int:
        """Sum of the exact bytes of all tensors."""
        return sum(tensor.n_bytes for tensor in self.tensors)


def read_safetensors_header(
    source: ByteSource | bytes, *, allow_missing_data: bool = False
) -> SafetensorsHeader:
    """Return the header of a safetensors file.

    With `allow_missing_data` a file whose data ends early (a download that is not finished) is
    understood all the same, and a finding says how many bytes are missing.

    Raises:
        MalformedFileError: the bytes contradict the format, or the file ends early.
    """
    if isinstance(source, bytes):
        source = BytesSource(source)
    data = _header_bytes(source)
    cursor = JsonCursor(data, file_format=FILE_FORMAT, start_bytes=LENGTH_BYTES)
    findings = Findings()
    metadata: dict[str, str] = {}
    tensors = tuple(_entries(cursor, metadata, findings))
    if cursor.next_byte():
        raise cursor.error("header", "goes on after its object", allowed="blanks")
    end = _check_cover(cursor, tensors)
    data_offset = LENGTH_BYTES + len(data)
    _check_length(data_offset + end, source.size_bytes, allow_missing_data, findings)
    return SafetensorsHeader(
        tensors=tensors,
        metadata=metadata,
        data_offset_bytes=data_offset,
        file_bytes=source.size_bytes,
        findings=findings.lines(),
    )


def _refusal(field: str, reason: str, *, at: int, allowed: str = "") -> MalformedFileError:
    return MalformedFileError(
        file_format=FILE_FORMAT, field=field, reason=reason, offset_bytes=at, allowed=allowed
    )


def _header_bytes(source: ByteSource) -> bytes:
    """Return the header's text, its length checked before it is read.

    Raises:
        MalformedFileError: there is no such header in the file, or it is too long.
    """
    start = source.read(0, LENGTH_BYTES)
    if len(start) < LENGTH_BYTES:
        reason = f"the file ends after {len(start)} of {LENGTH_BYTES} bytes"
        raise _refusal("header length", reason, at=len(start))
    length = int.from_bytes(start, "little")
    if length < len(b"{}") or length > MAX_HEADER_BYTES:
        allowed = f"2 to {MAX_HEADER_BYTES:,}"
        raise _refusal("header length", f"is {length:,} bytes", at=0, allowed=allowed)
    data = source.read(LENGTH_BYTES, length)
    if len(data) < length:
        raise _refusal(
            "header",
            f"the file ends {length - len(data):,} bytes early: is the download finished?",
            at=LENGTH_BYTES + len(data),
            allowed=f"a header of {length:,} bytes",
        )
    if not data.startswith(b"{"):
        raise _refusal("header", f"starts with {data[:4]!r}", at=LENGTH_BYTES, allowed="'{'")
    count = data.count(_ENTRY_MARK)
    if count > MAX_TENSORS:
        reason = f"has {count:,} tensors"
        raise _refusal("header", reason, at=LENGTH_BYTES, allowed=f"up to {MAX_TENSORS:,}")
    return data


def _entries(
    cursor: JsonCursor, metadata: dict[str, str], findings: Findings
) -> Iterator[StoredTensor]:
    """Yield every tensor; fill `metadata` on the way."""
    names: set[str] = set()
    for name in cursor.members("header"):
        if name in names:
            raise cursor.error(f"key {name!r}", "is given twice")
        if len(names) > MAX_TENSORS:  # one of them may be the metadata
            raise cursor.error("header", "has too many tensors", allowed=f"up to {MAX_TENSORS:,}")
        names.add(name)
        if name == _METADATA:
            _read_metadata(cursor, metadata)
            continue
        if not name or not name.isprintable():
            findings.add("name that is empty or cannot be printed", name)
        yield _entry(cursor, name, findings)


def _read_metadata(cursor: JsonCursor, metadata: dict[str, str]) -> None:
    """Step over `__metadata__`, keeping what is short.

    Raises:
        MalformedFileError: a value is no string, or a key is there twice.
    """
    keys: set[str] = set()
    for key in cursor.members(_METADATA):
        if key in keys:
            raise cursor.error(f"{_METADATA} key {key!r}", "is given twice")
        if len(keys) >= MAX_TENSORS:
            raise cursor.error(_METADATA, "has too many keys", allowed=f"up to {MAX_TENSORS:,}")
        keys.add(key)
        start = cursor.place
        n_bytes = cursor.skip_text(f"{_METADATA} {key!r}")
        if len(metadata) < _MAX_METADATA_SHOWN and n_bytes <= _MAX_METADATA_TEXT_BYTES:
            cursor.place = start
            metadata[key] = cursor.text(f"{_METADATA} {key!r}")


def _entry(cursor: JsonCursor, name: str, findings: Findings) -> StoredTensor:
    """Return one tensor, its size checked against its type and shape."""
    cursor.next_byte()
    place = cursor.place
    usual = cursor.match(_USUAL_ENTRY)
    if usual is not None and not any(map(_LEADING_ZERO.search, usual.groups())):
        kind, dims, start, end = usual.groups()
        shape = tuple(map(int, dims.split(b","))) if dims else ()
        values = (kind.decode(), shape, int(start), int(end))
    else:
        cursor.place = place
        values = _slow_entry(cursor, name, findings)
    dtype, shape, begin, stop = values
    if stop < begin:
        reason = f"end at {stop:,} before they begin at {begin:,}"
        raise cursor.error(f"data_offsets of {name!r}", reason, place=place)
    _check_size(cursor, values, name, findings, place=place)
    return StoredTensor(name, dtype, shape, begin, stop - begin)


def _slow_entry(
    cursor: JsonCursor, name: str, findings: Findings
) -> tuple[str, tuple[int, ...], int, int]:
    """Return type, shape, start and end of an entry in any order and spacing.

    Raises:
        MalformedFileError: a field is missing or of the wrong kind.
    """
    place = cursor.place
    entry = cursor.value(f"tensor {name!r}")
    if not isinstance(entry, dict):
        raise cursor.error(f"tensor {name!r}", "is no object", place=place)
    for field in entry:
        if field not in _FIELDS:
            findings.add("field that the format does not have", field)
    dtype = entry.get("dtype")
    if not isinstance(dtype, str):
        raise cursor.error(f"dtype of {name!r}", "is missing or no string", place=place)
    shape = _numbers(entry.get("shape"), cursor, f"shape of {name!r}", place)
    offsets = _numbers(entry.get("data_offsets"), cursor, f"data_offsets of {name!r}", place)
    if len(offsets) != len(("start", "end")):
        reason = f"has {len(offsets)} numbers"
        raise cursor.error(f"data_offsets of {name!r}", reason, allowed="2", place=place)
    return dtype, shape, offsets[0], offsets[1]


def _numbers(value: object, cursor: JsonCursor, field: str, place: int) -> tuple[int, ...]:
    """Return a list of whole numbers that 64 bits can hold.

    Raises:
        MalformedFileError: it is something else.
    """
    if not isinstance(value, list):
        raise cursor.error(field, "is missing or no list", place=place)
    if len(value) > _MAX_DIMS:
        reason = f"has {len(value):,} numbers"
        raise cursor.error(field, reason, allowed=f"up to {_MAX_DIMS}", place=place)
    for one in value:
        if type(one) is not int or not 0 <= one <= _MAX_NUMBER:
            allowed = "whole numbers from 0 to 2^64 - 1"
            raise cursor.error(field, f"has {one!r}", allowed=allowed, place=place)
    return tuple(value)


def _check_size(
    cursor: JsonCursor,
    values: tuple[str, tuple[int, ...], int, int],
    name: str,
    findings: Findings,
    *,
    place: int,
) -> None:
    """Refuse a tensor whose offsets hold another number of bytes than its type and shape make.

    Raises:
        MalformedFileError: they differ, or the elements are more than 64 bits can count.
    """
    dtype, shape, start, end = values
    elements = 1
    for dimension in shape:
        elements *= dimension
    bits_each = DTYPE_BITS.get(dtype)
    if bits_each is None:
        findings.add("type that is not known; its bytes are those of its offsets", dtype)
        return
    bits = elements * bits_each
    if bits > _MAX_NUMBER:
        reason = f"makes {elements:,} elements"
        raise cursor.error(f"shape of {name!r}", reason, allowed="below 2^64 bits", place=place)
    if bits % 8:
        reason = f"makes {bits:,} bits of {dtype}"
        raise cursor.error(f"shape of {name!r}", reason, allowed="whole bytes", place=place)
    if end - start != bits // 8:
        reason = f"hold {end - start:,} bytes"
        allowed = f"{bits // 8:,}, as {dtype} and the shape make"
        raise cursor.error(f"data_offsets of {name!r}", reason, allowed=allowed, place=place)


def _check_cover(cursor: JsonCursor, tensors: tuple[StoredTensor, ...]) -> int:
    """Return where the data ends that the tensors cover without hole or overlap.

    Raises:
        MalformedFileError: there is a hole or an overlap.
    """
    end = 0
    for tensor in sorted(tensors, key=lambda one: (one.offset_bytes, one.n_bytes)):
        if tensor.offset_bytes != end:
            what = "leaves a hole before it" if tensor.offset_bytes > end else "overlaps another"
            reason = f"starts at {tensor.offset_bytes:,} and {what}"
            allowed = f"{end:,}, where the one before ends"
            raise cursor.error(f"data_offsets of {tensor.name!r}", reason, allowed=allowed, place=0)
        end += tensor.n_bytes
    return end


def _check_length(
    needed_bytes: int, file_bytes: int, allow_missing_data: bool, findings: Findings
) -> None:
    """Refuse, or note, that the file ends before its data does; note what comes after it."""
    missing = needed_bytes - file_bytes
    if missing > 0:
        if not allow_missing_data:
            raise MalformedFileError(
                file_format=FILE_FORMAT,
                field="tensor data",
                reason=f"the file ends {missing:,} bytes early",
                offset_bytes=file_bytes,
                allowed=f"{needed_bytes:,} bytes in all",
                next_step="check that the download finished",
            )
        findings.add(f"{MISSING_DATA}: {missing:,} bytes missing at the end of the file")
    elif missing < 0:
        findings.add(f"{-missing:,} bytes after the last tensor")
