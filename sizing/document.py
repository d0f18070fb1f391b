"""What a command has to say, before it is known how it will be shown."""

from __future__ import annotations

from whatfits.sizing.typed import Literal
from whatfits.sizing.values import dataclass

__all__ = ["Block", "Document", "Facts", "Lines", "Table", "Tone", "Verbatim"]

Tone = Literal["plain", "good", "warn", "bad", "dim"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Label and value pairs; one line each."""

    rows: tuple[tuple[str, str], ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings; `right` names the columns of numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    right: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lines:
    """Sentences, one a line."""

    lines: tuple[str, ...]
    title: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Commands to copy: shown as they are, never wrapped or decorated."""

    lines: tuple[str, ...]
    title: str = ""


Block = Facts | Table | Lines | Verbatim


@dataclass(frozen=True, slots=True)
class Document:
    """The blocks of an answer, in reading order."""

    blocks: tuple[Block, ...]
