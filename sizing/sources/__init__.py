"""A name, path or address → a model; the only input and output inside sizing.

One file a source. `load` asks them in order: what looks like a path or an address is never looked
up in the catalog, and the other way round, so that a typing error cannot pick another model.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import InvalidRequestError

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

__all__ = ["load"]

_ADDRESSES: Final = ("hf:", "ollama:", "http://", "https://")
_FILE_SUFFIXES: Final = (".gguf", ".safetensors", ".bin", ".pt", ".pth", ".json")


def load(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model behind a catalog name or a path.

    `file_type` chooses the quantisation of a catalog model; a file already has one, and gets a
    planned other one when it is given.

    Raises:
        BadInputError: unknown name, unreadable or malformed file, unknown file type.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidRequestError(
            what="model", got=name, allowed="a catalog name or the path of a GGUF file"
        )
    text = name.strip()
    if text.lower().startswith(_ADDRESSES):
        raise InvalidRequestError(
            what="model",
            got=text,
            allowed="a catalog name or the path of a GGUF file",
            next_step="addresses are not read yet: download the file, or use the catalog name",
        )
    if _is_path(text):
        from whatfits.sizing.sources.gguf_model import load_file  # noqa: PLC0415 - cold path

        return load_file(text, file_type=file_type)
    from whatfits.sizing.sources.catalog_model import load_catalog_model  # noqa: PLC0415 - same

    return load_catalog_model(text, file_type=file_type)


def _is_path(text: str) -> bool:
    """Whether a name means a file: it says so by its form, or something of that name is there.

    A Hugging Face id (`owner/name`) has one slash and is only a path when it exists.
    """
    if text.lower().endswith(_FILE_SUFFIXES) or text.startswith((".", "/", "~", "\\")):
        return True
    if os.path.isabs(text) or "\\" in text:  # noqa: PTH117 - no Path for a mere test
        return True
    return os.path.exists(text) or text.count("/") > 1  # noqa: PTH110 - same
