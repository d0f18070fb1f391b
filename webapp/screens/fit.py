"""Will it fit? One question, one answer."""

from __future__ import annotations

import streamlit as st

from whatfits.sizing.errors import WhatfitsError
from whatfits.webapp import answer_view, inputs
from whatfits.webapp.engine import answered

st.title("Will it fit?")
inputs.ask_model()
inputs.ask_machine()
left, right = st.columns(2)
with left:
    inputs.ask_quant()
with right:
    inputs.ask_context()
with st.expander("More: users, cache, placement, runtime"):
    inputs.ask_more()
if not inputs.may_read_address():
    st.stop()
try:
    with st.spinner("Working it out"):
        plan = answered(inputs.question(), inputs.dropped())
except WhatfitsError as error:
    answer_view.refusal(error)
else:
    answer_view.verdict(plan)
    answer_view.five_words()
    answer_view.memory(plan)
    answer_view.speed(plan)
    answer_view.commands(plan)
    answer_view.reasons(plan)
