"""Method: where the numbers come from, how exact they are, and what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import streamlit as st

from whatfits.sizing.basis.words import title_of
from whatfits.sizing.catalog.lookup import catalog_date
from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.version import VERSION
from whatfits.webapp import inputs
from whatfits.webapp.answer_view import refusal
from whatfits.webapp.choices import machine_choices, model_choices
from whatfits.webapp.engine import answered
from whatfits.webapp.words import inert, table

ACCURACY = Path(__file__).parents[1] / "accuracy.json"
GAPS = (
    "Of GPUs one was measured, a H200: what the drivers of others take is a published interval.",
    "Metal, Vulkan and ROCm keep scratch memory by rules of their own, read in their source.",
    "Speeds are estimates with wide intervals until something was measured on the machine.",
    "Quality was measured on one model; others lose more or less by the same quantisation.",
    "Prices of tokens, of GPUs by the hour and of electricity are of the day they were read.",
)

st.title("Method")
st.markdown(
    "A model is understood from its header alone. Weights and cache are counted exactly, as each "
    "runtime allocates them; what cannot be exact is an interval, and a verdict is taken from its "
    "upper end: better a doubtful *tight* than a false *fits*. Nothing leaves this machine."
)
st.subheader("Formulas")
inputs.ask_model()
inputs.ask_machine()
if not inputs.may_read_address():
    st.stop()
try:
    plan = answered(inputs.question(), inputs.dropped())
except WhatfitsError as error:
    refusal(error)
else:
    for basis in plan.basis:
        st.markdown(f"**{inert(title_of(basis))}**: {inert(basis.formula)}")
        if basis.substituted:
            st.markdown("\n".join(f"- {inert(part)}" for part in basis.substituted.split("; ")))
    with st.expander("Where each comes from, and how wrong it may be"):
        for basis in plan.basis:
            st.markdown(f"**{inert(title_of(basis))}**")
            st.caption(f"Error: {inert(basis.error)}. Source: {inert(basis.source)}.")
st.subheader("How exact")
columns = ("cases", "cases in all", "weights exact", "cache exact", "buffers exact", "in interval")
measured = [
    (
        row["what"],
        *(
            f"{row[key]:,}"
            for key in (
                "cases",
                "weights_exact",
                "kv_cache_exact",
                "compute_exact",
                "compute_inside",
            )
        ),
    )
    for row in json.loads(ACCURACY.read_text("utf-8"))
]
st.markdown(table(columns, measured, right=columns[1:]))
st.caption("Against llama.cpp's own plan for the same model: exact is equal to the byte.")
st.subheader("Data")
st.markdown(
    f"whatfits {VERSION}; {len(model_choices())} models and "
    f"{len(machine_choices(with_here=False))} machines in the catalog, whose sources were last "
    f"read on {catalog_date()}."
)
st.subheader("What is missing")
st.markdown("\n".join(f"- {gap}" for gap in GAPS))
st.subheader("A number is wrong?")
st.markdown("Take the answer as JSON from the first page, and what this says on your machine:")
st.code("whatfits verify MODEL.gguf", language="bash", wrap_lines=True)
st.markdown("The two together show which term is wrong, and by how much.")
