from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing import check
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.workload import PlacementRequest, Workload
from whatfits.webapp.cost_inputs import COST_INPUTS
from whatfits.webapp.cost_state import cost_question_of
from whatfits.webapp.input_list import CONTEXTS, INPUTS, SHARES, input_of
from whatfits.webapp.serving_inputs import SERVING_INPUTS
from whatfits.webapp.serving_state import serving_question_of
from whatfits.webapp.state import (
    machine_of_inputs,
    other_machine_of,
    question_of,
    remedy_state,
)

CARD = {"machine": "rtx-4090", "model": "llama-3.3-70b"}


def test_keys_are_unique_and_each_input_says_what_it_is() -> None:
    assert len({item.key for item in INPUTS}) == len(INPUTS)
    for item in INPUTS:
        assert item.key.isalnum(), item.key
        assert item.label, item.key
        assert item.help.endswith("."), item.key


def test_a_default_is_one_of_the_allowed_values() -> None:
    for item in INPUTS:
        assert not item.allowed or item.default in item.allowed, item.key


def test_an_untouched_page_asks_for_the_defaults_of_the_library() -> None:
    question = question_of({})
    assert question.workload == Workload(context_tokens=8192)
    assert question.placement == PlacementRequest()
    assert question.file_type is None
    assert question.machine == "this computer"


def test_every_input_of_the_question_changes_it() -> None:
    base = question_of({})
    changed = {
        "model": "qwen3-8b",
        "machine": "64gb",
        "quant": "Q6_K",
        "context": "32k",
        "runtime": "ollama",
        "kv": "q8_0",
        "users": 4,
        "flash": "off",
        "ubatch": 1024,
        "prompt": 2048,
        "draft": "qwen3-0.6b",
        "layers": 20,
        "experts": 3,
        "share1": 3,
        "reserve": 4096,
        "idle": True,
    }
    for key, value in changed.items():
        assert question_of({key: value}) != base, key
    elsewhere = {"cards", "ram", "other", "use", "licence", "sort", *SHARES[1:]}
    of_other_pages = {item.key for item in (*SERVING_INPUTS, *COST_INPUTS)}
    assert set(changed) | elsewhere | of_other_pages == {item.key for item in INPUTS}


def test_every_input_of_costs_changes_their_question() -> None:
    base = cost_question_of(question_of({}), {})
    changed = {
        **{item.key: 3 for item in COST_INPUTS},
        "api": "openai/gpt-5",
        "region": "germany",
        "kwh": 0.4,
    }
    assert changed.pop("rent") == 3  # which line is drawn, not what is asked
    for key, value in changed.items():
        assert cost_question_of(question_of({}), {key: value}) != base, key


def test_every_input_of_serving_changes_its_question() -> None:
    base = serving_question_of(question_of({}), {})
    changed = {**{item.key: 3 for item in SERVING_INPUTS}, "server": "vllm", "prompt": 100}
    for key, value in changed.items():
        assert serving_question_of(question_of({}), {key: value}) != base, key


def test_per_cent_are_shares_and_what_was_cleared_is_the_default() -> None:
    asked = cost_question_of(question_of({}), {"cached": 40, "resale": 25, "usespread": 10})
    assert asked.usage.cached_share == 0.4
    assert asked.ownership.resale_share == 0.25
    assert asked.spreads.use == 0.1
    cleared = dict.fromkeys(item.key for item in COST_INPUTS)
    assert cost_question_of(question_of({}), cleared) == cost_question_of(question_of({}), {})


def test_a_card_of_the_list_stands_in_a_pc_with_ram() -> None:
    assert question_of(CARD).machine == "rtx-4090 + 32gb"
    more = question_of({**CARD, "cards": 2, "ram": "128gb"})
    assert more.machine == "2x rtx-4090 + 128gb"


@pytest.mark.parametrize("written", ["2x rtx-3090 + 64gb", "m4-pro 48gb", "64gb"])
def test_a_machine_that_is_written_out_stays_as_it_is(written: str) -> None:
    assert question_of({"machine": written, "cards": 3, "ram": "8gb"}).machine == written


def test_the_second_machine_is_one_card_beside_the_same_ram() -> None:
    assert other_machine_of({"other": "rtx-3090", "cards": 4, "ram": "64gb"}) == "rtx-3090 + 64gb"


def test_the_machine_of_a_session_is_that_of_its_question() -> None:
    asked = {**CARD, "cards": 2, "ram": "64gb"}
    assert machine_of_inputs(asked) == question_of(asked).machine == "2x rtx-4090 + 64gb"


def test_a_field_a_card_makes_the_split() -> None:
    assert question_of({}).placement.tensor_split is None
    shares = {"share1": 3, "share2": 1}
    assert question_of(shares).placement.tensor_split == (3.0, 1.0)
    assert question_of({"share1": 0, "share2": 1}).placement.tensor_split == (0.0, 1.0)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"share2": 1}, "a number for every card"),
        ({"share1": 1, "share3": 1}, "a number for every card"),
        ({"share1": 0, "share2": 0}, "one above 0"),
    ],
)
def test_a_split_that_leaves_cards_out_is_refused_in_a_sentence(
    shares: dict[str, int], said: str
) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        question_of(shares)


def test_values_that_were_cleared_are_the_defaults() -> None:
    cleared = {"model": None, "machine": None, "quant": None, "kv": None, "draft": None}
    assert question_of(cleared) == replace(question_of({}), model="")


def test_a_remedy_sets_the_inputs_that_ask_for_it() -> None:
    plan = check(
        "qwen3-14b",
        machine="rtx-3060-12-gb + 64gb",
        file_type="Q4_K_M",
        workload={"context_tokens": 16_384},
    )
    by_key = {remedy.key: remedy_state(remedy.change) for remedy in plan.remedies}
    assert by_key["context"] == {"context": "8k"}
    assert by_key["kv_type"] == {"kv": "q8_0"}
    assert by_key["file_type"]["quant"] in input_of("quant").allowed


@pytest.mark.parametrize(
    "change",
    [
        {"workload": {"context_tokens": 3328}},
        {"workload": {"context_tokens": 4096, "swa_full": True}},
        {"placement": {"gpu_layers": 3}},
        {"placement": {"tensor_split": (1.0,) * 17}},
        {"placement": {"tensor_split": (38.0, 43.0), "split_mode": "layer"}},
        {"file_type": "IQ9_X"},
        {},
    ],
)
def test_a_remedy_that_the_inputs_cannot_carry_sets_none(change: dict[str, object]) -> None:
    assert remedy_state(change) == {}


def test_the_remedy_of_another_split_sets_the_share_of_each_card() -> None:
    asked = {"machine": "rtx-3090", "cards": 2, "share1": 1, "share2": 1}
    change = {"placement": {"tensor_split": (38.0, 43.0)}}
    question = question_of({**asked, **remedy_state(change)})
    assert question.placement.tensor_split == (38.0, 43.0)


def test_contexts_double() -> None:
    assert [question_of({"context": text}).workload.context_tokens for text in CONTEXTS] == [
        2**power for power in range(10, 21)
    ]
