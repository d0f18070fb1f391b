"""LM Studio's folder of models: `MODELS/PUBLISHER/REPO/FILE.gguf`, or a folder with MLX files.

LM Studio's home is what `~/.lmstudio-home-pointer` says, else `~/.cache/lm-studio` where it is
there (older versions), else `~/.lmstudio`; `downloadsFolder` in its `settings.json` moves the
models. What the program itself came with lies in `.internal/bundled-models` of its home.
Source: lmstudio-ai/lms (findLMStudioHome), settings files of versions 0.3 and 0.4.
"""

from __future__ import annotations

import os

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.readers.strict_json import parse_json
from whatfits.sizing.sources.stores.checkpoint_format import checkpoint_format
from whatfits.sizing.sources.stores.grouping import group_models, is_model_file
from whatfits.sizing.sources.stores.stored import StoreContents
from whatfits.sizing.sources.stores.walk import Walk, read_small_file
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.sources.stores.surroundings import Surroundings

__all__ = ["NAME", "homes", "models_folder", "pointed_home", "read"]

NAME: Final = "LM Studio"
_POINTER: Final = ".lmstudio-home-pointer"
_SETTINGS: Final = "settings.json"
_KEY: Final = "downloadsFolder"
_BUNDLED: Final = (".internal", "bundled-models")
_MAX_POINTER_BYTES: Final = 8_192
_MAX_SETTINGS_BYTES: Final = 2**20
_DEPTH: Final = 5  # publisher, repository, and folders inside


def homes(surroundings: Surroundings) -> tuple[str, ...]:
    """Return where LM Studio may live when nothing points elsewhere, older place first."""
    old = surroundings.below_home(".cache", "lm-studio")
    new = surroundings.below_home(".lmstudio")
    return tuple(folder for folder in (old, new) if folder)


def pointed_home(text: bytes, surroundings: Surroundings) -> str | None:
    """Return the home that the pointer file names; None when it names no absolute path."""
    path = text.decode(errors="surrogateescape").strip()
    return path if path and "\0" not in path and surroundings.is_absolute(path) else None


def models_folder(settings: bytes | None, home: str, surroundings: Surroundings) -> str:
    """Return the folder of models of a home: as its settings say, else `models` in it."""
    usual = surroundings.join(home, "models")
    if settings is None:
        return usual
    try:
        value = parse_json(settings, "LM Studio settings", on_duplicate=lambda _: None)
    except BadInputError:
        return usual
    named = value.get(_KEY) if isinstance(value, dict) else None
    if not isinstance(named, str) or "\0" in named or not surroundings.is_absolute(named):
        return usual
    return named


def read(surroundings: Surroundings) -> tuple[StoreContents, ...]:
    """Return what lies in the folder of models of every home that is there."""
    pointer = surroundings.below_home(_POINTER)
    text = None if pointer is None else _content(pointer, _MAX_POINTER_BYTES)
    pointed = None if text is None else pointed_home(text, surroundings)
    found: dict[str, None] = {}
    for home in dict.fromkeys((*filter(None, (pointed,)), *homes(surroundings))):
        settings = _content(surroundings.join(home, _SETTINGS), _MAX_SETTINGS_BYTES)
        bundled = surroundings.join(home, *_BUNDLED)
        for folder in (models_folder(settings, home, surroundings), bundled):
            if os.path.isdir(folder):  # noqa: PTH112 - paths may be any bytes
                found[folder] = None
    return tuple(_read_folder(folder) for folder in found)


def _content(path: str, most_bytes: int) -> bytes | None:
    try:
        return read_small_file(path, most_bytes=most_bytes)
    except BadInputError:
        return None


def _read_folder(folder: str) -> StoreContents:
    """Return the models of a folder; people link files and folders into it from elsewhere.

    A projector belongs to the models of its own folder and of those below.
    """
    walk = Walk(folder, depth=_DEPTH, wanted=is_model_file)
    models, said = group_models(walk.files, store=NAME, checkpoint=checkpoint_format)
    return StoreContents(NAME, folder, models, (*walk.findings, *said))
