"""Widgets bound to their names in the address, and what a session has chosen with them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from whatfits.webapp.input_list import input_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "amount",
    "ask",
    "begin",
    "chosen",
    "fixed_place",
    "forget_inputs",
    "in_rows",
    "linked_value",
    "number",
    "on_every_page",
    "panel",
    "place_of",
    "select",
    "set_inputs",
    "value_of",
]

_ASKED: Final = "asked_keys"
_PAGE: Final = "page_shown"
_IS_NEW_PAGE: Final = "is_new_page"
_URL: Final = "query-params"


def begin(page: int) -> None:
    """Begin a run of a page: nothing was asked yet."""
    st.session_state[_ASKED] = {}
    st.session_state[_IS_NEW_PAGE] = st.session_state.get(_PAGE, page) != page
    st.session_state[_PAGE] = page


@contextmanager
def on_every_page() -> Iterator[None]:
    """Make widgets that are the same on every page, as those of the router's own script are.

    Else a widget of the same name is another one on each page, and the address loses its value
    when somebody goes from page to page, or back.
    """
    context = get_script_run_ctx()
    if context is None:
        yield
        return
    with context.run_with_active_hash(context.pages_manager.main_script_hash):
        yield


def place_of(page: int, *, of: int) -> Any:  # noqa: ANN401 - Streamlit's own
    """Return the place of a page, and empty that of every other one before anything is in it.

    The browser forgets the name of a widget in the address when it takes the widget away. If it
    has shown the same one at another place of the next page by then, no name is left.
    """
    places = [st.container() if each == page else st.empty() for each in range(of)]
    return places[page]


def fixed_place() -> Any:  # noqa: ANN401 - Streamlit's own
    """Return a place for fields that come and go: what is below it stays where it is.

    Widgets that move lose their names in the address, as between pages.
    """
    with on_every_page():
        return st.container()


def ask(widget: Callable[..., Any], key: str, **more: Any) -> Any:  # noqa: ANN401 - as declared
    """Ask for an input with a widget, bound to its name in the address; return what is chosen."""
    item = input_of(key)
    if st.session_state.get(_IS_NEW_PAGE) and key in st.session_state:
        # a browser that has taken a widget away may show it anew with the default: tell it
        st.session_state[key] = st.session_state[key]
    told = {"label": item.label, "key": key, "help": item.help, "bind": _URL}
    with on_every_page():
        value = widget(**{**told, **more})
    st.session_state.setdefault(_ASKED, {})[key] = None  # in the order of the page
    return value


def select(key: str, options: tuple[str, ...], **more: Any) -> Any:  # noqa: ANN401 - as declared
    """Ask for one of the options; return it."""
    default = input_of(key).default
    index = options.index(default) if default in options else 0
    return ask(st.selectbox, key, options=options, index=index, **more)


def number(key: str, **more: str) -> int | None:
    """Ask for a whole number; return it, None for none."""
    item = input_of(key)
    bounds = {"min_value": item.least, "max_value": item.most}
    found: int | None = ask(st.number_input, key, value=item.default, step=1, **bounds, **more)
    return found


def amount(key: str, *, step: float, most: float) -> float | None:
    """Ask for a number with a fraction; return it, None for none."""
    item = input_of(key)
    found: float | None = ask(
        st.number_input,
        key,
        min_value=float(item.least),
        max_value=most,
        value=item.default,
        step=step,
        format="%g",
    )
    return found


def panel(label: str) -> Any:  # noqa: ANN401 - Streamlit's own
    """Return a closed panel for inputs."""
    with on_every_page():
        return st.expander(label)


def in_rows(*asks: Callable[[], object]) -> None:
    """Ask two beside each other; on a phone they follow each other in the order given."""
    for at in range(0, len(asks), 2):
        with on_every_page():
            columns = st.columns(2)
        for column, one in zip(columns, asks[at : at + 2], strict=False):
            with column:
                one()


def value_of(key: str) -> Any:  # noqa: ANN401 - as declared
    """Return what this session has chosen for an input."""
    return st.session_state.get(key, input_of(key).default)


def linked_value(key: str) -> Any:  # noqa: ANN401 - as declared
    """Return what this session will choose for an input that is asked for later.

    Until then the address alone has what a link says.
    """
    item = input_of(key)
    linked = st.query_params.get(key)
    usual = linked if linked in item.allowed else item.default
    found = st.session_state.get(key)
    return usual if found is None else found


def chosen() -> dict[str, Any]:
    """Return what this session has chosen, of what its page asks for.

    What was chosen on another page is not in this one's address: an answer that went by it would
    be another for whoever follows the link.
    """
    asked = st.session_state.get(_ASKED, {})
    return {key: st.session_state[key] for key in asked if key in st.session_state}


def forget_inputs(keys: Iterable[str]) -> None:
    """Forget what was chosen for inputs that are no longer asked for."""
    for key in keys:
        st.session_state.pop(key, None)


def set_inputs(values: Mapping[str, Any]) -> None:
    """Set inputs before the next run, as a remedy's button does."""
    for key, value in values.items():
        st.session_state[key] = value
