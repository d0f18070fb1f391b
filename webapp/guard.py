"""What stands in no link of ours, taken out before a page is made of it."""

from __future__ import annotations

from typing import Final

import streamlit as st

from whatfits.webapp.input_list import INPUTS

__all__ = ["forget_odd_numbers"]

_MOST_DIGITS: Final = 18


def forget_odd_numbers() -> None:
    """Forget numbers of an address that are none: Streamlit takes `1e999` for one and fails."""
    numbers = [item.key for item in INPUTS if item.most is not None]
    odd = [key for key in numbers if not _is_number(st.query_params.get(key, "0"))]
    if odd:
        for key in odd:
            del st.query_params[key]
        st.rerun()  # what the address says is read once, at the start


def _is_number(text: str) -> bool:
    """Whether Streamlit can make a whole number of a text, which may be written as `30.0`."""
    whole, _, rest = text.partition(".")
    return whole.isdecimal() and len(whole) <= _MOST_DIGITS and not rest.strip("0")
