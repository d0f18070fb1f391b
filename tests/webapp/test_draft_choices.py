"""The models a page offers to draft for another: those that can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatfits.sizing.api import load_model
from whatfits.sizing.draft_pairs import has_close_vocabulary
from whatfits.webapp.choices import draft_choices
from whatfits.webapp.input_list import NONE
from whatfits.webapp.state import remedy_state

if TYPE_CHECKING:
    from collections.abc import Callable


def test_offered_are_smaller_models_of_the_same_vocabulary() -> None:
    offered = draft_choices("qwen3-32b")
    assert offered[0] == NONE
    assert "qwen3-0.6b" in offered
    assert "llama-3.2-1b" not in offered
    target = load_model("qwen3-32b")
    assert all(has_close_vocabulary(target, load_model(name)) for name in offered[1:])
    assert "qwen3-4b" not in draft_choices("qwen3-1.7b")


def test_nothing_drafts_for_what_embeds() -> None:
    assert draft_choices("qwen3-embedding-4b") == (NONE,)
    assert not any("embedding" in name for name in draft_choices("qwen3-32b"))


def test_for_a_model_outside_the_catalog_every_small_one_is_offered() -> None:
    assert {"qwen3-0.6b", "llama-3.2-1b"} <= set(draft_choices("hf:owner/name"))


def test_a_remedy_without_a_draft_sets_the_input() -> None:
    assert remedy_state({"workload": {"model_draft": None}}) == {"draft": NONE}


def test_a_draft_that_cannot_draft_is_not_kept(page: Callable[..., Any]) -> None:
    app = page(model="qwen3-32b", machine="rtx-4090", draft="qwen3-0.6b")
    assert app.selectbox(key="draft").value == "qwen3-0.6b"
    app.selectbox(key="model").set_value("llama-3.1-8b").run()
    assert not app.exception
    assert not app.error
    assert app.selectbox(key="draft").value == NONE
    stray = page(model="qwen3-32b", machine="rtx-4090", draft="llama-3.2-1b")
    assert (stray.selectbox(key="draft").value, list(stray.error)) == (NONE, [])
