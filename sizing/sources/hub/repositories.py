"""Opening a repository: over the network, else as far as it is here.

That is what was downloaded (the program will load that very file), else what was kept of earlier
answers: the listing and the headers that were read.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

from whatfits.sizing.errors import UnreachableError
from whatfits.sizing.sources.hub.disk import find_downloaded
from whatfits.sizing.sources.hub.known import catalog_hint
from whatfits.sizing.sources.hub.settings import read_settings
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.sources.hub.disk import DownloadedRepository
    from whatfits.sizing.sources.hub.names import HubName
    from whatfits.sizing.sources.hub.remote import RemoteRepository
    from whatfits.sizing.sources.hub.settings import HubSettings

    Repository = RemoteRepository | DownloadedRepository

__all__ = ["open_repository"]


@contextmanager
def open_repository(name: HubName) -> Iterator[Repository]:
    """Open a repository: over the network, else as far as it is here.

    Raises:
        BadInputError: it does not exist, may not be read, or is nowhere to be had.
    """
    from whatfits.sizing.sources.hub.remote import open_remote  # noqa: PLC0415 - network on use

    settings = read_settings()
    with ExitStack() as stack:
        opened: Repository
        if settings.is_offline:
            reason = f"is not asked, and nothing of {name.repository} was downloaded or read before"
            step = catalog_hint(name.repository) or "unset WHATFITS_OFFLINE and HF_HUB_OFFLINE"
            nowhere = UnreachableError(settings.endpoint, reason=reason, next_step=step)
            opened = stack.enter_context(_open_here(name, settings, "The network is off", nowhere))
        else:
            try:
                opened = stack.enter_context(open_remote(name, settings))
            except UnreachableError as error:
                hint = catalog_hint(name.repository)
                nowhere = UnreachableError(settings.endpoint, next_step=hint) if hint else error
                why = f"{settings.host} cannot be reached"
                opened = stack.enter_context(_open_here(name, settings, why, nowhere))
        yield opened


@contextmanager
def _open_here(
    name: HubName, settings: HubSettings, why: str, nowhere: UnreachableError
) -> Iterator[Repository]:
    """Open what was downloaded of a repository, else what was kept of earlier answers.

    Raises:
        UnreachableError: `nowhere`, when there is neither.
    """
    from whatfits.sizing.sources.hub.remote import open_remote  # noqa: PLC0415 - same

    downloaded = find_downloaded(settings.cache_folder, name, reason=why)
    with ExitStack() as stack:
        opened: Repository
        if downloaded is not None:
            opened = downloaded
        else:
            try:
                opened = stack.enter_context(open_remote(name, settings, is_offline=True))
            except UnreachableError:
                raise nowhere from None
        yield opened
