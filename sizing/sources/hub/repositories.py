"""Opening a repository: over the network, else as far as it was downloaded."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from whatfits.sizing.errors import UnreachableError
from whatfits.sizing.sources.hub.disk import find_downloaded
from whatfits.sizing.sources.hub.known import catalog_hint
from whatfits.sizing.sources.hub.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.sources.hub.disk import DownloadedRepository
    from whatfits.sizing.sources.hub.names import HubName
    from whatfits.sizing.sources.hub.remote import RemoteRepository

    Repository = RemoteRepository | DownloadedRepository

__all__ = ["open_repository"]


@contextmanager
def open_repository(name: HubName) -> Iterator[Repository]:
    """Open a repository: over the network, else as far as it was downloaded.

    Raises:
        BadInputError: it is in neither place.
    """
    settings = read_settings()
    if settings.is_offline:
        found = find_downloaded(settings.cache_folder, name, reason="The network is off")
        if found is None:
            raise UnreachableError(
                settings.endpoint,
                reason=f"is not asked, and nothing of {name.repository} was downloaded",
                next_step=catalog_hint(name.repository) or "unset HF_HUB_OFFLINE",
            )
        yield found
        return
    from whatfits.sizing.sources.hub.remote import open_remote  # noqa: PLC0415 - network on use

    with ExitStack() as stack:
        try:
            opened: Repository = stack.enter_context(open_remote(name, settings))
        except UnreachableError as error:
            reason = f"{settings.host} cannot be reached"
            found = find_downloaded(settings.cache_folder, name, reason=reason)
            hint = catalog_hint(name.repository)
            if found is None and hint:
                raise UnreachableError(settings.endpoint, next_step=hint) from error
            if found is None:
                raise
            opened = found
        yield opened
