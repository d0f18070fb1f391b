"""What is already on this disk: one file a store, and one list of them.

Names and lengths only: no model file is opened until somebody wants to know what it needs. A store
that is not there is empty, and what is broken in one is a line among its findings.
"""

from __future__ import annotations

from importlib import import_module

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.sources.stores.stored import StoreContents
    from whatfits.sizing.sources.stores.surroundings import Surroundings

__all__ = ["STORES", "read_stores"]

_PACKAGE: Final = "whatfits.sizing.sources.stores"
STORES: Final = ("ollama", "lm_studio", "jan", "llama_cpp", "hugging_face")


def read_stores(surroundings: Surroundings) -> tuple[StoreContents, ...]:
    """Return what lies in every folder of every store that is there, in the order of `STORES`."""
    found: list[StoreContents] = []
    for name in STORES:
        module = import_module(f"{_PACKAGE}.{name}")
        read: Callable[[Surroundings], tuple[StoreContents, ...]] = module.read
        try:
            found += read(surroundings)
        except (BadInputError, OSError) as error:
            found.append(_failed(module.NAME, error))
    return tuple(found)


def _failed(store: str, error: Exception) -> StoreContents:
    from whatfits.sizing.errors import printable  # noqa: PLC0415 - only after an error
    from whatfits.sizing.sources.stores.stored import StoreContents  # noqa: PLC0415 - same

    return StoreContents(store, "", findings=(printable(error),))
