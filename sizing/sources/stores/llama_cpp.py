"""llama.cpp's own cache: files side by side; newer programs use Hugging Face's layout there.

`CACHE/ORG_REPO_FILE.gguf`, with its projector beside it; a download is `….downloadInProgress`.
Source: llama.cpp common/common.cpp (fs_get_cache_directory), common/download.cpp,
common/hf-cache.cpp (LLAMA_CACHE names the folder of either layout).
"""

from __future__ import annotations

import os

from whatfits.sizing.sources.stores.checkpoint_format import checkpoint_format
from whatfits.sizing.sources.stores.grouping import group_models, is_model_file
from whatfits.sizing.sources.stores.hugging_face import read_hub_folder
from whatfits.sizing.sources.stores.stored import StoreContents
from whatfits.sizing.sources.stores.walk import Walk
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.sources.stores.surroundings import Surroundings

__all__ = ["NAME", "folders", "read"]

NAME: Final = "llama.cpp"


def folders(surroundings: Surroundings) -> tuple[str, ...]:
    """Return the folder of the cache."""
    named = surroundings.variable("LLAMA_CACHE")
    if named is None and surroundings.user_cache is not None:
        named = surroundings.join(surroundings.user_cache, "llama.cpp")
    return () if named is None else (named,)


def read(surroundings: Surroundings) -> tuple[StoreContents, ...]:
    """Return what lies in the cache, in either layout, when it is there."""
    return tuple(
        _read_folder(folder)
        for folder in folders(surroundings)
        if os.path.isdir(folder)  # noqa: PTH112 - paths may be any bytes
    )


def _read_folder(folder: str) -> StoreContents:
    walk = Walk(folder, depth=0, wanted=is_model_file)
    models, said = group_models(walk.files, store=NAME, checkpoint=checkpoint_format)
    nested = read_hub_folder(folder, store=NAME)
    findings = (*walk.findings, *said, *nested.findings)
    return StoreContents(NAME, folder, (*models, *nested.models), findings)
