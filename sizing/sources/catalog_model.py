"""Models of the packaged catalog, by name, alias or Hugging Face id; no network."""

from __future__ import annotations

from contextlib import suppress

from whatfits.sizing.architectures import find_entry, spec_from_config
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.model import LAST_POOLING
from whatfits.sizing.quants.default_type import DEFAULT_FILE_TYPE, chosen_file_type
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.vision import vision_note

if TYPE_CHECKING:
    from whatfits.sizing.approximate import ParameterRange
    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.model import ModelSpec

__all__ = [
    "DEFAULT_FILE_TYPE",
    "as_embedding",
    "load_catalog_model",
    "load_entry",
    "spec_of_entry",
]


def load_catalog_model(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return a catalog model under a file type.

    Unset, the file type is the model's native one where GGUF has it (gpt-oss: MXFP4), else
    Q4_K_M; the notes say so.

    Raises:
        UnknownModelError: nothing of that name, or several.
        UnknownFileTypeError: no such file type.
    """
    return spec_of_entry(find_model(name), file_type=file_type)


def load_entry(entry: ModelEntry, file_type: str | None) -> ModelSpec:
    """Return the model of a catalog entry, as a ranking asks for it."""
    return spec_of_entry(entry, file_type=file_type)


def spec_of_entry(entry: ModelEntry, *, file_type: str | None = None) -> ModelSpec:
    """Return the model of a catalog entry under a file type."""
    chosen, said = chosen_file_type(file_type, native=entry.native_quantisation)
    spec = as_embedding(_spec(entry, chosen), entry)
    notes = [*spec.notes, *said, *entry.caveats]
    if entry.vision is not None:
        notes.append(vision_note(entry.vision, parameters=entry.params_vision_audio))
    return replace(spec, notes=tuple(notes))


def as_embedding(spec: ModelSpec, entry: ModelEntry) -> ModelSpec:
    """Return a decoder whose entry says that it embeds as its file says it: by the last token.

    No configuration says so; llama.cpp's conversion reads it from 1_Pooling/config.json.
    """
    if entry.kind != "embedding" or not spec.hparams.causal:
        return spec
    key = f"{spec.architecture}.pooling_type"
    return replace(spec, metadata={**spec.metadata, key: LAST_POOLING})


def _spec(entry: ModelEntry, file_type: str) -> ModelSpec:
    """Return the model with its tensor table, or an interval where the catalog has none yet.

    A shape with holes is malformed to the tensor table: it takes the interval as well.
    """
    config = entry.config
    if find_entry(config) is not None:
        with suppress(MalformedFileError):
            return spec_from_config(
                config, name=entry.id, source="catalog", file_type=file_type, origin=entry.source
            )
    from whatfits.sizing.approximate import approximate_spec  # noqa: PLC0415 - rarely needed

    return approximate_spec(
        config,
        name=entry.id,
        source="catalog",
        file_type=file_type,
        parameters=_text_parameters(entry),
        active_parameters=entry.params_active,
        origin=entry.source,
    )


def _text_parameters(entry: ModelEntry) -> ParameterRange | None:
    """Return the parameters without vision and audio: counted, else as the name rounds them."""
    from whatfits.sizing.approximate import (  # noqa: PLC0415 - rarely needed
        ParameterRange,
        named_parameters,
    )

    if entry.params_total is not None:
        count = entry.params_total - (entry.params_vision_audio or 0)
        return ParameterRange(count, count, count)
    return None if entry.params_published is None else named_parameters(entry.params_published)
