"""The router: four pages and Learn, over one state."""

from __future__ import annotations

import streamlit as st

st.set_page_config(page_title="whatfits: what can this machine run?", layout="centered")
st.navigation(
    [
        st.Page("pages/fit.py", title="Will it fit?", default=True),
        st.Page("pages/runs.py", title="What can I run?", url_path="runs"),
        st.Page("pages/explore.py", title="Explore", url_path="explore"),
        st.Page("pages/learn.py", title="Learn", url_path="learn"),
        st.Page("pages/method.py", title="Method", url_path="method"),
    ],
    position="top",
).run()
