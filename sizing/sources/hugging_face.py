"""`hf:org/repo`: a model on Hugging Face, read from its listing and its headers; no download.

A repository with GGUF files is read like a GGUF file here, one with safetensors like a folder
here: the same readers, other bytes.
"""

from __future__ import annotations

from whatfits.sizing.errors import (
    InvalidRequestError,
    UnknownFileTypeError,
    UnknownModelError,
    UnreadableFileError,
    printable,
)
from whatfits.sizing.quants.file_types import FILE_TYPES, find_file_type
from whatfits.sizing.sources.checkpoint_files import CONFIG, read_checkpoint_in
from whatfits.sizing.sources.folder import checkpoint_spec
from whatfits.sizing.sources.gguf_model import spec_of_header, with_files
from whatfits.sizing.sources.hub.choice import choose
from whatfits.sizing.sources.hub.disk import DownloadedRepository
from whatfits.sizing.sources.hub.headers import read_header, read_starts
from whatfits.sizing.sources.hub.known import native_quantisation
from whatfits.sizing.sources.hub.names import parse_hub_name
from whatfits.sizing.sources.hub.no_model import incomplete, require_model, way_out
from whatfits.sizing.sources.hub.offers import sort_files
from whatfits.sizing.sources.hub.repositories import open_repository
from whatfits.sizing.sources.local_file import display_name
from whatfits.sizing.sources.split_gguf import parse_split_name
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.sources.hub.choice import Choice
    from whatfits.sizing.sources.hub.listing import RepositoryFile
    from whatfits.sizing.sources.hub.names import HubName
    from whatfits.sizing.sources.hub.offers import Offers
    from whatfits.sizing.sources.hub.repositories import Repository

__all__ = ["load_hub_model", "load_hub_offers", "load_quick_hub_model"]

_CHECKPOINT_SUFFIXES: Final = (".safetensors", ".safetensors.index.json")
_GGUF_SUFFIX: Final = ".gguf"


