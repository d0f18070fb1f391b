"""Every hostile file under its class, and the reader that has to answer for it.

The classes are those of the readers' threat list: G1 to G14 GGUF files and sets of them, S1 to S3
safetensors, S4 their index, C1 the configuration beside it. G15 (cut everywhere) and G16 (what is
no file) are made, not listed: test_truncation.py and test_file_kinds.py.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import checkpoint_cases
import gguf_cases
import gguf_model_cases
import safetensors_cases
import split_cases

from whatfits.sizing.architectures import spec_from_gguf
from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.readers.safetensors import read_safetensors_header
from whatfits.sizing.readers.safetensors_index import read_safetensors_index
from whatfits.sizing.sources import load
from whatfits.sizing.sources.local_file import load_gguf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from gguf_case import Case
    from split_cases import SetCase


class Reader(NamedTuple):
    """Who answers for the classes of one kind of file.

    Attributes:
        read: takes the path of a written case, or its bytes, and returns what it says about them.
        takes_bytes: whether it takes the bytes of a file, or a path to it.
        always_speaks: whether a sound file has notes too.
    """

    read: Callable[..., Sequence[str]]
    takes_bytes: bool = True
    always_speaks: bool = False


def _model_notes(data: bytes) -> Sequence[str]:
    return spec_from_gguf(read_gguf_header(data), name="m", source="m").notes


GGUF = Reader(lambda data: read_gguf_header(data).findings)
MODEL = Reader(_model_notes)
SPLIT = Reader(lambda path: load_gguf(path)[0].findings, takes_bytes=False)
SAFETENSORS = Reader(lambda data: read_safetensors_header(data).findings)
INDEX = Reader(lambda data: read_safetensors_index(data).findings)
CONFIG = Reader(lambda path: load(str(path)).notes, takes_bytes=False, always_speaks=True)

READERS: Mapping[str, Reader] = {
    **dict.fromkeys(gguf_cases.CLASSES, GGUF),
    **dict.fromkeys(gguf_model_cases.CLASSES, MODEL),
    **dict.fromkeys(split_cases.CLASSES, SPLIT),
    **dict.fromkeys(safetensors_cases.CLASSES, SAFETENSORS),
    **dict.fromkeys(checkpoint_cases.INDEX_CLASSES, INDEX),
    **dict.fromkeys(checkpoint_cases.CONFIG_CLASSES, CONFIG),
}
_GENERATORS: Mapping[str, Callable[[], object]] = {
    **gguf_cases.CLASSES,
    **gguf_model_cases.CLASSES,
    **split_cases.CLASSES,
    **safetensors_cases.CLASSES,
    **checkpoint_cases.INDEX_CLASSES,
    **checkpoint_cases.CONFIG_CLASSES,
}
_FIGURES = re.compile(r"[-+]?\d[\d,.^]*|'.*?'|b'.*?'|\[.*?\]")


def cases_of(label: str) -> dict[str, Case | SetCase]:
    """Return the files of a class by their names."""
    return {case.name: case for case in _GENERATORS[label]()}  # type: ignore[attr-defined]


def member_of(name: str) -> str:
    """Return which member of its class a file is: its name without figures and quotations."""
    return _FIGURES.sub("#", name)


@cache
def names() -> tuple[tuple[str, str], ...]:
    """Return (class, name) of every file."""
    return tuple((label, name) for label in READERS for name in cases_of(label))


def write(case: Case | SetCase, folder: Path) -> Path:
    """Return the path that a written case is named by."""
    if hasattr(case, "files"):
        return case.write(folder)
    path = folder / "config.json"
    path.write_bytes(case.data)
    return path
