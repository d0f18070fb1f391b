"""`MODEL` or `MODEL:FILETYPE`: a model with its quantisation in one word."""

from __future__ import annotations

from whatfits.sizing.errors import UnknownFileTypeError
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.sources import SOURCES, load
from whatfits.sizing.sources.claims import is_name
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

__all__ = ["load_named"]


def load_named(text: str) -> ModelSpec:
    """Return the model behind `MODEL` or `MODEL:FILETYPE`.

    What is no name of the catalog, as a path, may have a colon of its own.

    Raises:
        BadInputError: unknown name or file type, unreadable or malformed file.
    """
    name, colon, file_type = text.rpartition(":")
    if not colon or ":" in name:
        return load(text)
    try:
        find_file_type(file_type)
    except UnknownFileTypeError:
        source = next(entry for entry in SOURCES if entry.claims(text))
        if source.claims is is_name:
            raise
        return load(text)
    return load(name, file_type=file_type)
