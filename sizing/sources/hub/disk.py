"""A repository as far as it was downloaded: `models--org--repo/snapshots/…` in the cache.

Source: huggingface_hub, page "Understand caching": `refs/REVISION` holds a commit, and
`snapshots/COMMIT` links to the files in `blobs`.
"""

from __future__ import annotations

import os
import re

from whatfits.sizing.sources.folders import LocalFolder
from whatfits.sizing.sources.hub.listing import MAX_FILES, RepositoryFile, RepositoryInfo
from whatfits.sizing.sources.hub.names import MAIN, is_plain_path
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.sources.hub.names import HubName

__all__ = ["DownloadedRepository", "find_downloaded"]

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_MAX_REF_BYTES: Final = 64


class DownloadedRepository(LocalFolder):
    """What the cache holds of a repository at one commit; a `Folder`.

    Attributes:
        info: its name, commit and the files that were downloaded.
        notes: what to say about where it came from.
    """

    where: Final = "Downloaded"
    __slots__ = ("info", "notes")

    def __init__(self, snapshot: str, name: HubName, *, reason: str) -> None:
        """Look at a snapshot; `reason` says why the network was not asked."""
        super().__init__(snapshot)
        commit = os.path.basename(snapshot)  # noqa: PTH119 - paths may be any bytes
        self.info = RepositoryInfo(
            id=name.repository,
            commit=commit,
            gated=False,
            base_models=(),
            files=tuple(sorted(_files(snapshot), key=lambda file: file.path)),
        )
        self.notes = (f"{reason}: this is what the download cache holds of {name.repository}.",)

    def shown(self, name: str) -> str:
        """Return the path of one of its files, whatever the system calls a step down."""
        return super().shown(name.replace("/", os.sep))


def find_downloaded(
    cache_folder: str, name: HubName, *, reason: str
) -> DownloadedRepository | None:
    """Return what the cache holds of a repository at the revision that was named; None if nothing.

    `reason` says why the network is not asked, as a note begins.
    """
    folder = os.path.join(cache_folder, f"models--{name.repository.replace('/', '--')}")  # noqa: PTH118 - any bytes
    revision = name.revision or MAIN
    commit = revision if _COMMIT.fullmatch(revision) else _commit_of(folder, revision)
    if commit is None:
        return None
    snapshot = os.path.join(folder, "snapshots", commit)  # noqa: PTH118 - same
    if not os.path.isdir(snapshot):  # noqa: PTH112 - same
        return None
    found = DownloadedRepository(snapshot, name, reason=reason)
    return found if found.info.files else None


def _commit_of(folder: str, revision: str) -> str | None:
    """Return the commit that a branch or tag stood for when it was last downloaded."""
    path = os.path.join(folder, "refs", *revision.split("/"))  # noqa: PTH118 - same
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - same
            text = file.read(_MAX_REF_BYTES).decode("ascii", errors="replace").strip()
    except OSError:
        return None
    return text if _COMMIT.fullmatch(text) else None


def _files(snapshot: str) -> Iterator[RepositoryFile]:
    """Yield the files that are there, with the length that their links lead to."""
    found = 0
    for folder, _, names in os.walk(snapshot):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - any bytes
            shown = os.path.relpath(path, snapshot).replace(os.sep, "/")
            if not is_plain_path(shown):
                continue
            try:
                size = os.stat(path).st_size  # noqa: PTH116 - same
            except OSError:  # a link to a download that is not finished
                continue
            yield RepositoryFile(shown, size)
            found += 1
            if found >= MAX_FILES:
                return
