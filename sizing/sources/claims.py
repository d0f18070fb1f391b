"""Which source a name belongs to, by its form and by the first bytes of what is there.

Cheap on purpose: it is asked before any source is imported. What looks like a path or an address
is never looked up in the catalog, and the other way round, so that a typing error cannot pick
another model.
"""

from __future__ import annotations

import os

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "is_address",
    "is_checkpoint",
    "is_hub_name",
    "is_name",
    "is_ollama",
    "is_path",
    "is_url",
]

_HUB: Final = ("hf:", "https://huggingface.co/", "https://hf.co/")
_ADDRESSES: Final = ("hf:", "ollama:")
_FILE_SUFFIXES: Final = (".gguf", ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".json")
_CHECKPOINT_SUFFIXES: Final = (".safetensors", ".json")
_GGUF_SUFFIX: Final = ".gguf"
_GGUF_MAGIC: Final = b"GGUF"
_LENGTH_BYTES: Final = 8
_MAX_ENTRIES: Final = 20_000


def is_address(text: str) -> bool:
    """Whether a name means something on another machine."""
    return text.lower().startswith(_ADDRESSES) or is_url(text)


def is_ollama(text: str) -> bool:
    """Whether a name is one of Ollama's: in its store on this disk, or in a registry."""
    return text.lower().startswith("ollama:")


def is_hub_name(text: str) -> bool:
    """Whether a name means a repository on Hugging Face: `hf:…`, or the address of its page."""
    return text.lower().startswith(_HUB)


def is_path(text: str) -> bool:
    """Whether a name means a file: it says so by its form, or something of that name is there.

    A Hugging Face id (`owner/name`) has one slash and is only a path when it exists.
    """
    if is_address(text):
        return False
    if text.lower().endswith(_FILE_SUFFIXES) or text.startswith((".", "/", "~", "\\")):
        return True
    if os.path.isabs(text) or "\\" in text:  # noqa: PTH117 - no Path for a mere test
        return True
    return os.path.exists(text) or text.count("/") > 1  # noqa: PTH110 - same


def is_checkpoint(text: str) -> bool:
    """Whether a path means safetensors or a `config.json`, or a folder with them and no GGUF."""
    if not is_path(text):
        return False
    try:
        if os.path.isdir(text):  # noqa: PTH112 - paths may be any bytes
            return _is_checkpoint_folder(text)
        head = _head(text)
    except (OSError, ValueError):
        return False
    if head.startswith(_GGUF_MAGIC):
        return False
    return text.lower().endswith(_CHECKPOINT_SUFFIXES) or _is_safetensors(head)


def is_url(text: str) -> bool:
    """Whether a name is the address of one file; of any scheme, so that the wrong ones are refused.

    One letter is no scheme but a Windows drive: `C://models/m.gguf`.
    """
    scheme, separator, _ = text.partition("://")
    return bool(separator) and len(scheme) > 1 and scheme.isalnum()


def is_name(text: str) -> bool:
    """Whether the catalog is to be asked: for everything that nobody else wanted."""
    return not is_address(text)


def _is_safetensors(head: bytes) -> bool:
    """Whether a file begins with the length of a header, below 4 GiB, and its first brace."""
    return head[_LENGTH_BYTES // 2 : _LENGTH_BYTES + 1] == b"\0\0\0\0{"


def _is_checkpoint_folder(folder: str) -> bool:
    found = False
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            name = entry.name.lower()
            if name.endswith(_GGUF_SUFFIX) or count >= _MAX_ENTRIES:
                return False
            found = found or name == "config.json" or name.endswith((".safetensors", ".index.json"))
    return found


def _head(path: str) -> bytes:
    """Return how a file begins; empty for what is no regular file."""
    from whatfits.sizing.errors import UnreadableFileError  # noqa: PLC0415 - only for paths
    from whatfits.sizing.sources.regular_file import open_regular_file  # noqa: PLC0415 - same

    try:
        with open_regular_file(path) as source:
            return source.read(0, _LENGTH_BYTES + 1)
    except UnreadableFileError:
        return b""
