"""What can I run? A machine in, a table out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import streamlit as st

from whatfits.sizing.catalog.lookup import catalog_date
from whatfits.sizing.catalog.quality import loss_text
from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.explain import READING_TOKENS_PER_S, context_cell, machine_sentence, short_rate
from whatfits.sizing.left_out import left_out_notes
from whatfits.sizing.ranking.rows import FILE_TYPE_RULE, sort_rows
from whatfits.sizing.speed import DEFAULT_PROMPT_TOKENS
from whatfits.sizing.units import format_bytes, format_count
from whatfits.sizing.unsized import nothing_is_sized, unsized_hint
from whatfits.webapp import inputs, widgets
from whatfits.webapp.answer_view import refusal
from whatfits.webapp.asked import machine_of
from whatfits.webapp.ranking_engine import count_sentence, ranked, with_contexts
from whatfits.webapp.words import inert, linked_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.ranking.rows import RankedModel

SHOWN = 25

st.title("What can I run?")
inputs.ask_machine()
inputs.ask_filters()
try:
    question = inputs.question()
    machine = machine_of(question)
    use = widgets.value_of("use")
    with st.spinner("Sizing every model of the catalog"):
        found = ranked(
            question,
            kind=None if use == "any" else use,
            open_only=widgets.value_of("licence") == "open",
        )
except WhatfitsError as error:
    refusal(error)
    st.stop()
rows = sort_rows(found, widgets.value_of("sort"))
if rows:
    st.success(count_sentence(rows, question.workload), icon=":material/check_circle:")
elif nothing_is_sized(machine):
    st.warning(f"**What runs here cannot be told.** {inert(unsized_hint(machine))}")
else:
    st.error("**No model of the catalog runs here with these filters.**", icon=":material/cancel:")
st.markdown(inert(" ".join((machine_sentence(machine), *left_out_notes(machine)))))
CARRIED = ("machine", "cards", "ram", "context")
carried = {key: value for key, value in widgets.chosen().items() if key in CARRIED}
links = [
    "./?" + urlencode({**carried, "model": row.model, "quant": row.file_type})
    for row in rows[:SHOWN]
]
NUMBERS = ("tokens/s", "to spare", "at most", "context", "size", "perplexity")


def table(shown: Sequence[RankedModel], *, contexts: bool) -> str:
    """Return the rows as a table; without the contexts while they are worked out."""
    cells = [
        (
            row.model,
            row.file_type,
            row.verdict,
            short_rate(row.decode_tokens_per_s),
            "?" if row.headroom_bytes is None else format_bytes(row.headroom_bytes),
            format_bytes(row.high_bytes),
            context_cell(row.verdict, row.largest_context_tokens) if contexts else "…",
            "?" if row.parameters is None else format_count(row.parameters),
            loss_text(row.file_type),
        )
        for row in shown
    ]
    return linked_table(("model", "quant", "verdict", *NUMBERS), cells, links, right=NUMBERS)


place = st.empty()
if rows:
    place.markdown(table(rows[:SHOWN], contexts=False))
if len(rows) > SHOWN:
    st.caption(f"{len(rows) - SHOWN} more; choose an order or a filter to see others.")
st.caption(
    inert(
        f"Order: verdict, then {widgets.value_of('sort')}. {FILE_TYPE_RULE[:1].upper()}"
        f"{FILE_TYPE_RULE[1:]}. Speeds are estimates unless measured, after a prompt of "
        f"{DEFAULT_PROMPT_TOKENS} tokens; people read about "
        f"{READING_TOKENS_PER_S:.0f} tokens/s. Context: the longest that runs, at "
        "most what the model was trained for. "
        "Perplexity: above 16 bits, measured on Llama 3 8B; other models lose more or less. "
        f"Catalog as of {catalog_date()}."
    )
)
# last, for it takes as long as the ranking itself; the table stays where it is
if rows:
    try:
        place.markdown(table(with_contexts(question, rows[:SHOWN]), contexts=True))
    except WhatfitsError as error:
        refusal(error)
