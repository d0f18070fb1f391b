"""The header of a file of a repository, or of a set of files that are one model."""

from __future__ import annotations

from whatfits.sizing.errors import UnknownModelError, printable
from whatfits.sizing.readers.gguf import GGUF_MAGIC
from whatfits.sizing.readers.gguf_start import read_gguf_start
from whatfits.sizing.sources.hub.names import parse_hub_name
from whatfits.sizing.sources.hub.repositories import open_repository
from whatfits.sizing.sources.local_file import display_name, header_of
from whatfits.sizing.sources.split_gguf import declared_count, read_split
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import KIB
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.readers.gguf import GgufHeader
    from whatfits.sizing.readers.gguf_start import GgufStart
    from whatfits.sizing.sources.hub.repositories import Repository

__all__ = ["load_hub_file", "read_header", "read_starts"]

_GGUF_SUFFIX: Final = ".gguf"
_SHOWN: Final = 5
_START_BYTES: Final = 64 * KIB


def read_header(repository: Repository, paths: Sequence[str]) -> GgufHeader:
    """Return the header of a file, or of a set of them; whatever it says counts.

    Raises:
        BadInputError: a file cannot be read, is no GGUF, or they do not belong together.
    """
    names = [path.rpartition("/")[2] for path in paths]

    def read(index: int) -> GgufHeader:
        with repository.open(paths[index]) as source:
            return header_of(source, repository.shown(paths[index]))

    first = read(0)
    count = declared_count(first, name=names[0])
    if count == 1 == len(paths):
        return first
    if count == 1:
        said = f"named as file 1 of {len(paths)}, but the file is whole"
        return replace(first, findings=(*first.findings, said))
    repository.expect(paths[1:])
    return read_split(names, lambda index: read(index) if index else first)


def read_starts(repository: Repository, paths: Sequence[str]) -> list[GgufStart]:
    """Return what the first 64 KiB of each file of a model say.

    Raises:
        BadInputError: a file cannot be read, or is no GGUF.
    """
    repository.expect(paths)
    starts = []
    for path in paths:
        with repository.open(path) as source:
            data = source.read(0, _START_BYTES)
            if not data.startswith(GGUF_MAGIC):
                header_of(source, repository.shown(path))  # says what it is instead
            starts.append(read_gguf_start(data, size_bytes=source.size_bytes))
    return starts


def load_hub_file(name: str) -> tuple[GgufHeader, str]:
    """Return the header of `hf:org/repo:FILE`, a projector or an adapter, and a name to show.

    Raises:
        BadInputError: there is no such file, or it cannot be read.
    """
    wanted = parse_hub_name(name)
    with open_repository(wanted) as repository:
        if wanted.part is None or not repository.has(wanted.part):
            paths = (file.path for file in repository.info.files)
            files = [printable(path) for path in paths if path.lower().endswith(_GGUF_SUFFIX)]
            raise UnknownModelError(
                what=f"{wanted.repository} has no file",
                got=wanted.part or "",
                allowed=", ".join(files[:_SHOWN]) + (", …" if len(files) > _SHOWN else ""),
                next_step=f"name one as hf:{wanted.repository}:FILE",
            )
        header = read_header(repository, [wanted.part])
    return header, display_name(wanted.part.rpartition("/")[2], header)
