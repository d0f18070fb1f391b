"""Reading the header of a GGUF file: versions 2 and 3, little-endian, complete and bounded.

Only the header is read. Sizes are exact; what is odd but harmless becomes a finding; anything
else is refused with the field, its place in the file, what it declares and what is allowed.
Format: ggml docs/gguf.md. What llama.cpp itself refuses: ggml/src/gguf.cpp.
"""

from __future__ import annotations

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.byte_source import ByteSource, BytesSource
from whatfits.sizing.readers.findings import MISSING_DATA, Findings
from whatfits.sizing.readers.gguf_metadata import read_metadata
from whatfits.sizing.readers.gguf_scan import HeaderCursor
from whatfits.sizing.readers.gguf_tensors import (
    GgufTensor,
    check_extents,
    check_tensor_count,
    read_tensors,
)
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.readers.gguf_metadata import Value

__all__ = [
    "GGUF_MAGIC",
    "ByteSource",
    "BytesSource",
    "GgufHeader",
    "GgufTensor",
    "read_counts",
    "read_gguf_header",
]

GGUF_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_OLD_VERSION: Final = 1
_MAGIC_BYTES: Final = len(GGUF_MAGIC)
_DEFAULT_ALIGNMENT: Final = 32
_MIN_ALIGNMENT: Final = 8  # the format asks for a multiple of 8
_MAX_ALIGNMENT: Final = 2**30  # the largest page any processor has
_PADDING_LOOKED_AT_BYTES: Final = 64

TRAILING: Final = "bytes after the last tensor"
JUNK_PADDING: Final = "padding before the tensor data is not zero"


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Everything a header says that sizing can use.

    Attributes:
        version: of the format, 2 or 3.
        metadata: scalars, arrays of up to 8,192 numbers, up to 16 short strings; text as it is in
            the file, not made printable. `True` and `False` only where the file says so.
        array_lengths: elements of every array, those in `metadata` and those stepped over.
        tensors: in the order of the table.
        alignment: of tensor data, in bytes.
        data_offset_bytes: where the data section starts (of the first file).
        file_bytes: length of the file, or of all files of a split model.
        findings: what is odd but harmless, one printable line each.
    """

    version: int
    metadata: Mapping[str, Value]
    array_lengths: Mapping[str, int]
    tensors: tuple[GgufTensor, ...]
    alignment: int
    data_offset_bytes: int
    file_bytes: int
    findings: tuple[str, ...] = ()

    @property
    def tensor_bytes(self) -> int:
        """Sum of the exact bytes of all tensors."""
        return sum(tensor.n_bytes for tensor in self.tensors)


def _read_version(cursor: HeaderCursor) -> int:
    magic = cursor.take(_MAGIC_BYTES, "magic")
    if magic != GGUF_MAGIC:
        raise cursor.error("magic", f"is {magic!r}", allowed=f"{GGUF_MAGIC!r}", offset=0)
    version = cursor.u32("version")
    if version in _VERSIONS:
        return version
    swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
    if swapped in (_OLD_VERSION, *_VERSIONS):
        reason = f"is {swapped} with its bytes swapped: big-endian GGUF"
    elif version == _OLD_VERSION:
        reason = "is 1: GGUF v1, which llama.cpp no longer reads either; convert the model again"
    else:
        reason = f"is {version:,}"
    raise cursor.error("version", reason, allowed="2 or 3, little-endian", offset=_MAGIC_BYTES)


def read_counts(cursor: HeaderCursor) -> tuple[int, int, int]:
    """Return version, number of tensors and number of keys: how a file begins.

    Raises:
        MalformedFileError: another format or version, or more tensors than the file can hold.
    """
    version = _read_version(cursor)
    n_tensors = cursor.u64("number of tensors")
    n_keys = cursor.u64("number of keys")
    check_tensor_count(cursor, n_tensors)
    return version, n_tensors, n_keys


def _alignment(cursor: HeaderCursor, metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    assert isinstance(value, int)  # the metadata reader refuses every other type
    if not _MIN_ALIGNMENT <= value <= _MAX_ALIGNMENT or value & (value - 1):
        raise cursor.error(
            "general.alignment",
            f"is {value:,}",
            allowed=f"a power of two from {_MIN_ALIGNMENT} to {_MAX_ALIGNMENT:,}",
        )
    return value


def read_gguf_header(source: ByteSource | bytes, *, allow_missing_data: bool = False) -> GgufHeader:
    """Return the header of a GGUF file.

    With `allow_missing_data` a file whose tensor data ends early (a download that is not finished)
    is understood all the same, and a finding says how many bytes are missing.

    Raises:
        MalformedFileError: the bytes contradict the format, or the file ends early.
    """
    cursor = HeaderCursor(BytesSource(source) if isinstance(source, bytes) else source)
    findings = Findings()
    version, n_tensors, n_keys = read_counts(cursor)
    metadata = read_metadata(cursor, n_keys, findings)
    alignment = _alignment(cursor, metadata.values)
    check_tensor_count(cursor, n_tensors)
    tensors = read_tensors(cursor, n_tensors, alignment=alignment, findings=findings)
    data_offset = pad(cursor.offset, alignment)
    if tensors:
        end = data_offset + check_extents(
            cursor, tensors, data_offset_bytes=data_offset, alignment=alignment, findings=findings
        )
        _check_missing(cursor, end - cursor.size_bytes, allow_missing_data, findings)
        _check_junk(cursor, data_offset, cursor.size_bytes - pad(end, alignment), findings)
    return GgufHeader(
        version=version,
        metadata=metadata.values,
        array_lengths=metadata.array_lengths,
        tensors=tensors,
        alignment=alignment,
        data_offset_bytes=data_offset,
        file_bytes=cursor.size_bytes,
        findings=findings.lines(),
    )


def _check_missing(
    cursor: HeaderCursor, missing_bytes: int, allow_missing_data: bool, findings: Findings
) -> None:
    """Refuse, or note, that the file ends before its tensor data does.

    Raises:
        MalformedFileError: bytes are missing, and that is not allowed.
    """
    if missing_bytes <= 0:
        return
    if not allow_missing_data:
        raise MalformedFileError(
            file_format="gguf",
            field="tensor data",
            reason=f"the file ends {missing_bytes:,} bytes early",
            offset_bytes=cursor.size_bytes,
            allowed=f"{cursor.size_bytes + missing_bytes:,} bytes in all",
            next_step="check that the download finished",
        )
    findings.add(f"{MISSING_DATA}: {missing_bytes:,} bytes missing at the end of the file")


def _check_junk(
    cursor: HeaderCursor, data_offset_bytes: int, trailing_bytes: int, findings: Findings
) -> None:
    """Note junk between header and data or after it; refuse both at once.

    Together they are what a tensor count that is too low looks like: the rest of the table lies
    in the padding, its data after the last tensor that was counted.

    Raises:
        MalformedFileError: there is junk in both places.
    """
    start = cursor.offset
    looked_at = min(data_offset_bytes - start, cursor.remaining_bytes, _PADDING_LOOKED_AT_BYTES)
    if cursor.take(looked_at, "padding").strip(b"\0"):
        if trailing_bytes > 0:
            raise cursor.error(
                "number of tensors",
                f"leaves part of a table and {trailing_bytes:,} bytes after the last tensor",
                allowed="the number of tensors in the table",
                offset=start,
            )
        findings.add(JUNK_PADDING)
    if trailing_bytes > 0:
        findings.add(f"{trailing_bytes:,} {TRAILING}")
