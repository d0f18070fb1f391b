"""What no browser sends, taken back before a page is made of it: links may be anybody's."""

from __future__ import annotations

from typing import Final

import streamlit as st

from whatfits.webapp.input_list import INPUTS

__all__ = ["forget_odd_values"]

_LONGEST_VALUE: Final = 1_000
_MOST_DIGITS: Final = 18


def forget_odd_values() -> None:
    """Forget numbers of an address that are none, and texts that are longer than any name.

    Streamlit takes `1e999` for a number and fails over it, and keeps twice what a widget sent for
    as long as the session lasts.
    """
    numbers = [item.key for item in INPUTS if item.most is not None]
    odd = [key for key in numbers if not _is_number(st.query_params.get(key, "0"))]
    if odd:
        for key in odd:
            del st.query_params[key]
        st.rerun()  # what the address says is read once, at the start
    if any(isinstance(v, str) and len(v) > _LONGEST_VALUE for v in st.session_state.values()):
        st.session_state.clear()


def _is_number(text: str) -> bool:
    """Whether Streamlit can make a whole number of a text, which may be written as `30.0`."""
    whole, _, rest = text.partition(".")
    return whole.isdecimal() and len(whole) <= _MOST_DIGITS and not rest.strip("0")
