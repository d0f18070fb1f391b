"""One row for the same files under several names, in one store or in two."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whatfits.sizing.sources.stores.stored import FileIdentity, StoreContents, StoredModel

__all__ = ["all_identities", "merged"]


def merged(contents: Iterable[StoreContents]) -> tuple[tuple[StoredModel, ...], ...]:
    """Return the models of all stores, those together that are the very same files.

    The same model with another projector or adapter is another model: it needs something else.
    """
    groups: dict[object, list[StoredModel]] = {}
    for one in contents:
        for model in one.models:
            key = all_identities(model) or (one.store, one.folder, model.name)
            groups.setdefault(key, []).append(model)
    return tuple(tuple(group) for group in groups.values())


def all_identities(model: StoredModel) -> tuple[FileIdentity, ...]:
    """Return every file of a model, what is loaded beside it last."""
    return (*model.identities, *(extra.identity for extra in model.extras))
