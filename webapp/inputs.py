"""The inputs as widgets: each bound to its name in the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.sources.claims import is_hub_name
from whatfits.sizing.units import parse_tokens
from whatfits.webapp.choices import (
    context_words,
    draft_choices,
    is_card,
    machine_choices,
    model_choices,
    model_words,
)
from whatfits.webapp.drop import ask_file, model_of_sent
from whatfits.webapp.engine import forget_this_machine
from whatfits.webapp.mode import is_public
from whatfits.webapp.state import HERE, INPUTS, Question, input_of, other_machine_of, question_of
from whatfits.webapp.words import inert

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    "restore",
    "set_inputs",
    "value_of",
]

_DROPPED: Final = "dropped_model"
_SCREEN: Final = "screen_shown"
_KEPT: Final = "kept_values"
_ALLOWED: Final = "allowed_addresses"
_URL: Final = "query-params"
_PUBLIC_MACHINE: Final = "rtx-4090"


def restore(screen: str) -> None:
    """Give a page the values that were chosen on another one; what its address says comes first.

    Widgets of the same name on two pages are two widgets to Streamlit, each with its default.
    """
    if st.session_state.get(_SCREEN) == screen:
        return
    st.session_state[_SCREEN] = screen
    for key, value in st.session_state.get(_KEPT, {}).items():
        if key not in st.query_params:
            st.session_state[key] = value


def _keep(key: str, value: Any) -> Any:  # noqa: ANN401 - as declared
    """Remember a value for the other pages, whose widgets are others of the same name."""
    st.session_state.setdefault(_KEPT, {})[key] = value
    return value


def _common(key: str) -> dict[str, Any]:
    item = input_of(key)
    return {"label": item.label, "key": key, "help": item.help, "bind": _URL}


def _select(key: str, options: tuple[str, ...], **more: Any) -> Any:  # noqa: ANN401 - as declared
    default = input_of(key).default
    index = options.index(default) if default in options else 0
    return _keep(key, st.selectbox(options=options, index=index, **_common(key), **more))


def _number(key: str) -> int | None:
    item = input_of(key)
    least = 1 if item.default == 1 else 0
    found: int | None = st.number_input(
        min_value=least, max_value=item.most, value=item.default, step=1, **_common(key)
    )
    _keep(key, found)
    return found


def ask_model() -> None:
    """Ask for the model: of the catalog, of Hugging Face by name, or in a file."""
    taken = dropped()
    if taken is not None:
        st.markdown(f"**Model**: {inert(taken.name)}, from your file")
        st.button("Choose from the catalog instead", on_click=_forget_file, type="tertiary")
        return
    model = (_select("model", model_choices(), accept_new_options=True) or "").strip()
    if words := model_words(model):
        st.caption(inert(words))
    panel = st.expander("A model that is not in the list", key="file_panel", on_change="rerun")
    if not panel.open:
        return
    with panel:
        if not is_public():
            st.caption("Type hf:owner/name into Model, and Enter: its header is read there.")
        sent = ask_file()
        if sent is not None:
            _take_file(sent)


def _take_file(sent: Mapping[str, Any]) -> None:
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
    options = machine_choices(with_here=not is_public())
    if is_public():
        st.session_state.setdefault("machine", _PUBLIC_MACHINE)
    machine = _select("machine", options, accept_new_options=True)
    if is_card(machine or ""):
        left, right = st.columns(2)
        with left:
            _number("cards")
        with right:
            _select("ram", input_of("ram").allowed)
    elif machine == HERE:
        st.button(
            "Read this computer again",
            on_click=forget_this_machine,
            type="tertiary",
            help="What is free changes with what else runs.",
        )


def ask_quant() -> None:
    """Ask for the quantisation."""
    _select("quant", input_of("quant").allowed)


def ask_context() -> None:
    """Ask for the context, from a short chat to a whole repository."""
    item = input_of("context")
    chosen = str(st.select_slider(options=item.allowed, value=item.default, **_common("context")))
    _keep("context", chosen)
    st.caption(context_words(parse_tokens(chosen)))


def ask_more() -> None:
    """Ask for everything that has a good default."""
    left, right = st.columns(2)
    with left:
        _select("runtime", input_of("runtime").allowed)
        _number("users")
        _select("kv", input_of("kv").allowed)
        _select("flash", input_of("flash").allowed)
        steps = input_of("ubatch").allowed
        _keep("ubatch", st.select_slider(options=steps, value=512, **_common("ubatch")))
        _keep("idle", st.toggle(value=False, **_common("idle")))
    with right:
        _number("layers")
        _number("experts")
        _number("reserve")
        _number("prompt")
        _select("draft", draft_choices())
        _keep("split", st.text_input(max_chars=100, **_common("split")))


def ask_other_machine() -> None:
    """Ask for a machine to hold against the first."""
    _select("other", machine_choices(with_here=not is_public()), accept_new_options=True)


def ask_filters() -> None:
    """Ask which models to show, and in which order."""
    left, right = st.columns(2)
    with left:
        _select("use", input_of("use").allowed)
        _select("sort", input_of("sort").allowed)
    with right:
        _select("licence", input_of("licence").allowed)
        ask_context()


def value_of(key: str) -> Any:  # noqa: ANN401 - as declared
    """Return what this session has chosen for an input."""
    return st.session_state.get(key, input_of(key).default)


def other_machine() -> str:
    """Return the second machine as one expression."""
    keys = [item.key for item in INPUTS]
    return other_machine_of({k: st.session_state[k] for k in keys if k in st.session_state})


def question() -> Question:
    """Return what this session asks.

    Raises:
        InvalidRequestError: one of the values cannot be used.
    """
    keys = [item.key for item in INPUTS]
    return question_of({key: st.session_state[key] for key in keys if key in st.session_state})


def set_inputs(values: Mapping[str, Any]) -> None:
    """Set inputs before the next run, as a remedy's button does."""
    for key, value in values.items():
        st.session_state[key] = value
