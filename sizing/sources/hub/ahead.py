"""The beginnings of many files at once: a checkpoint of a hundred files is a hundred round trips.

A client belongs to one thread, so that each of a few threads gets its own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final, Self

    from whatfits.sizing.sources.http import Client, RemoteFile

__all__ = ["Ahead"]

_THREADS: Final = 8
_MOST_FILES: Final = 256  # of 64 KiB each; what is more is read when its turn comes


class Ahead:
    """Files whose first bytes are already here; a context manager.

    What is taken is forgotten, so that memory is that of the files that are still to come.
    """

    def __init__(self, make_client: Callable[[], Client]) -> None:
        self._make_client = make_client
        self._clients = ExitStack()
        self._files: dict[str, RemoteFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._clients.close()

    def fetch(self, addresses: Mapping[str, str]) -> None:
        """Ask for the beginning of each file, given its name and its address.

        Raises:
            BadInputError: one of them cannot be reached, or may not be read.
        """
        wanted = list(addresses.items())[:_MOST_FILES]
        if len(wanted) < 2:  # noqa: PLR2004 - one is no crowd
            return
        free: SimpleQueue[Client] = SimpleQueue()
        for _ in range(min(_THREADS, len(wanted))):
            free.put(self._clients.enter_context(self._make_client()))

        def fetched(address: str) -> RemoteFile:
            client = free.get()
            try:
                return client.file(address)
            finally:
                free.put(client)

        with ThreadPoolExecutor(_THREADS, thread_name_prefix="whatfits-hub") as threads:
            found = [threads.submit(fetched, address) for _, address in wanted]
            try:
                for (name, _), future in zip(wanted, found, strict=True):
                    self._files[name] = future.result()
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise

    def take(self, name: str) -> RemoteFile | None:
        """Return a file that was asked for, once; None when it was not."""
        return self._files.pop(name, None)
