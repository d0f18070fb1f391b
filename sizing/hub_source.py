"""Where on Hugging Face something was read: `hf:org/repo[@revision][:file]`, taken apart.

What a person types is checked in `sizing/sources/hub/names.py`; this is what came of it.
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["HUB_PREFIX", "HubSource", "hub_source"]

HUB_PREFIX: Final = "hf:"


class HubSource(NamedTuple):
    """A place on Hugging Face; revision and file are empty where none is named."""

    repository: str
    revision: str
    file: str


def hub_source(source: str) -> HubSource | None:
    """Return the place that a source names; None where it is not on Hugging Face."""
    if not source.startswith(HUB_PREFIX):
        return None
    place, _, file = source.removeprefix(HUB_PREFIX).partition(":")
    repository, _, revision = place.partition("@")
    return HubSource(repository, revision, file)
