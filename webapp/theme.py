"""What the visitor's browser shows: a light or a dark page, and bars in its colours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import streamlit as st

from whatfits.webapp.chart_parts import DARK, LIGHT, Ink
from whatfits.webapp.memory_chart import memory_alt, memory_spec

if TYPE_CHECKING:
    from whatfits.sizing.pool_bills import PoolBill

__all__ = ["ink", "show_memory"]


def ink() -> Ink:
    """Return the colours of writing for the visitor's background."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def show_memory(bills: tuple[PoolBill, ...]) -> None:
    """Show a bar a pool, with its conclusion in words for those who cannot see it."""
    spec = json.loads(memory_spec(bills, ink()))
    st.vega_lite_chart(spec=spec, alt=memory_alt(bills), width="stretch")
