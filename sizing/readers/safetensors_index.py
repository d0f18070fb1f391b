"""Reading `model.safetensors.index.json`: which file of a checkpoint holds which tensor.

The names of files come from a stranger: each must be a plain name, so that nothing outside the
folder is ever opened. Format: huggingface_hub `split_torch_state_dict_into_shards`.
"""

from __future__ import annotations

import re

from whatfits.sizing.readers.json_cursor import JsonCursor
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = [
    "MAX_FILES",
    "MAX_INDEX_BYTES",
    "MAX_TENSORS",
    "PICKLE_SUFFIXES",
    "ShardIndex",
    "read_safetensors_index",
]

FILE_FORMAT: Final = "safetensors index"
MAX_INDEX_BYTES: Final = 32 * 2**20
MAX_FILES: Final = 4_096
MAX_TENSORS: Final = 262_144  # Kimi K2 in FP8, the most of any published index: 140,000
_MAX_NAME_BYTES: Final = 255  # what file systems take
_SUFFIX: Final = ".safetensors"
PICKLE_SUFFIXES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# A plain name on every system: no folder, no drive, no stream, no leading dot.
_PLAIN_NAME: Final = re.compile(r"[^\x00-\x1f\x7f/\\:*?\"<>|.][^\x00-\x1f\x7f/\\:*?\"<>|]*")


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """What an index says.

    Attributes:
        file_of: name of a tensor → name of the file that holds it.
        files: every file once, in the order of their names.
        total_bytes: sum of all tensors as the index claims it; None when it does not.
        findings: what is odd but harmless, one printable line each.
    """

    file_of: Mapping[str, str]
    files: tuple[str, ...]
    total_bytes: int | None
    findings: tuple[str, ...] = ()


def read_safetensors_index(data: bytes) -> ShardIndex:
    """Return an index: every tensor with its file, every file a plain name.

    Raises:
        MalformedFileError: no index, or one that names something outside its folder.
    """
    cursor = JsonCursor(data, file_format=FILE_FORMAT)
    if len(data) > MAX_INDEX_BYTES:
        reason = f"is {len(data):,} bytes long"
        raise cursor.error("index", reason, allowed=f"up to {MAX_INDEX_BYTES:,}")
    file_of: dict[str, str] | None = None
    total: int | None = None
    findings: list[str] = []
    seen: set[str] = set()
    for key in cursor.members("index"):
        if key in seen:
            raise cursor.error(f"key {key!r}", "is given twice")
        seen.add(key)
        if key == "weight_map":
            file_of = _weight_map(cursor)
        elif key == "metadata":
            total, said = _total(cursor.value("metadata"))
            findings += said
        else:
            cursor.value(f"value of {key!r}")
    if cursor.next_byte():
        raise cursor.error("index", "goes on after its object", allowed="blanks")
    if not file_of:
        raise cursor.error("weight_map", "is missing or empty", allowed="tensor names → files")
    files = tuple(sorted(set(file_of.values())))
    return ShardIndex(file_of, files, total, tuple(findings))


def _weight_map(cursor: JsonCursor) -> dict[str, str]:
    """Return tensor → file; one string a file, however many tensors name it."""
    file_of: dict[str, str] = {}
    names: dict[str, str] = {}
    for tensor in cursor.members("weight_map"):
        if tensor in file_of:
            raise cursor.error(f"tensor {tensor!r}", "is given twice")
        if len(file_of) >= MAX_TENSORS:
            allowed = f"up to {MAX_TENSORS:,}"
            raise cursor.error("weight_map", "has too many tensors", allowed=allowed)
        cursor.next_byte()
        place = cursor.place
        name = cursor.text(f"file of {tensor!r}")
        if name not in names:
            _check_plain(cursor, name, tensor, place)
            if len(names) >= MAX_FILES:
                raise cursor.error("weight_map", "has too many files", allowed=f"{MAX_FILES:,}")
            names[name] = name
        file_of[tensor] = names[name]
    return file_of


def _check_plain(cursor: JsonCursor, name: str, tensor: str, place: int) -> None:
    """Refuse a file name that is a path, an address or no safetensors file.

    Raises:
        MalformedFileError: it is.
    """
    if (
        _PLAIN_NAME.fullmatch(name)
        and name.lower().endswith(_SUFFIX)
        and len(name.encode()) <= _MAX_NAME_BYTES
    ):
        return
    is_pickle = name.lower().endswith(PICKLE_SUFFIXES)
    why = ", a pickle: it runs code when it is opened, so it never is" if is_pickle else ""
    raise cursor.error(
        f"file of {tensor!r}",
        f"is {name!r}{why}",
        allowed="the plain name of a .safetensors file in the same folder",
        place=place,
    )


def _total(metadata: object) -> tuple[int | None, tuple[str, ...]]:
    """Return the size an index claims, and what is odd about it."""
    if not isinstance(metadata, dict) or "total_size" not in metadata:
        return None, ()
    total = metadata["total_size"]
    if isinstance(total, float) and total.is_integer():  # old writers divided
        total = int(total)
    if type(total) is int and 0 <= total < 2**64:
        return total, ()
    return None, ("total_size of the index is no number of bytes",)
