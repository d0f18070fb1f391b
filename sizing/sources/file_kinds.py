"""Saying what a file is when it is not a GGUF: the first bytes count, then the name."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

__all__ = ["HEAD_BYTES", "folder_hint", "other_kind", "pickle_reason"]

HEAD_BYTES: Final = 64

_CHECKPOINT: Final = (
    "llama.cpp loads GGUF files only: convert it, or name it as a model to be sized"
)
_USE_GGUF: Final = "use the GGUF or the safetensors files of the same model instead"
_PICKLE: Final = f"a PyTorch pickle runs code when it is opened, so it never is; {_USE_GGUF}"

# (how the file begins, what it is, what to do)
_SIGNATURES: Final = (
    (b"PK\x03\x04", "a PyTorch or other zip archive", _PICKLE),
    (b"\x80\x02", "a Python pickle", _PICKLE),
    (b"\x80\x03", "a Python pickle", _PICKLE),
    (b"\x80\x04", "a Python pickle", _PICKLE),
    (b"\x80\x05", "a Python pickle", _PICKLE),
    (b"version https://git-lfs", "a Git LFS pointer, not the model", "run 'git lfs pull'"),
    (b"<!DOCTYPE", "a web page, not the model", "download the file itself"),
    (b"<!doctype", "a web page, not the model", "download the file itself"),
    (b"<html", "a web page, not the model", "download the file itself"),
    (b"lmgg", "a GGML file from before GGUF (2023)", "download the model as GGUF"),
    (b"tjgg", "a GGJT file from before GGUF (2023)", "download the model as GGUF"),
    (b"fmgg", "a GGMF file from before GGUF (2023)", "download the model as GGUF"),
    (b"{", "a JSON file", _CHECKPOINT),
)
_JSON_AFTER_LENGTH: Final = 8  # safetensors: length of the header, then the header


def other_kind(head: bytes, *, name: str) -> tuple[str, str]:
    """Return what a file that begins with `head` is, in words, and what to do about it."""
    from whatfits.sizing.readers.safetensors_index import (  # noqa: PLC0415 - only after an error
        PICKLE_SUFFIXES,
    )

    # First, because the length of a header may look like anything else.
    if head[_JSON_AFTER_LENGTH:].startswith(b"{"):
        return "a safetensors file", _CHECKPOINT
    for start, kind, next_step in _SIGNATURES:
        if head.startswith(start):
            return kind, next_step
    lower = name.lower()
    if lower.endswith(".safetensors"):
        return "a safetensors file", _CHECKPOINT
    if lower.endswith(PICKLE_SUFFIXES):
        return "perhaps a pickle", _PICKLE
    if not head:
        return "empty", "check that the download worked"
    return (
        f"of an unknown kind (it begins with {head[:4]!r})",
        "check that it is a model and that the download worked",
    )


def pickle_reason() -> str:
    """Return why a pickle is never opened, and the way out."""
    return _PICKLE


def folder_hint(names: Iterable[str]) -> str:
    """Return what to do about a folder with these files and no GGUF among them."""
    from whatfits.sizing.readers.safetensors_index import (  # noqa: PLC0415 - only after an error
        PICKLE_SUFFIXES,
    )

    lower = [name.lower() for name in names]
    if "config.json" in lower or any(name.endswith(".safetensors") for name in lower):
        return f"it looks like a safetensors model: {_CHECKPOINT}"
    if any(name.endswith(PICKLE_SUFFIXES) for name in lower):
        return _PICKLE
    return "name a .gguf file, or the folder that holds one"
