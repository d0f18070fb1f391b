"""What the visitor's browser shows: a light or a dark page."""

from __future__ import annotations

import streamlit as st

from whatfits.webapp.charts import DARK, LIGHT, Ink

__all__ = ["ink"]


def ink() -> Ink:
    """Return the colours of writing for the visitor's background."""
    return DARK if st.context.theme.type == "dark" else LIGHT
