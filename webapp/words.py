"""Text for Streamlit's Markdown, where names from files and addresses stay plain text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import BadInputError
from whatfits.webapp.input_list import input_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.errors import WhatfitsError

__all__ = ["advice", "inert", "linked_table", "refused", "table"]

_ADDRESS: Final = re.compile(r"https?:|www\.|@", re.IGNORECASE)
# what Markdown, its emoji and colour directives, and TeX give a meaning to
_SPECIAL: Final = frozenset("\\`*_{}[]()<>#+-.!|~$:&^=@/")
_OPTION: Final = re.compile(r"(?<![\w-])--([a-z][a-z-]*)(?![\w-])( ?)")
_QUOTED_COMMAND: Final = re.compile(r"'whatfits [^']*'")
# what a page has a field for: option and the key of its input
_FIELDS: Final = {
    "file-type": "quant",
    "context": "context",
    "ubatch": "ubatch",
    "reserve": "reserve",
    "machine": "machine",
    "against": "api",
}
_NAMED_BY_VALUE: Final = "runtime"  # `--runtime mlx`: the value says it all
_COMMANDS: Final = {"prices": "whatfits cost --prices"}  # what no page has


def refused(error: WhatfitsError) -> str:
    """Return why something is refused, for a page: what was given stays as it was given."""
    if not isinstance(error, BadInputError) or error.got is None:
        return advice(str(error))
    shown = repr(error.got)
    before, found, after = str(error).partition(shown)
    return advice(before) + inert(found) + advice(after)


def advice(text: str) -> str:
    """Return what an answer advises, for a page: inert, with fields in the place of options.

    A command in quotes is to be typed as it is, and flags of other programs are theirs.
    """
    parts: list[str] = []
    end = 0
    for command in _QUOTED_COMMAND.finditer(text):
        parts += _OPTION.sub(_as_field, text[end : command.start()]), command[0]
        end = command.end()
    return inert("".join((*parts, _OPTION.sub(_as_field, text[end:]))))


def _as_field(option: re.Match[str]) -> str:
    """Return how a page calls an option; itself where it is none of ours."""
    name, space = option.groups()
    if name == _NAMED_BY_VALUE and space:
        return ""
    if name in _FIELDS:
        return input_of(_FIELDS[name]).label + space
    return _COMMANDS.get(name, f"--{name}") + space


def inert(text: str) -> str:
    """Return text that shows as it is: no link, image, emphasis, formula, emoji or HTML."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    # addresses become links even when every mark of theirs is escaped
    shown = _ADDRESS.sub(lambda found: f"{found[0][:-1]}\N{WORD JOINER}{found[0][-1]}", shown)
    return "".join(f"\\{c}" if c in _SPECIAL else c for c in shown)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
) -> str:
    """Return a table in Markdown; `right` names the columns of numbers. Cells are inert."""
    rule = ["---:" if column in right else ":---" for column in columns]
    head = [[inert(column) for column in columns], rule]
    cells = [[inert(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (*head, *cells))


def linked_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    links: Sequence[str],
    *,
    right: Sequence[str] = (),
) -> str:
    """Return such a table whose first cells lead somewhere; the links are ours, percent-encoded."""
    plain = table(columns, rows, right=right).splitlines()
    head, body = plain[:2], plain[2:]
    linked = []
    for line, row, link in zip(body, rows, links, strict=True):
        first = inert(row[0])
        linked.append(line.replace(f"| {first} |", f"| [{first}]({link}) |", 1))
    return "\n".join((*head, *linked))
