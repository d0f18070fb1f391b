"""Text for Streamlit's Markdown, where names from files and addresses stay plain text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["advice", "inert", "linked_table", "table"]

_ADDRESS: Final = re.compile(r"https?:|www\.|@", re.IGNORECASE)
# what Markdown, its emoji and colour directives, and TeX give a meaning to
_SPECIAL: Final = frozenset("\\`*_{}[]()<>#+-.!|~$:&^=@/")
# options of the command line that a page has as a field, or not at all
_FIELDS: Final = {
    "--runtime ": "",
    "--file-type": "Quantisation",
    "--context": "Context",
    "--ubatch": "Micro-batch",
    "--against": "API",
    "--prices": "whatfits cost --prices",
}


def advice(text: str) -> str:
    """Return what an answer advises, for a page: inert, with fields in the place of options."""
    for option, field in _FIELDS.items():
        text = text.replace(option, field)
    return inert(text)


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
