"""The inputs as widgets: each bound to its name in the address."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import streamlit as st

from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.sources.claims import is_hub_name
from whatfits.sizing.units import parse_tokens
from whatfits.webapp.asked import machine_named
from whatfits.webapp.choices import (
    context_words,
    draft_choices,
    is_card,
    machine_choices,
    model_choices,
    model_words,
)
from whatfits.webapp.drop import ask_file, model_of_sent
from whatfits.webapp.input_list import HERE, SHARES, input_of, quants_of
from whatfits.webapp.known_results import forget_this_machine
from whatfits.webapp.mode import is_public
from whatfits.webapp.state import (
    Question,
    machine_of_inputs,
    other_machine_of,
    question_of,
)
from whatfits.webapp.widgets import (
    ask,
    chosen,
    fixed_place,
    forget_inputs,
    in_rows,
    linked_value,
    number,
    on_every_page,
    select,
    value_of,
)
from whatfits.webapp.words import inert

if TYPE_CHECKING:
    from whatfits.sizing.machine import Device
    from whatfits.sizing.model import ModelSpec

__all__ = [
    "ask_context",
    "ask_filters",
    "ask_machine",
    "ask_model",
    "ask_more",
    "ask_other_machine",
    "ask_quant",
    "dropped",
    "may_read_address",
    "other_machine",
    "question",
]

_DROPPED: Final = "dropped_model"
_ALLOWED: Final = "allowed_addresses"
_PUBLIC_MACHINE: Final = "rtx-4090"


def ask_model() -> None:
    """Ask for the model: of the catalog, of Hugging Face by name, or in a file."""
    with fixed_place():
        _ask_model()


def _ask_model() -> None:
    taken = dropped()
    if taken is not None:
        st.markdown(f"**Model**: {inert(taken.name)}, from your file")
        st.caption("It stays in this window: a link to this page does not carry it.")
        st.button("Choose from the catalog instead", on_click=_forget_file, type="tertiary")
        return
    model = (select("model", model_choices(), accept_new_options=True) or "").strip()
    if words := model_words(model):
        st.caption(inert(words))
    if is_public():
        return
    panel = st.expander("A model that is not in the list", key="file_panel", on_change="rerun")
    if not panel.open:
        return
    with panel:
        st.caption("Type hf:owner/name into Model, and Enter: its header is read there.")
        sent = ask_file()
        if sent is not None:
            _take_file(sent)


def _take_file(sent: object) -> None:
    """Remember the model of a file for this session, or say why it cannot be read."""
    try:
        st.session_state[_DROPPED] = model_of_sent(sent)
    except WhatfitsError as error:
        st.error(inert(str(error)))
    else:
        st.rerun()


def _forget_file() -> None:
    st.session_state.pop(_DROPPED, None)


def dropped() -> ModelSpec | None:
    """Return the model of this session's file; None without one."""
    found: ModelSpec | None = st.session_state.get(_DROPPED)
    return found


def may_read_address() -> bool:
    """Whether a model's header may be fetched from Hugging Face: never because of a link alone."""
    model = str(value_of("model")).strip()
    if dropped() is not None or is_public() or not is_hub_name(model):
        return True
    allowed: set[str] = st.session_state.setdefault(_ALLOWED, set())
    if model in allowed:
        return True
    st.info(f"{inert(model)} is not in the catalog.", icon=":material/cloud_download:")
    st.button("Read its header from Hugging Face", on_click=allowed.add, args=(model,))
    return False


def ask_machine() -> None:
    """Ask for the machine; a card also for how many, and for the RAM around it."""
    with fixed_place():
        _ask_machine()


def _ask_machine() -> None:
    options = machine_choices(with_here=not is_public())
    if is_public():
        st.session_state.setdefault("machine", _PUBLIC_MACHINE)
    machine = select("machine", options, accept_new_options=True)
    if is_card(machine or ""):
        in_rows(partial(number, "cards"), partial(select, "ram", input_of("ram").allowed))
    elif machine == HERE:
        st.button(
            "Read this computer again",
            on_click=forget_this_machine,
            type="tertiary",
            help="What is free changes with what else runs.",
        )


def _draft_choices() -> tuple[str, ...]:
    """Return what can draft for the model that is asked for; for a file of one's own, anything."""
    model = "" if dropped() is not None else str(value_of("model") or "")
    return draft_choices(model)


def ask_quant(runtime: str | None = None) -> None:
    """Ask for the quantisation: of those that a runtime loads, by the key of the input it is in.

    One that was chosen for another runtime stays to be seen: the answer says what is wrong with it.
    """
    options = quants_of(DEFAULT_RUNTIME if runtime is None else linked_value(runtime))
    known = linked_value("quant")
    if known not in options and known in input_of("quant").allowed:
        options += (known,)
    select("quant", options)


def ask_context() -> None:
    """Ask for the context, from a short chat to a whole repository."""
    item = input_of("context")
    length = str(ask(st.select_slider, "context", options=item.allowed, value=item.default))
    st.caption(context_words(parse_tokens(length)))


def ask_more() -> None:
    """Ask for everything that has a good default."""
    with on_every_page():
        left, right = st.columns(2)
    with left:
        select("runtime", input_of("runtime").allowed)
        number("users")
        select("kv", input_of("kv").allowed)
        select("flash", input_of("flash").allowed)
        ask(st.select_slider, "ubatch", options=input_of("ubatch").allowed, value=512)
        ask(st.toggle, "idle", value=False)
    with right:
        number("layers")
        number("experts")
        number("reserve")
        number("prompt")
        select("draft", _draft_choices())
    _ask_shares()


def _ask_shares() -> None:
    """Ask what share of the layers each card gets, where there are several."""
    cards = _accelerators()
    forget_inputs(SHARES[len(cards) :])  # of a machine that had more
    if not cards:
        return
    st.caption(
        "How the layers are split: a share for each card, or none for a split by memory, or "
        "another where only that one fits."
    )
    in_rows(
        *(
            partial(number, key, label=f"Share of {card.id} ({inert(card.name)})")
            for key, card in zip(SHARES, cards, strict=False)
        )
    )


def _accelerators() -> tuple[Device, ...]:
    """Return the cards of the chosen machine where a split over them can be asked for."""
    try:
        found = machine_named(machine_of_inputs(chosen())).accelerators
    except WhatfitsError:  # the answer below says what is wrong with the machine
        return ()
    return found if 1 < len(found) <= len(SHARES) else ()


def ask_other_machine() -> None:
    """Ask for a machine to hold against the first."""
    select("other", machine_choices(with_here=not is_public()), accept_new_options=True)


def ask_filters() -> None:
    """Ask which models to show, and in which order."""
    in_rows(
        *(partial(select, key, input_of(key).allowed) for key in ("use", "licence", "sort")),
        ask_context,
    )


def other_machine() -> str:
    """Return the second machine as one expression."""
    return other_machine_of(chosen())


def question() -> Question:
    """Return what this session asks.

    Raises:
        InvalidRequestError: one of the values cannot be used.
    """
    return question_of(chosen())
