"""An answer as a page shows it: the verdict in words first, then everything behind it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from whatfits.sizing.basis.source_links import source_links
from whatfits.sizing.basis.words import reason
from whatfits.sizing.explain import longest_words, verdict_sentence
from whatfits.sizing.file_wanted import file_list
from whatfits.sizing.glossary.terms import FIVE_WORDS
from whatfits.sizing.headline import headline, speed_sentences
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.mac_limit import mac_limit
from whatfits.sizing.planning import BestPlan
from whatfits.sizing.pool_bills import PART_LABELS, pool_bills
from whatfits.sizing.runtimes import find_runtime
from whatfits.sizing.trained import beyond_sentence
from whatfits.sizing.units import size_text
from whatfits.sizing.unsized import unsized_notes
from whatfits.webapp.remember import ask_whether_shown
from whatfits.webapp.state import remedy_state
from whatfits.webapp.theme import show_memory
from whatfits.webapp.widgets import set_inputs
from whatfits.webapp.words import advice, inert, refused, table

if TYPE_CHECKING:
    from whatfits.sizing.errors import WhatfitsError
    from whatfits.sizing.estimate import Plan, Remedy
    from whatfits.sizing.pool_bills import PoolBill

__all__ = [
    "VERDICT_BOXES",
    "commands",
    "five_words",
    "memory",
    "reasons",
    "refusal",
    "speed",
    "verdict",
]

VERDICT_BOXES: Final = {
    "fits": (st.success, ":material/check_circle:"),
    "slow": (st.warning, ":material/hourglass_bottom:"),
    "tight": (st.warning, ":material/warning:"),
    "no": (st.error, ":material/cancel:"),
    "unknown": (st.warning, ":material/help:"),
}


def refusal(error: WhatfitsError) -> None:
    """Say in a line why there is no answer."""
    st.error(refused(error), icon=":material/error:")


def verdict(plan: Plan) -> None:
    """Say whether it fits, and offer what would help as buttons that do it."""
    box, icon = VERDICT_BOXES[plan.verdict]
    box(f"**{inert(headline(plan))}**", icon=icon)
    st.markdown(inert(verdict_sentence(plan)))
    trained = plan.model.context_train_tokens
    if trained is not None and (said := beyond_sentence(trained)) in plan.notes:
        st.markdown(inert(said))
    for note in unsized_notes(plan.machine, plan.verdict):
        st.markdown(inert(note))
    if plan.remedies:
        st.markdown("**What would help**")
        for number, remedy in enumerate(plan.remedies):
            _remedy(number, remedy)


def _remedy(number: int, remedy: Remedy) -> None:
    state = remedy_state(remedy.change)
    text = f"{remedy.text[:1].upper()}{remedy.text[1:]}"
    if state:
        st.button(inert(text), key=f"remedy{number}", on_click=set_inputs, args=(state,))
    elif "`" not in text and ": sudo " in text:
        words, _, command = text.partition(": ")
        st.markdown(inert(f"{words}:"))
        st.code(command, language="bash", wrap_lines=True)
    else:
        st.markdown(inert(text))
    st.caption(inert(f"Then: {remedy.verdict}; the price: {remedy.cost}"))


def five_words() -> None:
    """Say what the words mean, to those who did not switch it off."""
    if ask_whether_shown("New to this? Five words"):
        st.markdown("\n".join(f"- **{inert(word)}**: {inert(said)}" for word, said in FIVE_WORDS))


def memory(plan: Plan) -> None:
    """Show where the bytes go, as bars against capacity and as the same numbers."""
    st.subheader("Memory")
    bills = pool_bills(plan)
    show_memory(bills)
    labels = [bill.label for bill in bills]
    rows = [
        [label, *(size_text(dict(bill.parts)[part]) for bill in bills)]
        for part, label in PART_LABELS.items()
        if any(dict(bill.parts)[part] for bill in bills)
    ]
    rows.append(["together", *(size_text(bill.bar_bytes) for bill in bills)])
    if any(len(bill.needs) > 1 for bill in bills):
        rows.append(["of it for the GPU, at most", *(_gpu_part(bill) for bill in bills)])
    rows += [
        ["may be used", *(_limit(bill) for bill in bills)],
        ["installed", *(size_text(bill.installed_bytes) for bill in bills)],
    ]
    st.markdown(table(["part", *labels], rows, right=labels))
    longest = longest_words(plan)
    if longest is not None:
        tokens, _, rest = longest.partition(" tokens")
        st.markdown(f"The longest context that runs here: **{tokens} tokens**{rest}.")
    limit = mac_limit(plan.machine)
    if limit is not None:
        st.markdown(inert(limit.sentence))
        if limit.command is not None:
            st.code(limit.command, language="bash", wrap_lines=True)


def _gpu_part(bill: PoolBill) -> str:
    """Return what a limit of the GPU alone binds: the verdict holds it against that limit."""
    return size_text(bill.needs[0].high_bytes) if len(bill.needs) > 1 else ""


def _limit(bill: PoolBill) -> str:
    of_gpu = bill.is_limited and bill.needs[0].pool.limit_scope == "accelerators"
    return size_text(bill.limit_bytes) + (" by the GPU" if of_gpu else "")


def speed(plan: Plan) -> None:
    """Say how fast it writes and reads, as ranges."""
    st.subheader("Speed")
    st.markdown("  \n".join(inert(sentence) for sentence in speed_sentences(plan)))


def commands(plan: Plan) -> None:
    """Show what to type, a tab a runtime, and the answer as a file."""
    st.subheader("Start it")
    if isinstance(plan, BestPlan):
        answers = plan.runtimes
        for tab, one in zip(
            st.tabs([find_runtime(one.runtime).label for one in answers]), answers, strict=True
        ):
            with tab:
                _command(one.commands, f"{one.reason}.", one.notes)
        address = file_list(plan.model) if plan.commands else None
        if address is not None:
            st.markdown(
                f"To get the file: [who offers it]({address}); with "
                f"{inert(f'hf:org/repo:{plan.model.file_type}')} as the model the command "
                "downloads it."
            )
    else:
        _command(plan.commands.get(plan.runtime, ()), plan.verdict_reason, plan.notes)
    st.download_button(
        "Answer as JSON",
        partial(dump_json, plan),  # written when somebody takes it
        file_name="whatfits.json",
        mime="application/json",
        on_click="ignore",
    )


def _command(lines: tuple[str, ...], said: str, notes: tuple[str, ...]) -> None:
    if lines:
        st.code("\n".join(lines), language="bash", wrap_lines=True)
    st.markdown(advice(said))
    for note in notes:
        st.caption(advice(note))


def reasons(plan: Plan) -> None:
    """Show the formula behind each number with what went into it."""
    panel = st.expander(
        "Why? Every number with its formula, inputs and source", key="why", on_change="rerun"
    )
    if not panel.open:
        return
    with panel:
        for basis in plan.basis:
            facts = reason(basis, plan)
            st.markdown(f"**{inert(facts.title)}**")
            lines = [f"- {name}: {inert(text)}" for name, text in facts.rows]
            links = source_links(basis.source)
            if links:
                read = ", ".join(f"[{inert(link.name)}]({link.url})" for link in links)
                lines.append(f"- read it: {read}")
            st.markdown("\n".join(lines))
        for note in plan.notes:
            st.caption(advice(note))
