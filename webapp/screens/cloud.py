"""Local or cloud? From which day a machine of one's own is cheaper, if ever."""

from __future__ import annotations

import streamlit as st

from whatfits.sizing.errors import WhatfitsError
from whatfits.webapp import cost_ask, cost_view, inputs
from whatfits.webapp.answer_view import refusal
from whatfits.webapp.cost_engine import compared_offer, costed
from whatfits.webapp.widgets import fixed_place, panel

st.title("Local or cloud?")
inputs.ask_model()
inputs.ask_machine()
cost_ask.ask_use()
cost_ask.ask_owning()
with panel("More: hours, power, resale, how far things may move, quantisation, context"):
    cost_ask.ask_assumptions()
    inputs.ask_quant()
    inputs.ask_context()
if not inputs.may_read_address():
    st.stop()
try:
    question = cost_ask.cost_question()
    with st.spinner("Working it out"):
        answer = costed(question, inputs.dropped())
    offer = compared_offer(answer, question)
    with fixed_place():
        cost_view.verdict(answer, offer)
    rent = cost_ask.ask_rent(answer)
    cost_view.lines(answer, question, offer, rent)
    cost_view.machine(answer, offer)
    cost_view.shared(answer, question, offer)
    cost_view.beside(answer)
    cost_view.rests_on(answer)
except WhatfitsError as error:
    refusal(error)
