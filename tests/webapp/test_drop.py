from __future__ import annotations

import base64
import json
from typing import Any

import pytest

pytest.importorskip("streamlit", reason="needs the extra [web]")

from whatfits.sizing.errors import BadInputError
from whatfits.webapp.drop import model_of_sent
from whatfits.webapp.sessions import take_place

CONFIG = json.dumps(
    {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "vocab_size": 1000,
    }
).encode()


def sent(data: bytes, **changes: object) -> dict[str, Any]:
    head = base64.b64encode(data).decode()
    return {"name": "config.json", "size": len(data), "head": head} | changes


def test_what_a_browser_sends_is_a_model() -> None:
    assert model_of_sent(sent(CONFIG)).layers


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"name": 3},
        {"size": "12"},
        {"size": True},
        {"size": -1},
        {"head": None},
        {"head": "not base64!"},
        {"head": "A" * 40_000_000},
        {"name": "x.gguf", "head": ""},
    ],
)
def test_anything_else_is_refused(odd: dict[str, object]) -> None:
    given = sent(CONFIG, **odd) if odd else {}
    with pytest.raises(BadInputError):
        model_of_sent(given)


def test_a_long_name_is_cut() -> None:
    assert len(model_of_sent(sent(CONFIG, name="n" * 10_000 + ".json")).name) <= 200


@pytest.mark.parametrize("odd", [None, [], "config.json", 3, [["name", "x"]]])
def test_what_is_no_object_at_all_is_refused(odd: object) -> None:
    with pytest.raises(BadInputError):
        model_of_sent(odd)


def test_a_place_is_free_again_when_its_visitor_is_gone() -> None:
    there = {"first", "second"}
    first = take_place("first", there.__contains__, most=1)
    assert first is not None
    assert take_place("second", there.__contains__, most=1) is None
    there.remove("first")
    second = take_place("second", there.__contains__, most=1)
    assert second is not None


def test_a_place_is_free_again_when_its_session_is_gone() -> None:
    first = take_place("first", lambda _: True, most=1)
    assert first is not None
    del first
    assert take_place("second", lambda _: True, most=1) is not None
