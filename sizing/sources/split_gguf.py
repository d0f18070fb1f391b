"""Models split over several GGUF files, as `llama-gguf-split` names and numbers them.

`NAME-00001-of-00003.gguf`; the first holds the metadata, each holds its own tensor table and
`split.no`, `split.count`, `split.tensors.count`. Source: llama.cpp src/llama-model-loader.cpp.
"""

from __future__ import annotations

import os

from whatfits.sizing.errors import MalformedFileError, UnreadableFileError, printable
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.readers.gguf_tensors import MAX_TENSORS
from whatfits.sizing.sources.paths import lies_there, real_path
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.readers.gguf import GgufHeader, GgufTensor

__all__ = [
    "MAX_FILES",
    "SplitName",
    "check_shard",
    "check_total",
    "declared_count",
    "merge_headers",
    "parse_split_name",
    "read_split",
    "shard_paths",
]

MAX_FILES: Final = 4_096
_SHOWN: Final = 10

_TAIL: Final = len("-00001-of-00003.gguf")
_SPLIT_KEYS: Final = frozenset({"split.no", "split.count", "split.tensors.count"})


class SplitName(NamedTuple):
    """What the name of one file of a set says.

    Attributes:
        prefix: what all names of the set begin with.
        number: which file this is, from 1.
        n_files: how many there are.
    """

    prefix: str
    number: int
    n_files: int

    def sibling(self, number: int) -> str:
        """Return the name of file `number` of the same set."""
        return f"{self.prefix}-{number:05d}-of-{self.n_files:05d}.gguf"


def parse_split_name(name: str) -> SplitName | None:
    """Return prefix, number and count of a file name of the form above, else None."""
    prefix, tail = name[:-_TAIL], name[-_TAIL:]
    number, count = tail[1:6], tail[10:15]
    if f"-{number}-of-{count}.gguf" != tail or not prefix:
        return None
    if not (number + count).isascii() or not (number + count).isdigit():
        return None
    if not 1 <= int(number) <= int(count):
        return None
    return SplitName(prefix, int(number), int(count))


def _split_error(key: str, value: object, *, name: str, allowed: str) -> MalformedFileError:
    return MalformedFileError(
        file_format="gguf",
        field=key,
        reason=f"is {value!r}",
        allowed=allowed,
        next_step=f"file: {printable(name)}",
    )


def declared_count(header: GgufHeader, *, name: str) -> int:
    """Return over how many files the header says that its model is split.

    A model that is whole says 0 (as `llama-gguf-split --merge` leaves it), 1 or nothing: 1.

    Raises:
        MalformedFileError: `split.count` is no number of files.
    """
    count = header.metadata.get("split.count", 1)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MAX_FILES:
        raise _split_error("split.count", count, name=name, allowed=f"1 to {MAX_FILES:,}")
    return max(count, 1)


def shard_paths(path: str, count: int) -> tuple[str, ...]:
    """Return the paths of all `count` files of the set that the file at `path` belongs to.

    Names are made from the one given, so they stay in its folder.

    Raises:
        MalformedFileError: the name is not that of a set of `count` files.
        UnreadableFileError: files are missing, or links lead to another folder.
    """
    folder, name = os.path.split(path)
    split = parse_split_name(name)
    if split is None or split.n_files != count:
        raise _split_error(
            "split.count",
            count,
            name=name,
            allowed=f"a file name that ends in -00001-of-{count:05d}.gguf; restore the name",
        )
    names = [split.sibling(number) for number in range(1, count + 1)]
    paths = [os.path.join(folder, sibling) for sibling in names]  # noqa: PTH118 - any bytes
    missing = [n for n, p in zip(names, paths, strict=True) if not lies_there(p)]
    if missing:
        shown = ", ".join(printable(n) for n in missing[:_SHOWN])
        more = ", …" if len(missing) > _SHOWN else ""
        raise UnreadableFileError(
            what=f"{len(missing):,} of {count:,} files are missing of the split model",
            got=path,
            next_step=f"download into the same folder: {shown}{more}",
        )
    _check_folders(path, paths)
    return tuple(paths)