def load_hub_model(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model behind `hf:org/repo[@revision][:file or file type]`.

    Raises:
        BadInputError: the name is none, the repository cannot be reached or read, several models
            answer to the name, or what it holds is no model.
    """
    wanted = parse_hub_name(name)
    with open_repository(wanted) as repository:
        return _model(repository, wanted, file_type)


def load_quick_hub_model(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the same from the listing and the first 64 KiB of each file, weights as an interval.

    Of safetensors only the configuration is read. What was downloaded is read as ever.

    Raises:
        InvalidRequestError: the file type asked for is none that the repository offers.
        UnsupportedArchitectureError: the first bytes do not say enough.
        BadInputError: as `load_hub_model`.
    """
    wanted = parse_hub_name(name)
    with open_repository(wanted) as repository:
        is_here = isinstance(repository, DownloadedRepository)
        return _model(repository, wanted, file_type, quick=not is_here)


def load_hub_offers(name: str) -> tuple[ModelSpec, Offers]:
    """Return the model behind a name, and every GGUF file that its repository offers.

    Raises:
        BadInputError: as `load_hub_model`.
    """
    wanted = parse_hub_name(name)
    with open_repository(wanted) as repository:
        return _model(repository, wanted, None), sort_files(repository.info.files)


def _model(
    repository: Repository, name: HubName, file_type: str | None, *, quick: bool = False
) -> ModelSpec:
    """Return the model that is meant among the files of a repository."""
    info = repository.info
    paths = {file.path for file in info.files}
    part = name.part
    if part is not None and part in paths and not part.lower().endswith(_GGUF_SUFFIX):
        return _checkpoint(repository, name, file_type, file=part)
    offers = sort_files(info.files)
    if offers.complete:
        require_model(offers, name)
        return _gguf(repository, name, offers, file_type, quick=quick)
    if offers.models:
        raise incomplete(offers.models, name)
    if offers.projectors or offers.adapters:
        require_model(offers, replace(name, part=None))
    asked = _asked_type(name, file_type)
    file = CONFIG if quick and repository.has(CONFIG) else None
    return _checkpoint(repository, name, asked, file=file)


def _gguf(
    repository: Repository, name: HubName, offers: Offers, file_type: str | None, *, quick: bool
) -> ModelSpec:
    """Return the model of the GGUF files that are meant."""
    info = repository.info
    native = native_quantisation((info.id, *info.base_models))
    choice = choose(offers.complete, name, file_type=file_type, native=native)
    source = _source(repository, name, choice.offer.paths[0])
    spec = (_quick if quick else _exact)(repository, choice, source)
    spec = with_files(spec, [_source(repository, name, path) for path in choice.offer.paths])
    said = _provenance(
        repository,
        _files(choice.offer.paths),
        choice.offer.size_bytes if choice.offer.size_bytes is not None else spec.file_bytes,
    )
    beside = _beside(offers.projectors, replace(name, repository=info.id))
    differs = _differs(choice, spec)
    notes = (*spec.notes, *choice.notes, *differs, *repository.notes, said, *beside)
    return replace(spec, notes=tuple(dict.fromkeys(notes)))


def _quick(repository: Repository, choice: Choice, source: str) -> ModelSpec:
    """Return the model of the files that were chosen, from their first bytes.

    Raises:
        InvalidRequestError: it is to be sized under another file type than it has.
    """
    from whatfits.sizing.sources.quick import quick_spec  # noqa: PLC0415 - rarely asked for

    if choice.planned_type is not None:
        raise InvalidRequestError(
            what="file type",
            got=choice.planned_type,
            allowed="one that the repository offers, beside --quick",
            next_step="leave --quick out: another type needs the tensor table",
        )
    paths = choice.offer.paths
    file = paths[0].rpartition("/")[2]
    split = parse_split_name(file)
    stem = split.prefix if split else file.removesuffix(_GGUF_SUFFIX)
    return quick_spec(read_starts(repository, paths), name=printable(stem), source=source)


def _exact(repository: Repository, choice: Choice, source: str) -> ModelSpec:
    """Return the model of the files that were chosen, from their whole headers."""
    paths = choice.offer.paths
    header = read_header(repository, paths)
    return spec_of_header(
        header,
        name=display_name(paths[0].rpartition("/")[2], header),
        source=source,
        file_type=choice.planned_type,
    )


def _source(repository: Repository, name: HubName, path: str) -> str:
    """Return where a model comes from: a file here when it was downloaded, else its full name."""
    if isinstance(repository, DownloadedRepository):
        return repository.shown(path)
    return replace(name, repository=repository.info.id).text(path)


def _checkpoint(
    repository: Repository, name: HubName, file_type: str | None, *, file: str | None = None
) -> ModelSpec:
    """Return the model of a repository's safetensors, or of its configuration alone.

    Raises:
        UnreadableFileError: it has neither.
    """
    info = repository.info
    names = [file] if file is not None else list(repository.names())
    if not any(n.lower().endswith((CONFIG, *_CHECKPOINT_SUFFIXES)) for n in names):
        raise UnreadableFileError(
            what="the repository holds no GGUF, no safetensors and no config.json:"
            if file is None
            else "the file is no model that can be read:",
            got=name.text(),
            next_step=way_out(names),
        )
    found = read_checkpoint_in(repository, file)
    source = replace(name, repository=info.id).text()
    spec = checkpoint_spec(
        found,
        name=source,
        shown=printable(info.id.rpartition("/")[2]),
        file_type=file_type,
        where=repository.where,
    )
    files = f"{found.n_files:,} safetensors file{'' if found.n_files == 1 else 's'}"
    said = (_provenance(repository, files, found.file_bytes),) if found.n_files else ()
    return replace(spec, notes=(*spec.notes, *repository.notes, *said))


def _asked_type(name: HubName, file_type: str | None) -> str | None:
    """Return the file type to size safetensors under: the part of the name is one, if it is given.

    Raises:
        UnknownModelError: the part is neither a file type nor a file.
    """
    if name.part is None:
        return file_type
    try:
        named = find_file_type(name.part).name
    except UnknownFileTypeError as error:
        raise UnknownModelError(
            what=f"{name.repository} has no file or file type",
            got=name.part,
            next_step=f"name the repository alone: {replace(name, part=None).text()}",
        ) from error
    return file_type or named


def _differs(choice: Choice, spec: ModelSpec) -> Iterator[str]:
    """Yield that a file's name and its header name different file types, if they do."""
    said, found = choice.offer.file_type, spec.file_type
    if said is None or found is None or choice.planned_type is not None:
        return
    kinds = FILE_TYPES.get(said), FILE_TYPES.get(found)
    if None not in kinds and len({kind.stock_name for kind in kinds if kind is not None}) > 1:
        yield f"The file's name says {said}, its header {found}: the header counts."


def _files(paths: Sequence[str]) -> str:
    return printable(paths[0]) if len(paths) == 1 else f"{len(paths):,} files"


def _provenance(repository: Repository, what: str, n_bytes: int | None) -> str:
    """Return the sentence that makes an answer repeatable: files, bytes, repository and commit."""
    info = repository.info
    at = "" if info.commit is None else f" at commit {info.commit}"
    how = "on this disk" if isinstance(repository, DownloadedRepository) else "to download"
    size = "" if n_bytes is None else f", {n_bytes:,} bytes ({format_bytes(n_bytes)})"
    return f"{what}{size} {how}, of {info.id}{at}."


def _beside(projectors: Sequence[RepositoryFile], name: HubName) -> Iterator[str]:
    if projectors:
        names = ", ".join(printable(file.path) for file in projectors[:3])
        example = name.text(printable(projectors[0].path))
        yield (
            f"The repository has projectors for images or sound ({names}); none is counted: name "
            f"one with --mmproj, as {example}."
        )
