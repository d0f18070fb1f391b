"""Will it fit? One question, one answer."""

from __future__ import annotations

from functools import partial

import streamlit as st

from whatfits.sizing.errors import WhatfitsError
from whatfits.webapp import answer_view, inputs
from whatfits.webapp.engine import answered, first_answer
from whatfits.webapp.widgets import in_rows, panel

st.title("Will it fit?")
inputs.ask_model()
inputs.ask_machine()
in_rows(partial(inputs.ask_quant, "runtime"), inputs.ask_context)
with panel("More: users, cache, placement, runtime"):
    inputs.ask_more()
if not inputs.may_read_address():
    st.stop()
try:
    question = inputs.question()
    with st.spinner("Working it out"):
        first = first_answer(question, inputs.dropped())
    answer_view.verdict(first)
    answer_view.five_words()
    answer_view.memory(first)
    answer_view.speed(first)
    with st.spinner("Asking every runtime"):
        plan = answered(question, inputs.dropped())
    answer_view.commands(plan)
    answer_view.reasons(plan)
except WhatfitsError as error:
    answer_view.refusal(error)