def _check_folders(path: str, paths: Sequence[str]) -> None:
    """Refuse a sibling that leads elsewhere than the named file does.

    A download cache keeps links in one folder and files in another; both are fine. A link to
    anywhere else is not followed.
    """
    allowed = {real_path(os.path.dirname(path)), _real_folder(path)}  # noqa: PTH120
    for sibling in paths:
        if _real_folder(sibling) not in allowed:
            raise UnreadableFileError(
                what="a file of the split model is a link that leaves the folder:",
                got=os.path.basename(sibling),  # noqa: PTH119 - any bytes
                allowed="files in the folder of the file that was named",
            )


def _real_folder(path: str) -> str:
    return os.path.dirname(real_path(path))  # noqa: PTH120 - any bytes


def check_shard(header: GgufHeader, *, index: int, count: int, name: str) -> None:
    """Refuse a file that is not number `index` (from 0) of `count`.

    Raises:
        MalformedFileError: its own numbers say otherwise.
    """
    for key, expected in (("split.no", index), ("split.count", count)):
        value = header.metadata.get(key)
        if isinstance(value, bool) or value != expected:
            raise _split_error(key, value, name=name, allowed=f"{expected}, as in its name")


def read_split(names: Sequence[str], read: Callable[[int], GgufHeader]) -> GgufHeader:
    """Return one header for all files of a set; `read` gives the header of one, by its index.

    Raises:
        BadInputError: one of them cannot be read, or they do not belong together.
    """
    headers: list[GgufHeader] = []
    for index, name in enumerate(names):
        header = read(index)
        check_shard(header, index=index, count=len(names), name=name)
        headers.append(header)
        check_total(headers, name=name)
    return merge_headers(headers, names=names)


def check_total(headers: Sequence[GgufHeader], *, name: str) -> None:
    """Refuse the files up to `name` when they hold more tensors together than one file may.

    Raises:
        MalformedFileError: they do; the files after it are not read.
    """
    total = sum(len(header.tensors) for header in headers)
    if total > MAX_TENSORS:
        raise MalformedFileError(
            file_format="gguf",
            field="tensors of all files",
            reason=f"are {total:,} up to here",
            allowed=f"up to {MAX_TENSORS:,}",
            next_step=f"file: {printable(name)}",
        )


def merge_headers(headers: Sequence[GgufHeader], *, names: Sequence[str]) -> GgufHeader:
    """Return one header for all files: the first one's metadata, everyone's tensors.

    Raises:
        MalformedFileError: the files do not belong together.
    """
    first = headers[0]
    findings = [line for header in headers for line in header.findings]
    tensors: list[GgufTensor] = []
    seen: set[str] = set()
    for index, (header, name) in enumerate(zip(headers, names, strict=True)):
        findings += _contradictions(first, header, name=name)
        for tensor in header.tensors:
            if tensor.name in seen:
                raise _split_error("tensor", tensor.name, name=name, allowed="in one file only")
            seen.add(tensor.name)
            tensors.append(replace(tensor, file_index=index))
    for header, name in zip(headers, names, strict=True):
        total = header.metadata.get("split.tensors.count", len(tensors))
        if isinstance(total, bool) or total != len(tensors):
            raise _split_error(
                "split.tensors.count",
                total,
                name=name,
                allowed=f"{len(tensors):,}, the tensors in all files",
            )
    return replace(
        first,
        tensors=tuple(tensors),
        file_bytes=sum(header.file_bytes for header in headers),
        findings=tuple(dict.fromkeys(findings)),
    )


def _contradictions(first: GgufHeader, other: GgufHeader, *, name: str) -> list[str]:
    """Return one line a key on which two files of a set disagree.

    Raises:
        MalformedFileError: they are of different architectures.
    """
    lines: list[str] = []
    for key, value in other.metadata.items():
        expected = first.metadata.get(key, value)
        if key in _SPLIT_KEYS or repr(value) == repr(expected):  # repr: NaN equals itself
            continue
        if key == "general.architecture":
            raise _split_error(key, value, name=name, allowed=f"{expected!r}, as in the first file")
        lines.append(f"{printable(key)} differs between the files of the split; the first counts")
    return lines
