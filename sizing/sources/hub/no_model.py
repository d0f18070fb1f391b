"""What is no model, though it lies where one was expected: said with the way out; pure."""

from __future__ import annotations

from whatfits.sizing.errors import UnreadableFileError
from whatfits.sizing.readers.safetensors_index import PICKLE_SUFFIXES
from whatfits.sizing.sources.file_kinds import folder_hint, pickle_reason
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.sources.hub.names import HubName
    from whatfits.sizing.sources.hub.offers import Offer, Offers

__all__ = ["incomplete", "require_model", "way_out"]


def require_model(offers: Offers, name: HubName) -> None:
    """Refuse a projector or an adapter in the place of a model.

    Raises:
        UnreadableFileError: it is one, or the repository has nothing else.
    """
    for files, kind, option in (
        (offers.projectors, "a projector (mmproj)", "--mmproj"),
        (offers.adapters, "an adapter (LoRA)", "--lora"),
    ):
        named = [file for file in files if name.part in (file.path, file.path.rpartition("/")[2])]
        if named or (files and not offers.models):
            raise UnreadableFileError(
                what=f"what is named is {kind}, not a model:",
                got=name.text(),
                next_step=f"name the model that it goes with; add the file with {option}",
            )


def incomplete(offers: Sequence[Offer], name: HubName) -> UnreadableFileError:
    """Return the error for split models of which files are missing, the largest first."""
    first = offers[0]
    return UnreadableFileError(
        what=f"{first.missing:,} of {first.missing + len(first.paths):,} files are missing of",
        got=f"{name.repository}:{first.paths[0]}",
        next_step="name another revision or repository",
    )


def way_out(names: Sequence[str]) -> str:
    """Return what to do about a repository, or a file, that is no model."""
    if any(name.lower().endswith(PICKLE_SUFFIXES) for name in names):
        return pickle_reason()
    return folder_hint(names)
