"""Which repositories the catalog knows: for hints, and for the native quantisation of a model."""

from __future__ import annotations

from whatfits.sizing.catalog.lookup import find_model, model_entries
from whatfits.sizing.errors import UnknownModelError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from whatfits.sizing.catalog.lookup import ModelEntry

__all__ = ["catalog_hint", "known_model", "native_quantisation", "near_hint"]

_NEAR: Final = 0.85


def known_model(repository: str) -> ModelEntry | None:
    """Return the catalog's entry of a repository, of that very name; None without one."""
    try:
        found = find_model(repository)
    except UnknownModelError:
        return None
    return found if found.hf_id.casefold() == repository.casefold() else None


def native_quantisation(repositories: Iterable[str]) -> str | None:
    """Return the native quantisation of the first repository that the catalog knows."""
    known = next(filter(None, map(known_model, repositories)), None)
    return None if known is None else known.native_quantisation


def catalog_hint(repository: str) -> str:
    """Return how to get an answer about a repository from the catalog; empty when it has none."""
    known = known_model(repository)
    if known is None:
        return ""
    return f"the catalog knows it without the network: whatfits check {known.id}"


def near_hint(repository: str) -> str:
    """Return a repository of the catalog whose name comes near; empty when none does."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error

    ids = {entry.hf_id.casefold(): entry.hf_id for entry in model_entries()}
    near = get_close_matches(repository.casefold(), ids, n=1, cutoff=_NEAR)
    return f"did you mean 'hf:{ids[near[0]]}'?" if near else ""
