"""Serving on the page Explore: how many users a server carries, and what each of them gets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from whatfits.sizing.runtimes import find_runtime
from whatfits.sizing.serving.words import (
    curve_readings,
    curve_table,
    server_facts,
    verdict_line,
)
from whatfits.sizing.units import format_tokens
from whatfits.webapp.answer_view import VERDICT_BOXES
from whatfits.webapp.block_view import show_block, show_table
from whatfits.webapp.input_list import input_of
from whatfits.webapp.inputs import dropped
from whatfits.webapp.one_input import meaning
from whatfits.webapp.serving_charts import (
    cell_words,
    grid_alt,
    grid_chart,
    speed_alt,
    speed_chart,
    wait_alt,
    wait_chart,
)
from whatfits.webapp.serving_engine import (
    GRID_CONTEXTS,
    GRID_USERS,
    known_grid,
    served,
    worked_grid,
)
from whatfits.webapp.serving_state import ServingQuestion, serving_question_of
from whatfits.webapp.theme import ink
from whatfits.webapp.widgets import chosen, in_rows, number, panel, select
from whatfits.webapp.words import advice, inert, table

if TYPE_CHECKING:
    from whatfits.sizing.serving.grid import GridCell
    from whatfits.sizing.serving.serve_plan import ServePlan
    from whatfits.webapp.state import Question

__all__ = ["serving"]


def serving(question: Question) -> None:
    """Ask what the users do, and show what a server gives them."""
    _ask()
    asked = serving_question_of(question, chosen())
    with st.spinner("Simulating the server under its users"):
        found = served(asked, dropped())
    box, icon = VERDICT_BOXES[found.verdict]
    box(f"**{inert(verdict_line(found))}**", icon=icon)
    for sentence in curve_readings(found) if found.curve else ():
        st.markdown(inert(sentence))
    show_block(server_facts(found))
    if found.curve:
        _curves(found)
    _commands(found)
    if found.curve:
        _grid(asked)


def _ask() -> None:
    in_rows(
        partial(select, "server", input_of("server").allowed),
        *(partial(number, key) for key in ("clients", "prompt", "output", "ttft", "minspeed")),
    )
    with panel("More: pauses, requests an hour, a shared beginning"):
        number("think")
        number("rate")
        number("prefix")


def _curves(found: ServePlan) -> None:
    st.subheader("Waiting for the first token", help=meaning("time to first token"))
    st.altair_chart(wait_chart(found, ink()), alt=wait_alt(found), width="stretch")
    st.subheader("Speed for each user", help=meaning("throughput"))
    st.altair_chart(speed_chart(found, ink()), alt=speed_alt(found), width="stretch")
    show_table(curve_table(found.curve))


def _commands(found: ServePlan) -> None:
    for runtime, lines in found.commands.items():
        st.subheader(f"Start it: {find_runtime(runtime).label}", help=meaning("slot"))
        st.code("\n".join(lines), language="bash", wrap_lines=True)
    for note in found.notes:
        st.caption(advice(note))


def _grid(asked: ServingQuestion) -> None:
    """Show users against contexts where they were worked out, else offer to."""
    st.subheader("Users against context", help=meaning("continuous batching"))
    cells = known_grid(asked)
    if cells is None:
        servers = len(GRID_USERS) * len(GRID_CONTEXTS)
        offered = st.empty()
        if not offered.button(f"Work it out: {servers} servers, some seconds"):
            return
        offered.empty()
        with st.spinner("Simulating every server"):
            cells = worked_grid(asked, dropped())
    if not cells:
        st.markdown("No context of the map holds a prompt and its answer.")
        return
    said = grid_alt(cells)
    st.markdown(inert(said))
    st.altair_chart(grid_chart(cells, ink()), alt=said, width="stretch")
    columns, rows = _grid_table(cells)
    st.markdown(table(columns, rows, right=columns))
    st.caption(
        "Tokens/s for each user, and the limits above; the server is made anew for each cell."
    )


def _grid_table(cells: tuple[GridCell, ...]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    columns = ("tokens each", *(f"{users} at once" for users in GRID_USERS))
    contexts = dict.fromkeys(cell.context_tokens for cell in cells)
    rows = [
        (
            format_tokens(context),
            *(cell_words(cell) for cell in cells if cell.context_tokens == context),
        )
        for context in contexts
    ]
    return columns, rows
