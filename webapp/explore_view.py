"""The three views of Explore: each a sentence, a chart, and the chart's numbers as a table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from whatfits.sizing.catalog.quality import loss_text, perplexity_loss, quality_rows
from whatfits.sizing.curves import fast_free_bytes
from whatfits.sizing.explain import context_cell, rate_cell, rate_text
from whatfits.sizing.headline import headline
from whatfits.sizing.planning import BestPlan
from whatfits.sizing.pool_bills import pool_bills
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.units import format_bytes, format_tokens
from whatfits.webapp.asked import machine_of
from whatfits.webapp.engine import answered, curves
from whatfits.webapp.explore_charts import (
    context_alt,
    context_chart,
    quant_alt,
    quant_chart,
    quant_rows,
)
from whatfits.webapp.inputs import dropped
from whatfits.webapp.theme import ink, show_memory
from whatfits.webapp.words import inert, table

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan
    from whatfits.webapp.state import Question

__all__ = ["context_and_memory", "size_and_quality", "two_machines"]


def context_and_memory(question: Question) -> None:
    """Show the need over contexts, a line for each precision of the cache."""
    plan = answered(replace(question, runtime=DEFAULT_RUNTIME), dropped())
    found = curves(
        replace(question, file_type=plan.model.file_type, runtime=DEFAULT_RUNTIME), dropped()
    )
    free = fast_free_bytes(machine_of(question))
    said = context_alt(found, free_bytes=free)
    st.markdown(inert(f"{plan.model.name} in {plan.model.file_type}. {said}"))
    asked = plan.workload.context_tokens or 0
    here = next(
        (
            (point.context_tokens, point.high_bytes)
            for curve in found
            if curve.kv_type == (plan.workload.kv_type_k or "f16").lower()
            for point in curve.points
            if point.context_tokens == asked
        ),
        None,
    )
    st.altair_chart(
        context_chart(found, free_bytes=free, here=here, ink=ink()), alt=said, width="stretch"
    )
    kinds = [f"cache in {curve.kv_type}" for curve in found]
    rows = [
        (
            format_tokens(points[0].context_tokens),
            *(f"{format_bytes(point.high_bytes)}, {point.verdict}" for point in points),
        )
        for points in zip(*(curve.points for curve in found), strict=True)
    ]
    st.markdown(table(["tokens", *kinds], rows, right=["tokens", *kinds]))
    st.caption("Everything on the fastest memory there is; what does not fit there may spill.")


def size_and_quality(question: Question) -> None:
    """Show each quantisation's size, measured loss and speed."""
    plan = answered(replace(question, file_type=None, runtime=DEFAULT_RUNTIME), dropped())
    if not isinstance(plan, BestPlan):
        return
    st.markdown(inert(headline(plan)) + inert(f": {plan.model.file_type}. {plan.rules[0]}"))
    losses = {option.file_type: perplexity_loss(option.file_type) for option in plan.file_types}
    dots = quant_rows(plan.file_types, losses)
    if dots:
        st.altair_chart(quant_chart(dots, ink()), alt=quant_alt(dots), width="stretch")
    writes = plan.speed is None or not plan.speed.reads_alone
    right = ("weights", "at most", "longest context", "tokens/s", "perplexity")
    rows = [
        (
            option.file_type,
            format_bytes(option.weights_bytes),
            format_bytes(option.high_bytes),
            option.verdict,
            context_cell(option.verdict, option.largest_context_tokens),
            rate_cell(option.verdict, option.decode_tokens_per_s, writes=writes),
            loss_text(option.file_type),
        )
        for option in plan.file_types
    ]
    columns = (
        "quant",
        "weights",
        "at most",
        "verdict",
        "longest context",
        "tokens/s",
        "perplexity",
    )
    st.markdown(table(columns, rows, right=right))
    measured = [row for option in plan.file_types for row in quality_rows(option.file_type)]
    if measured:
        st.caption(
            inert(
                f"Perplexity above 16 bits, measured on {measured[0].measured_on}; other models "
                f"lose more or less. Source: {measured[0].source}."
            )
        )


def two_machines(first: Question, second: Question) -> None:
    """Show the same model on two machines."""
    plans = (answered(first, dropped()), answered(second, dropped()))
    names = [inert(plan.machine.name) for plan in plans]
    for name, plan in zip(names, plans, strict=True):
        st.markdown(f"**{name}**: {inert(headline(plan))}")
    for plan in plans:
        show_memory(pool_bills(plan))
    labels = _labels(plans)
    st.markdown(table(["", *labels], _compared(plans), right=labels))


def _labels(plans: tuple[Plan, Plan]) -> list[str]:
    """Return two names that differ, as columns of a table have to."""
    names = [plan.machine.name for plan in plans]
    return names if names[0] != names[1] else [f"{names[0]} (1)", f"{names[1]} (2)"]


def _compared(plans: tuple[Plan, Plan]) -> list[tuple[str, ...]]:
    return [
        ("quant", *(plan.model.file_type or "" for plan in plans)),
        ("verdict", *(plan.verdict for plan in plans)),
        ("needs, at most", *(format_bytes(plan.memory.high_bytes) for plan in plans)),
        ("longest context", *(context_cell(p.verdict, p.largest_context_tokens) for p in plans)),
        *zip(("reads", "writes", "first word after"), *map(_speeds, plans), strict=True),
    ]


def _speeds(plan: Plan) -> tuple[str, str, str]:
    """Return how fast it reads, how fast it writes, how long the first word takes."""
    speed = plan.speed
    if speed is None:
        return "unknown", "unknown", "unknown"
    reads = rate_text(speed.prefill_tokens_per_s, "tokens/s")
    if speed.reads_alone:
        return reads, "-", "-"
    writes = rate_text(speed.decode_tokens_per_s, "tokens/s")
    return reads, writes, rate_text(speed.time_to_first_token_s, "s")
