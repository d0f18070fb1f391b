"""A model on this disk: one GGUF file, a split one, or a folder that holds one of either."""

from __future__ import annotations

import os
import stat

from whatfits.sizing.errors import MalformedFileError, UnreadableFileError, printable
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.readers.gguf import GGUF_MAGIC, GgufHeader, read_gguf_header
from whatfits.sizing.sources.file_kinds import HEAD_BYTES, folder_hint, other_kind
from whatfits.sizing.sources.regular_file import open_regular_file, unreadable
from whatfits.sizing.sources.split_gguf import (
    declared_count,
    parse_split_name,
    read_split,
    shard_paths,
)
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from whatfits.sizing.readers.byte_source import ByteSource

__all__ = ["LocalGguf", "display_name", "header_of", "load_gguf", "load_gguf_files", "names_in"]

_MAX_FOLDER_ENTRIES: Final = 20_000
_SHOWN: Final = 10
_BLOB_PREFIX: Final = "sha256-"
_BLOB_SHOWN: Final = len(_BLOB_PREFIX) + 12
_SUFFIX: Final = ".gguf"
_PROJECTOR_PREFIX: Final = "mmproj"


class LocalGguf(NamedTuple):
    """A model that was found under a path.

    Attributes:
        header: of all its files together.
        name: to show.
        files: their paths, the first one first: the one that llama.cpp has to be given.
    """

    header: GgufHeader
    name: str
    files: tuple[str, ...]


def load_gguf(path: str | os.PathLike[str]) -> tuple[GgufHeader, str]:
    """Return the header of the model at `path` and a name to show for it.

    Raises:
        UnreadableFileError: missing, not permitted, no regular file, no GGUF, or several models.
        MalformedFileError: the bytes contradict the format.
    """
    found = load_gguf_files(path)
    return found.header, found.name


def load_gguf_files(path: str | os.PathLike[str]) -> LocalGguf:
    """Return the model at `path`, with the paths of its files.

    `path` is a GGUF file under any name (the first bytes count), any file of a split model, or a
    folder with one model. A file whose data is still being downloaded is understood; a finding
    says how much is missing.

    Raises:
        UnreadableFileError: missing, not permitted, no regular file, no GGUF, or several models.
        MalformedFileError: the bytes contradict the format.
    """
    file_path = os.fsdecode(path)
    findings: tuple[str, ...] = ()
    if _is_folder(file_path):
        file_path, findings = _model_in_folder(file_path)
    header = _read_header(file_path)
    name = os.path.basename(file_path)  # noqa: PTH119 - names may be any bytes
    count = declared_count(header, name=name)
    split = parse_split_name(name)
    files: tuple[str, ...] = (file_path,)
    if count > 1:
        files = shard_paths(file_path, count)
        header = _load_split(file_path, header, files)
    elif split is not None and split.n_files > 1:
        findings += (f"named as file {split.number} of {split.n_files}, but the file is whole",)
    header = replace(header, findings=(*header.findings, *findings))
    return LocalGguf(header, display_name(name, header), files)


