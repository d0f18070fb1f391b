"""Learn: running a model yourself in seven steps, each with a figure for the visitor's machine."""

from __future__ import annotations

import streamlit as st

from whatfits.sizing.errors import WhatfitsError
from whatfits.webapp import inputs, learn_view
from whatfits.webapp.answer_view import five_words, refusal
from whatfits.webapp.asked import machine_of

st.title("Learn")
st.markdown("Running a model yourself, in seven steps. Every figure is for this model and machine.")
inputs.ask_model()
inputs.ask_machine()
if not inputs.may_read_address():
    st.stop()
try:
    question = inputs.question()
    machine = machine_of(question)
    five_words()
    for step in learn_view.STEPS:
        st.subheader(step.title)
        step.show(question, machine)
except WhatfitsError as error:
    refusal(error)
