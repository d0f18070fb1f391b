"""A GGUF file or folder on this disk as a model."""

from __future__ import annotations

from whatfits.sizing.architectures import spec_from_gguf
from whatfits.sizing.errors import UnreadableFileError
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.sources.local_file import load_gguf_files
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.readers.gguf import GgufHeader

__all__ = ["as_file_type", "load_file", "spec_of_header", "with_files"]


def load_file(path: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model in a file; with `file_type`, as if it were quantised to that.

    Raises:
        UnreadableFileError: missing, a directory without a model, not permitted.
        MalformedFileError: the bytes contradict the format.
        UnknownFileTypeError: no such file type.
    """
    found = load_gguf_files(path)
    spec = spec_of_header(found.header, name=found.name, source=path, file_type=file_type)
    return with_files(spec, found.files)


def with_files(spec: ModelSpec, files: Sequence[str]) -> ModelSpec:
    """Return a model with what commands have to name: its first file, and all of a split one."""
    first = None if files[0] == spec.source else files[0]
    return replace(spec, file=first, parts=tuple(files) if len(files) > 1 else ())


def spec_of_header(
    header: GgufHeader,
    *,
    name: str,
    source: str,
    file_type: str | None = None,
    notes: tuple[str, ...] = (),
) -> ModelSpec:
    """Return the model of a header, wherever its bytes came from; `notes` are added to its own.

    Raises:
        UnreadableFileError: it is an adapter, or a vocabulary without weights.
        MalformedFileError: a value is missing, of the wrong kind or out of range.
        UnsupportedArchitectureError: nothing sound can be said about it.
        UnknownFileTypeError: no such file type.
    """
    _require_weights(header, source)
    spec = spec_from_gguf(header, name=name, source=source)
    spec = replace(spec, notes=(*spec.notes, *notes, *_hollow(spec)))
    if file_type is None or find_file_type(file_type).name == spec.file_type:
        return spec
    return as_file_type(spec, file_type)


def as_file_type(spec: ModelSpec, file_type: str) -> ModelSpec:
    """Return the model of a file as it would be in another file type, which has to be made first.

    Raises:
        UnknownFileTypeError: no such file type.
    """
    from whatfits.sizing.requantise import requantised  # noqa: PLC0415 - rarely asked for

    changed = requantised(spec, file_type)
    if spec.planned:
        return changed
    note = f"The file is {spec.file_type}; this is what {changed.file_type} of it would take."
    return replace(changed, notes=(*changed.notes, note), planned=True)


def _hollow(spec: ModelSpec) -> Iterator[str]:
    """Yield that layers lack every tensor: a file that llama.cpp refuses, though it has a size.

    A part of a split model whose numbers were lost looks like that. Some models have layers that
    do nothing (Deci): those need none.
    """
    held = {tensor.layer for tensor in spec.tensors}
    empty = [
        index
        for index, layer in enumerate(spec.layers)
        if index not in held and (layer.attention or layer.recurrent or layer.n_ff)
    ]
    if empty:
        yield (
            f"{len(empty):,} of {spec.n_layers:,} layers have no tensors, the first of them "
            f"blk.{empty[0]}: the file is not whole, and llama.cpp does not load it."
        )


def _require_weights(header: GgufHeader, source: str) -> None:
    """Refuse what names a model's architecture and is none, before a missing key is blamed.

    Adapters say nothing of layers; files made to test tokenizers say all of them and hold none:
    llama.cpp refuses both in the place of a model.
    """
    if header.metadata.get("general.type") == "adapter":
        raise UnreadableFileError(
            what="the file is an adapter (LoRA), not a model:",
            got=source,
            next_step="name the model that it goes with; add the file with --lora",
        )
    if not header.tensors:
        raise UnreadableFileError(
            what="the file holds a vocabulary and no weights:",
            got=source,
            next_step="give the model's own file",
        )
