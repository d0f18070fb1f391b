"""Room on this disk: of a folder that is there, or will be."""

from __future__ import annotations

import os

from whatfits.sizing.errors import ProbeError
from whatfits.sizing.hub_source import hub_source
from whatfits.sizing.sources.claims import is_address
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

__all__ = ["download_folder", "free_disk_bytes"]


def download_folder(spec: ModelSpec) -> str | None:
    """Return where a model would be downloaded to; None when it is here, or nobody can tell.

    What Ollama would pull has its place already, repositories go into Hugging Face's cache; for
    all else it is the home folder.
    """
    if spec.source != "catalog" and not is_address(spec.source):
        return None
    if spec.file is not None and not is_address(spec.file):
        return os.path.dirname(spec.file) or None  # noqa: PTH120 - pathlib is not imported
    if hub_source(spec.source) is not None:
        from whatfits.sizing.sources.stores.hugging_face import folders
        from whatfits.sizing.sources.stores.surroundings import here

        return next(iter(folders(here())), None)
    return os.environ.get("HOME") or os.environ.get("USERPROFILE") or None


def free_disk_bytes(folder: str) -> int | None:
    """Return what is free for this user where a folder lies or would be made; None if unknown."""
    from whatfits.probes.files import read_free_disk

    while not os.path.isdir(folder):  # noqa: PTH112 - pathlib is not imported
        above = os.path.dirname(folder)  # noqa: PTH120 - same
        if above == folder:
            return None
        folder = above
    try:
        free = read_free_disk(folder).get("free_bytes")
    except ProbeError:
        return None
    return free if isinstance(free, int) else None
