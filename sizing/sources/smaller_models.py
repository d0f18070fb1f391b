"""Smaller models of the catalog, nearest first: what to run where a model does not fit."""

from __future__ import annotations

from contextlib import suppress

from whatfits.sizing.catalog.lookup import find_model, model_entries
from whatfits.sizing.errors import (
    MalformedFileError,
    UnknownModelError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.ranking.rows import months_of
from whatfits.sizing.sources.catalog_model import spec_of_entry
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.model import ModelSpec

__all__ = ["smaller_models"]

_EMBEDDING: Final = "embedding"
_SMALLER: Final = 0.95  # less of a difference is no remedy, and tables of a file make as much
_HARDLY_OLDER_MONTHS: Final = 6
# checkpoints come in them, or were trained for them: nobody stores another model so
_OF_THEIR_MODELS: Final = frozenset({"MXFP4_MOE", "NVFP4", "TQ1_0", "TQ2_0", "Q1_0", "Q2_0"})
_SURELY: Final = 0.6  # of the present bits a weight: no mix of one file type is leaner than that


def smaller_models(model: ModelSpec, *, room_bytes: int) -> Iterator[ModelSpec]:
    """Yield smaller models: of its family, of its line, then all others.

    They come under the same file type, but for those that only models trained for them have: then
    under what is usual for each. Of line and others those that are hardly older go before those
    that are. Within each the largest comes first. Left out is what cannot fit into `room_bytes`
    and other kinds: an embedding model does not stand in for one that writes.
    """
    parameters = model.parameters or 0
    entry = _entry_of(model)
    embeds = model.embeds if entry is None else entry.kind == _EMBEDDING
    bits = 8 * model.tensor_bytes / parameters if parameters else 0.0
    most = 8 * room_bytes / (bits * _SURELY) if bits else float("inf")
    smaller = [
        other
        for other in model_entries()
        if (other.kind == _EMBEDDING) == embeds
        and 0 < (other.params_total or 0) <= _SMALLER * parameters
        and _text_parameters(other) <= most
    ]
    # of equal size the plainest name: variants add to that of the model they come from
    smaller.sort(key=lambda e: (-(e.params_total or 0), len(e.id), e.id))
    if entry is not None:
        smaller.sort(key=lambda e: _tier(e, entry))
    file_type = None if model.file_type in _OF_THEIR_MODELS else model.file_type
    for other in smaller:
        with suppress(UnsupportedArchitectureError, MalformedFileError):  # its shape has holes
            yield spec_of_entry(other, file_type=file_type)


def _tier(other: ModelEntry, entry: ModelEntry) -> int:
    """Return how far another model is from an entry; 0 is next to it."""
    if other.family == entry.family:
        return 0
    is_older = months_of(other.released) < months_of(entry.released) - _HARDLY_OLDER_MONTHS
    return 3 if is_older else 1 if other.line == entry.line else 2


def _entry_of(model: ModelSpec) -> ModelEntry | None:
    if model.source != "catalog":
        return None
    with suppress(UnknownModelError):
        return find_model(model.name)
    return None


def _text_parameters(entry: ModelEntry) -> int:
    return (entry.params_total or 0) - (entry.params_vision_audio or 0)
