"""Blocks of words, which commands print, as a page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import streamlit as st

from whatfits.sizing.document import Facts, Lines, Table
from whatfits.webapp.words import inert, table

if TYPE_CHECKING:
    from whatfits.sizing.document import Block

__all__ = ["show_block", "show_table"]

_BOXES: Final = {
    "good": (st.success, ":material/check_circle:"),
    "warn": (st.warning, ":material/warning:"),
    "bad": (st.error, ":material/cancel:"),
}


def show_block(block: Block) -> None:
    """Show a block without its title, which is a heading of the page."""
    if isinstance(block, Table):
        show_table(block)
    elif isinstance(block, Facts):
        st.markdown("\n".join(f"- **{inert(label)}**: {inert(text)}" for label, text in block.rows))
    elif isinstance(block, Lines):
        _lines(block)
    else:
        st.code("\n".join(block.lines), language="bash", wrap_lines=True)


def show_table(block: Table) -> None:
    """Show a table, its numbers at the right."""
    st.markdown(table(block.columns, block.rows, right=block.right))


def _lines(block: Lines) -> None:
    if block.tone == "dim":
        for line in block.lines:
            st.caption(inert(line))
    elif block.tone == "plain":
        st.markdown("  \n".join(map(inert, block.lines)))
    else:
        box, icon = _BOXES[block.tone]
        box("  \n".join(map(inert, block.lines)), icon=icon)
