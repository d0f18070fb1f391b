"""The safetensors of a repository, for runtimes that load checkpoints as they are.

GGUF files beside them are looked past: such a runtime does not read them.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError, UnreadableFileError, printable
from whatfits.sizing.sources.checkpoint_files import CONFIG, read_checkpoint_in
from whatfits.sizing.sources.hub.names import parse_hub_name
from whatfits.sizing.sources.hub.no_model import way_out
from whatfits.sizing.sources.hub.repositories import open_repository
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.sources.checkpoint_files import Checkpoint
    from whatfits.sizing.sources.hub.names import HubName
    from whatfits.sizing.sources.hub.repositories import Repository

__all__ = ["HubCheckpoint", "is_checkpoint_file", "read_hub_checkpoint"]

_SUFFIXES: Final = (".safetensors", ".safetensors.index.json")
_GGUF_SUFFIX: Final = ".gguf"


@dataclass(frozen=True, slots=True)
class HubCheckpoint:
    """A checkpoint on the Hub, read as far as its headers.

    Attributes:
        found: its files.
        repository: `org/repo`.
        revision: as it was named; None when none was.
        shown: what to call the model.
        source: where its figures come from, as it would be asked for.
        file_type: the part of the name that is no file: a quantisation; None without one.
        where: the files lie, as a note begins.
        notes: where it came from.
    """

    found: Checkpoint
    repository: str
    revision: str | None
    shown: str
    source: str
    file_type: str | None
    where: str
    notes: tuple[str, ...]


def is_checkpoint_file(name: str) -> bool:
    """Whether a file's name is that of safetensors, their index or a configuration."""
    return name.lower().endswith((CONFIG, *_SUFFIXES))


def read_hub_checkpoint(name: str, *, runtime: str) -> HubCheckpoint:
    """Return the checkpoint behind `hf:org/repo[@revision][:file or file type]`.

    `runtime` is what the checkpoint is for, as a refusal calls it.

    Raises:
        InvalidRequestError: the name is none, or means a GGUF.
        UnreadableFileError: the repository has neither safetensors nor a configuration.
        BadInputError: it cannot be reached or read.
    """
    wanted = parse_hub_name(name)
    with open_repository(wanted) as repository:
        paths = {file.path for file in repository.info.files}
        part = wanted.part
        if part is not None and part.lower().endswith(_GGUF_SUFFIX):
            raise _gguf(wanted, runtime)
        file = part if part in paths else None
        _require(repository, wanted, file, runtime)
        found = read_checkpoint_in(repository, file)
        info = repository.info
        return HubCheckpoint(
            found=found,
            repository=info.id,
            revision=wanted.revision,
            shown=printable(info.id.rpartition("/")[2]),
            source=replace(wanted, repository=info.id).text(),
            file_type=None if part == file else part,
            where=repository.where,
            notes=(*repository.notes, *_provenance(repository, found)),
        )


def _require(repository: Repository, name: HubName, file: str | None, runtime: str) -> None:
    """Refuse what holds no checkpoint.

    Raises:
        InvalidRequestError: it holds GGUF files alone.
        UnreadableFileError: it holds nothing that can be read.
    """
    names = list(repository.names()) if file is None else [file]
    if any(map(is_checkpoint_file, names)):
        return
    if any(one.path.lower().endswith(_GGUF_SUFFIX) for one in repository.info.files):
        raise _gguf(name, runtime)
    raise UnreadableFileError(
        what="the repository holds no safetensors and no config.json:"
        if file is None
        else "the file is no checkpoint:",
        got=name.text(),
        next_step=way_out(names),
    )


def _gguf(name: HubName, runtime: str) -> InvalidRequestError:
    return InvalidRequestError(
        what=f"model for {runtime}",
        got=name.text(),
        allowed="a repository with safetensors; this is GGUF",
        next_step="take --runtime llama.cpp, or name the repository it was made of",
    )


def _provenance(repository: Repository, found: Checkpoint) -> tuple[str, ...]:
    """Return the sentence that makes an answer repeatable; none without weights."""
    if not found.n_files:
        return ()
    info = repository.info
    at = "" if info.commit is None else f" at commit {info.commit}"
    files = f"{found.n_files:,} safetensors file{'' if found.n_files == 1 else 's'}"
    size = f"{found.file_bytes:,} bytes ({format_bytes(found.file_bytes)})"
    return (f"{files}, {size}, of {info.id}{at}.",)
