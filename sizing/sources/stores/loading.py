"""A model of a store as a model to be sized: its header is opened here, and nowhere before."""

from __future__ import annotations

from functools import partial

from whatfits.sizing.errors import BadInputError, UnreadableFileError, UnsupportedArchitectureError
from whatfits.sizing.extras import Companion
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.readers.findings import MISSING_DATA
from whatfits.sizing.sources.extra_files import adapter_of, projector_of
from whatfits.sizing.sources.folder import MISSING_FILES, load_checkpoint_model
from whatfits.sizing.sources.gguf_model import spec_of_header, with_files
from whatfits.sizing.sources.local_file import load_gguf, load_gguf_files
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.readers.gguf import GgufHeader
    from whatfits.sizing.sources.stores.stored import ExtraKind, StoredExtra, StoredModel

__all__ = [
    "Missing",
    "companion_of",
    "load_stored_model",
    "missing_of",
    "with_companions_read",
]

NOT_COUNTED: Final = "is not counted"


class Missing(NamedTuple):
    """Notes on a model of which something is not there.

    Attributes:
        bytes_or_files: of the model itself.
        companions: what is loaded beside it and could not be read.
    """

    bytes_or_files: tuple[str, ...]
    companions: tuple[str, ...]


def load_stored_model(stored: StoredModel, *, file_type: str | None = None) -> ModelSpec:
    """Return a model of a store, with what its program loads beside it.

    What cannot be read of that is left out, and a note says so. `file_type` asks for another
    quantisation.

    Raises:
        UnsupportedArchitectureError: it can be listed but not sized.
        BadInputError: its files cannot be read or understood.
    """
    if stored.refusal:
        raise UnsupportedArchitectureError(what=stored.refusal + ":", got=stored.name)
    if not stored.paths:
        raise UnreadableFileError(what="no file of the model is there:", got=stored.name)
    path = stored.paths[0]
    if stored.format == "gguf":
        found = load_gguf_files(path)
        spec = spec_of_header(found.header, name=stored.name, source=path, file_type=file_type)
        spec = with_files(spec, found.files)
    else:
        spec = load_checkpoint_model(path, file_type=file_type)
    spec = replace(spec, notes=(*spec.notes, *(f"{line}." for line in stored.findings)))
    return with_companions_read(
        spec, ((extra.kind, partial(_read, extra)) for extra in stored.extras)
    )


def with_companions_read(
    spec: ModelSpec, extras: Iterable[tuple[ExtraKind, Callable[[ModelSpec], Companion]]]
) -> ModelSpec:
    """Return a model with what it comes with, read one by one; notes say what could not be."""
    companions: list[Companion] = []
    notes: list[str] = []
    for kind, read in extras:
        try:
            companions.append(read(spec))
        except BadInputError as error:
            notes.append(f"Its {kind} {NOT_COUNTED}: {error}.")
    return replace(spec, companions=tuple(companions), notes=(*spec.notes, *notes))


def companion_of(
    kind: ExtraKind, header: GgufHeader, model: ModelSpec, *, name: str, file: str
) -> Companion:
    """Return what a header is as a companion of `model`; `file` goes into commands.

    Raises:
        BadInputError: it is not what it is kept as.
    """
    if kind == "projector":
        return Companion(file, projector_of(header, name=name, path=file))
    if kind == "adapter":
        return Companion(file, adapter_of(header, model, name=name, path=file))
    return Companion(file, spec_of_header(header, name=name, source=file, file_type=None))


def _read(extra: StoredExtra, model: ModelSpec) -> Companion:
    header, name = load_gguf(extra.path)
    return companion_of(extra.kind, header, model, name=name, file=extra.path)


def missing_of(spec: ModelSpec) -> Missing:
    """Return what the notes of a model that was read here say is missing."""
    bytes_or_files = tuple(
        note for note in spec.notes if note.startswith(MISSING_DATA) or MISSING_FILES in note
    )
    companions = tuple(note for note in spec.notes if NOT_COUNTED in note)
    return Missing(bytes_or_files, companions)
