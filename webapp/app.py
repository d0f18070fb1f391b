"""The router: five pages and Learn, over one state."""

from __future__ import annotations

import logging

import streamlit as st

from whatfits.webapp import guard, widgets
from whatfits.webapp.history import one_entry_a_page
from whatfits.webapp.mode import is_public
from whatfits.webapp.sessions import place_for_this_session

# It warns where a value from another page meets a widget's default: here that is the purpose.
logging.getLogger("streamlit.elements.lib.policies").setLevel(logging.ERROR)
st.set_page_config(page_title="whatfits: what can this machine run?", layout="centered")
if is_public() and "place" not in st.session_state:
    place = place_for_this_session()
    if place is None:
        st.error("Every place is taken; try again in a few minutes.")
        st.stop()
    st.session_state["place"] = place
st.html(
    "<style>"
    "[data-testid='stMainBlockContainer'] {padding-top: 3rem}"
    "[data-testid='stMarkdownContainer'] :is(table, th, td) {font-size: .875rem}"
    "[data-testid='stMarkdownContainer']:has(> table) {overflow-x: auto}"
    "[data-testid='stMarkdownContainer'] :is(th, td) {padding: .2rem .5rem}"
    "[data-testid='stMarkdownContainer'] td[style*='right'] {white-space: nowrap}"
    # else the button to copy is there for a mouse alone
    "[data-testid='stCode'] > div:has(button)"
    " {opacity: 1 !important; visibility: visible !important}"
    "[data-testid='stCode'] pre {padding-right: 3.5rem}"
    # else the parts of a command have colours that are too faint to be read on a light page
    "[data-testid='stCode'] code span {color: inherit !important}"
    # on a phone the answer is to stand in the first screen, below what it is asked with
    "@media (max-width: 640px) {"
    "[data-testid='stMain'] :is([data-testid='stVerticalBlock'], [data-testid='stHorizontalBlock'])"
    " {gap: .4rem}"
    "[data-testid='stMain'] h1 {font-size: 2rem; padding: 0 0 1.125rem}"
    "[data-testid='stMain'] h3 {font-size: 1.375rem}"
    "}"
    "</style>"
)
one_entry_a_page()
pages = [
    st.Page("screens/fit.py", title="Will it fit?", default=True),
    st.Page("screens/runs.py", title="What can I run?", url_path="runs"),
    st.Page("screens/explore.py", title="Explore", url_path="explore"),
    st.Page("screens/cloud.py", title="Local or cloud?", url_path="cloud"),
    st.Page("screens/learn.py", title="Learn", url_path="learn"),
    st.Page("screens/method.py", title="Method", url_path="method"),
]
screen = st.navigation(pages, position="top")
guard.forget_odd_numbers()
page = pages.index(screen)
widgets.begin(page)
with widgets.place_of(page, of=len(pages)):
    screen.run()
