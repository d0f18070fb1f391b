"""Local or cloud as a page shows it: the verdict in words first, then the figures behind it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from whatfits.sizing.costing.headline import cost_headline
from whatfits.sizing.costing.lines import cost_lines
from whatfits.sizing.costing.missing import unknown_speed, unknowns
from whatfits.sizing.costing.words import (
    assumptions_table,
    comparison_lines,
    dates_sentence,
    hybrid_table,
    local_facts,
    offer_name,
    offers_table,
    question_sentence,
    reason_sentence,
    rents_table,
    results_table,
    sensitivity_table,
)
from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.json_values import dump_json
from whatfits.webapp.answer_view import refusal
from whatfits.webapp.block_view import show_block, show_table
from whatfits.webapp.cost_charts import cost_alt, cost_chart, cost_table
from whatfits.webapp.cost_engine import costed
from whatfits.webapp.input_list import input_of
from whatfits.webapp.inputs import dropped
from whatfits.webapp.one_input import meaning
from whatfits.webapp.theme import ink
from whatfits.webapp.words import advice, inert, table

if TYPE_CHECKING:
    from whatfits.sizing.costing.answer import ComparedOffer, CostAnswer
    from whatfits.sizing.costing.rental import RentedDay
    from whatfits.webapp.cost_state import CostQuestion

__all__ = ["beside", "lines", "machine", "rests_on", "shared", "verdict"]

_BOXES: Final = {
    "local": (st.success, ":material/home:"),
    "cloud": (st.error, ":material/cloud:"),
}
_UNSURE: Final = (st.warning, ":material/help:")
_INPUT_OF: Final = {
    "ownership.purchase_usd": "buy",
    "ownership.usd_per_kwh": "kwh",
    "ownership.load_watts": "loadwatts",
}
_RENTS_SHOWN: Final = 5


def verdict(answer: CostAnswer, offer: ComparedOffer | None) -> None:
    """Say which is cheaper and from when, and what is missing where that cannot be told."""
    found = "unknown" if offer is None else offer.comparison.cheaper
    box, icon = _BOXES.get(found, _UNSURE)
    box(f"**{inert(cost_headline(answer, offer))}**", icon=icon)
    if answer.local is None:
        st.markdown(inert(reason_sentence(answer)))
    elif offer is not None:
        for line in comparison_lines(offer).lines:
            st.markdown(inert(line))
    st.caption(inert(question_sentence(answer)))
    missing = [
        f"- {inert(what)}: {inert(input_of(_INPUT_OF[key]).label)}"
        for key, what in unknowns(answer)
    ]
    speed = unknown_speed(answer)
    if speed is not None:
        missing.append(f"- {inert(speed)}")
    if missing:
        st.markdown("\n".join(("**To know what it costs here, give**", *missing)))


def lines(
    answer: CostAnswer,
    question: CostQuestion,
    offer: ComparedOffer | None,
    rent: RentedDay | None,
) -> None:
    """Draw what each way has cost by each month, with the same numbers as a table."""
    found = cost_lines(
        answer, offer, rent, question.spreads, life_days=question.ownership.life_days
    )
    if not found.lines:
        return
    said = cost_alt(found)
    st.altair_chart(cost_chart(found, ink()), alt=said, width="stretch")
    st.markdown(inert(said))
    columns, rows = cost_table(found)
    st.markdown(table(columns, rows, right=columns[1:]))
    named = [f"the API is {offer_name(offer)}"] if offer is not None else []
    if rent is not None:
        named.append(
            f"the rented GPU {rent.machine} at ${rent.usd_per_hour:,.2f} an hour from "
            f"{rent.provider} ({rent.terms}, price of {rent.as_of})"
        )
    st.caption(inert(f"Here {' and '.join(named)}. Bands: prices, use and speed at both ends."))


def machine(answer: CostAnswer, offer: ComparedOffer | None) -> None:
    """Show what the machine costs a day, and what moves the break-even day."""
    if answer.local is None:
        return
    st.subheader("This machine, a day", help=meaning("utilisation"))
    show_block(local_facts(answer.local, machine=answer.machine.name))
    moved = None if offer is None else sensitivity_table(offer)
    if moved is not None:
        st.subheader("What moves the break-even day", help=meaning("break-even"))
        show_table(moved)


def beside(answer: CostAnswer) -> None:
    """Show what APIs and rented GPUs cost for the same."""
    st.subheader("APIs", help=meaning("price per million tokens"))
    if answer.offers:
        show_table(offers_table(answer.offers, title=""))
        st.caption(inert(dates_sentence(answer.offers)))
    else:
        st.markdown("No API's price of this model is in the list: choose one of another model.")
    if answer.rented:
        st.subheader("Rented by the hour", help=meaning("rented GPU"))
        show_table(rents_table(answer.rented[:_RENTS_SHOWN], title=""))
        if len(answer.rented) > _RENTS_SHOWN:
            with st.expander(f"{len(answer.rented) - _RENTS_SHOWN} more"):
                show_table(rents_table(answer.rented[_RENTS_SHOWN:], title=""))
    for warning in answer.warnings:
        st.caption(advice(warning))


def shared(answer: CostAnswer, question: CostQuestion, offer: ComparedOffer | None) -> None:
    """Show the cost of sending a share to the cloud, and how to begin with it."""
    if offer is None:
        return
    st.subheader("Some here, some in the cloud", help=meaning("hybrid routing"))
    if offer.hybrid is not None:
        found = hybrid_table(offer.hybrid, offer_name(offer))
        st.markdown(inert(f"{found.title}."))
        show_table(found)
    with st.expander("What routing gave others, at its best"):
        show_table(results_table(answer.routing_results))
    panel = st.expander("Start configuration for LiteLLM", key="router", on_change="rerun")
    if panel.open:
        with panel:
            _router(question)


def _router(question: CostQuestion) -> None:
    try:
        text = costed(question, dropped(), router="litellm").router or ""
    except WhatfitsError as error:
        refusal(error)
        return
    st.code(text, language="yaml", wrap_lines=True)
    st.download_button(
        "Save it", text, file_name="litellm.yaml", mime="application/yaml", on_click="ignore"
    )


def rests_on(answer: CostAnswer) -> None:
    """Show what money does not tell, and every value with where it comes from."""
    st.subheader("What money does not cover")
    st.markdown("\n".join(f"- {inert(text)}" for text in answer.not_covered))
    st.caption(inert(answer.rule))
    with st.expander("What this rests on: every value with its source"):
        show_table(assumptions_table(answer.assumptions))
    st.download_button(
        "Answer as JSON",
        partial(dump_json, answer),  # written when somebody takes it
        file_name="whatfits-cost.json",
        mime="application/json",
        on_click="ignore",
    )
