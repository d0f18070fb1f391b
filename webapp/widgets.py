"""Widgets bound to their names in the address, and what a session has chosen with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from whatfits.webapp.input_list import INPUTS, input_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "amount",
    "chosen",
    "common",
    "forget_inputs",
    "in_rows",
    "keep",
    "number",
    "restore",
    "select",
    "set_inputs",
    "value_of",
]

_SCREEN: Final = "screen_shown"
_KEPT: Final = "kept_values"
_URL: Final = "query-params"


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


def keep(key: str, value: Any) -> Any:  # noqa: ANN401 - as declared
    """Return a value, remembered for the other pages, whose widgets are others of the same name."""
    st.session_state.setdefault(_KEPT, {})[key] = value
    return value


def common(key: str) -> dict[str, Any]:
    """Return what every widget of an input is told: its words, and its name in the address."""
    item = input_of(key)
    return {"label": item.label, "key": key, "help": item.help, "bind": _URL}


def select(key: str, options: tuple[str, ...], **more: Any) -> Any:  # noqa: ANN401 - as declared
    """Ask for one of the options; return it."""
    default = input_of(key).default
    index = options.index(default) if default in options else 0
    return keep(key, st.selectbox(options=options, index=index, **common(key), **more))


def number(key: str, **more: str) -> int | None:
    """Ask for a whole number; return it, None for none."""
    item = input_of(key)
    found: int | None = st.number_input(
        min_value=item.least,
        max_value=item.most,
        value=item.default,
        step=1,
        **{**common(key), **more},
    )
    keep(key, found)
    return found


def amount(key: str, *, step: float) -> float | None:
    """Ask for a number with a fraction; return it, None for none."""
    item = input_of(key)
    found: float | None = st.number_input(
        min_value=float(item.least), value=item.default, step=step, format="%g", **common(key)
    )
    keep(key, found)
    return found


def in_rows(*asks: Callable[[], object]) -> None:
    """Ask two beside each other; on a phone they follow each other in the order given."""
    for at in range(0, len(asks), 2):
        for column, ask in zip(st.columns(2), asks[at : at + 2], strict=False):
            with column:
                ask()


def value_of(key: str) -> Any:  # noqa: ANN401 - as declared
    """Return what this session has chosen for an input."""
    return st.session_state.get(key, input_of(key).default)


def chosen() -> dict[str, Any]:
    """Return what this session has chosen."""
    keys = [item.key for item in INPUTS]
    return {key: st.session_state[key] for key in keys if key in st.session_state}


def forget_inputs(keys: Iterable[str]) -> None:
    """Forget what was chosen for inputs that are no longer asked for."""
    for key in keys:
        st.session_state.get(_KEPT, {}).pop(key, None)
        st.session_state.pop(key, None)


def set_inputs(values: Mapping[str, Any]) -> None:
    """Set inputs before the next run, as a remedy's button does."""
    for key, value in values.items():
        st.session_state[key] = value
