"""Explore: context, quantisation, a second machine and many users, each against what it takes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

from whatfits.sizing.errors import WhatfitsError
from whatfits.webapp import explore_view, inputs, serving_view
from whatfits.webapp.answer_view import refusal
from whatfits.webapp.widgets import in_rows, on_every_page

st.title("Explore")
inputs.ask_model()
inputs.ask_machine()
in_rows(partial(inputs.ask_quant, "server"), inputs.ask_context)
with on_every_page():
    context, quants, machines, users = st.tabs(
        ["Context", "Quality", "Two machines", "Serving"],
        on_change="rerun",
        key="view",
        bind="query-params",
    )
if not inputs.may_read_address():
    st.stop()
try:
    question = inputs.question()
    with context:
        if context.open:
            explore_view.context_and_memory(question)
    with quants:
        if quants.open:
            explore_view.size_and_quality(question)
    with machines:
        if machines.open:
            inputs.ask_other_machine()
            other = replace(question, machine=inputs.other_machine(), idle=False)
            explore_view.two_machines(question, other)
    with users:
        if users.open:
            serving_view.serving(question)
except WhatfitsError as error:
    refusal(error)
