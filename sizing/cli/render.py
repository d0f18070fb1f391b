"""Show a document: with rich on a terminal, else one fact a line without colour or boxes."""

from __future__ import annotations

import os
import sys

from whatfits.sizing.document import Facts, Lines, Table, Verbatim
from whatfits.sizing.typed import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from typing import Final

    from rich.console import Console
    from rich.table import Table as RichTable

    from whatfits.sizing.document import Block, Document

__all__ = ["clean", "show", "wants_plain"]

_SHORT_CELL: Final = 24  # cells up to here stay on one line; the first column gives way
_STYLES: Final = {"plain": "", "good": "green", "warn": "yellow", "bad": "red", "dim": "dim"}


def clean(text: str) -> str:
    """Return `text` without control characters, so that no file can steer the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def wants_plain(*, asked: bool) -> bool:
    """Return whether to print one fact a line: asked for, NO_COLOR, no terminal, or a dumb one."""
    return (
        asked
        or bool(os.environ.get("NO_COLOR"))
        or os.environ.get("TERM") == "dumb"
        or not sys.stdout.isatty()
    )


def show(document: Document, *, plain: bool) -> None:
    """Print a document on standard output."""
    if wants_plain(asked=plain):
        text = "\n".join(line for block in document.blocks for line in _plain(block))
        sys.stdout.write(text + "\n")
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    for index, block in enumerate(document.blocks):
        if index:
            console.print()
        _rich(block, console)


def _plain(block: Block) -> list[str]:
    lines = [f"{clean(block.title)}:"] if block.title else []
    match block:
        case Facts(rows=rows):
            lines += [f"{clean(label)}: {clean(value)}" for label, value in rows]
        case Table(columns=columns, rows=rows):
            lines += [
                "; ".join(
                    f"{clean(column)}: {clean(cell)}"
                    for column, cell in zip(columns, row, strict=True)
                    if cell
                )
                for row in rows
            ]
        case Lines(lines=texts) | Verbatim(lines=texts):
            lines += [clean(text) for text in texts]
        case _:
            assert_never(block)
    return lines


def _rich(block: Block, console: Console) -> None:
    from rich.text import Text

    if block.title:
        console.print(Text(clean(block.title), style="bold"))
    match block:
        case Facts() | Table():
            console.print(_rich_table(block))
        case Lines(lines=texts, tone=tone):
            for text in texts:
                console.print(Text(clean(text), style=_STYLES[tone]))
        case Verbatim(lines=texts):
            for text in texts:
                # a command must come back whole when it is copied: no wrapping by us
                console.print(Text(clean(text), style="cyan"), soft_wrap=True)
        case _:
            assert_never(block)


def _rich_table(block: Facts | Table) -> RichTable:
    from rich.table import Table as RichTable
    from rich.text import Text

    if isinstance(block, Facts):
        table = RichTable.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_column(overflow="fold")
    else:
        table = RichTable(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
        for index, column in enumerate(block.columns):
            short = index and all(len(row[index]) <= _SHORT_CELL for row in block.rows)
            table.add_column(
                clean(column),
                justify="right" if column in block.right else "left",
                overflow="fold",
                no_wrap=bool(short),
            )
    for row in block.rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    return table
