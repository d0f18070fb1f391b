"""One preference that outlives a visit: whether the beginner's words are shown.

It is kept in a cookie of this site, which comes with the first request of the next visit: nothing
moves on the page after it is drawn. No other site is asked, and no link carries it.
"""

from __future__ import annotations

from typing import Final

import streamlit as st
from streamlit.components import v2 as components

__all__ = ["ask_whether_shown"]

_COOKIE: Final = "whatfits_words"
_HIDDEN: Final = "hidden"
_TOUCHED: Final = "words_touched"
_JS: Final = """
export default function ({ data }) {
  document.cookie = `${data.name}=${data.value}; path=/; max-age=31536000; samesite=strict`;
}
"""


def ask_whether_shown(label: str) -> bool:
    """Ask whether the words are shown, as this browser was told last; shown at first."""
    shown: bool = st.toggle(
        label,
        value=st.context.cookies.get(_COOKIE) != _HIDDEN,
        key="words",
        persist_state="session",
        on_change=_touch,
    )
    if st.session_state.get(_TOUCHED):
        write = components.component("whatfits_remember", js=_JS)
        write(key="remember", data={"name": _COOKIE, "value": "shown" if shown else _HIDDEN})
    return shown


def _touch() -> None:
    st.session_state[_TOUCHED] = True