def _is_folder(path: str) -> bool:
    """Return whether `path` is a folder.

    Raises:
        UnreadableFileError: nothing is there, or the system refuses to say.
    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - paths may be any bytes
    except (OSError, ValueError) as error:
        raise unreadable(path, error, next_step=_suggestion(path)) from error


def _suggestion(path: str) -> str:
    """Return a hint at names in the same folder that are close to the one that was given."""
    import difflib  # noqa: PLC0415 - only after an error
    import unicodedata  # noqa: PLC0415 - only after an error

    if os.path.islink(path):  # noqa: PTH114 - paths may be any bytes
        return "it is a link to something that does not exist"
    folder, name = os.path.split(path)
    try:
        names = sorted(names_in(folder or os.curdir))
    except UnreadableFileError:
        return ""
    # The same letters may be written as one code point or as two; the eye cannot tell.
    same = [
        n for n in names if unicodedata.normalize("NFC", n) == unicodedata.normalize("NFC", name)
    ]
    close = same or difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(repr(printable(n)) for n in close)}?" if close else ""


def names_in(folder: str) -> Iterable[str]:
    """Return the names of the files in a folder.

    Raises:
        UnreadableFileError: it cannot be listed, or holds more than anyone would put there.
    """
    names: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(names) >= _MAX_FOLDER_ENTRIES:
                    raise UnreadableFileError(
                        what="the folder holds too many files:",
                        got=folder,
                        allowed=f"up to {_MAX_FOLDER_ENTRIES:,}",
                        next_step="name the file",
                    )
                names.append(entry.name)
    except OSError as error:
        raise unreadable(folder, error) from error
    return names


def _model_in_folder(folder: str) -> tuple[str, tuple[str, ...]]:
    """Return the path of the only model in a folder, and what to say about its neighbours.

    Raises:
        UnreadableFileError: there is none, or more than one.
    """
    names = sorted(names_in(folder))
    sets: dict[str, str] = {}
    for name in names:
        if name.lower().endswith(_SUFFIX):
            split = parse_split_name(name)
            sets.setdefault(f"{split.prefix} × {split.n_files}" if split else name, name)
    models = [n for n in sets.values() if not n.lower().startswith(_PROJECTOR_PREFIX)]
    findings: tuple[str, ...] = ()
    if models and len(models) < len(sets):
        findings = ("a vision projector (mmproj) lies in the folder; it is not counted",)
    models = models or list(sets.values())
    if len(models) == 1:
        (model,) = models
        return os.path.join(folder, model), findings  # noqa: PTH118 - names may be any bytes
    if models:
        more = ", …" if len(models) > _SHOWN else ""
        raise UnreadableFileError(
            what=f"the folder holds {len(models):,} models:",
            got=folder,
            allowed=", ".join(printable(name) for name in models[:_SHOWN]) + more,
            next_step="name one of the files",
        )
    raise UnreadableFileError(
        what="no .gguf file in the folder:", got=folder, next_step=folder_hint(names)
    )


def _read_header(path: str) -> GgufHeader:
    """Return the header of one file.

    Raises:
        UnreadableFileError: it is not a GGUF file, or cannot be read.
        MalformedFileError: it is one, and contradicts the format.
    """
    with open_regular_file(path) as source:
        return header_of(source, path)


def header_of(source: ByteSource, path: str) -> GgufHeader:
    """Return the header of a file that is open, under the name that messages give it.

    Raises:
        UnreadableFileError: it is not a GGUF file.
        MalformedFileError: it is one, and contradicts the format.
    """
    _require_gguf(path, source)
    try:
        return read_gguf_header(source, allow_missing_data=True)
    except MalformedFileError as error:
        raise error.in_file(path) from error


def _require_gguf(path: str, source: ByteSource) -> None:
    """Refuse, by its name, a file that begins like something else; the suffix does not count.

    Raises:
        UnreadableFileError: it is not a GGUF file.
    """
    head = source.read(0, HEAD_BYTES)
    if head.startswith(GGUF_MAGIC) or (head and GGUF_MAGIC.startswith(head)):
        return
    kind, next_step = other_kind(head, name=path)
    raise UnreadableFileError(
        what=f"the file is {kind}:", got=path, allowed="a GGUF file", next_step=next_step
    )


def _load_split(path: str, header: GgufHeader, paths: Sequence[str]) -> GgufHeader:
    """Return the merged header of the set that `path`, whose header is given, belongs to."""
    names = [os.path.basename(shard) for shard in paths]  # noqa: PTH119 - names may be any bytes
    return read_split(
        names, lambda index: header if paths[index] == path else _read_header(paths[index])
    )


def display_name(name: str, header: GgufHeader) -> str:
    """Return what to call the model: its file name without suffix and number.

    A blob of a content store has no name of its own; what the header says is used instead.
    """
    split = parse_split_name(name)
    if split is not None:
        return printable(split.prefix)
    if name.startswith(_BLOB_PREFIX):
        title = header.metadata.get("general.name")
        return printable(title) if isinstance(title, str) and title else name[:_BLOB_SHOWN]
    stem = name[: -len(_SUFFIX)] if name.lower().endswith(_SUFFIX) else name
    return printable(stem)
