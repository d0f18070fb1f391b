"""What is too large for all memory is answered without trying, and the answer is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check, load_machine
from whatfits.sizing.api import load_model
from whatfits.sizing.extras import NO_EXTRAS, Extras
from whatfits.sizing.remedies.trials import RemedySearch
from whatfits.sizing.search import rooms
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import GIB
from whatfits.sizing.verdict import is_more_than_all
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

CASES = [
    ("llama-3.3-70b", "rtx-3060 12gb + 16gb"),
    ("llama-3.3-70b", "16gb"),
    ("qwen3-30b-a3b", "m2 8gb"),
    ("qwen3-30b-a3b", "8gb"),
]


@pytest.mark.parametrize(("model", "machine"), CASES)
def test_the_answer_is_the_one_that_trying_gives(
    model: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = check(model, machine=machine)
    taken = []
    told = Trials.is_too_large

    def noted(self: Trials) -> bool:
        taken.append(told(self))
        return False

    monkeypatch.setattr(Trials, "is_too_large", noted)
    assert check(model, machine=machine) == quick
    assert any(taken)


@pytest.mark.parametrize(
    "placement",
    [
        {"overrides": (("up_exps", "cuda1"), ("down_exps", "cpu"))},
        {"tensor_split": (1.0, 3.0)},
    ],
)
def test_a_request_that_names_devices_is_asked_about_as_well(placement: dict[str, object]) -> None:
    found = check("deepseek-v3", machine="2x rtx-3090 + 32gb", placement=placement)
    assert found.verdict == "no"
    assert found.largest_context_tokens is None


REMEDIED = [
    ("llama-3.3-70b", "rtx-3060 12gb + 16gb", {"context_tokens": 16_384}, "no"),
    ("llama-3.3-70b", "16gb", {}, "no"),
    ("qwen3-32b", "rtx-3060 12gb + 8gb", {"context_tokens": 16_384}, "no"),
    ("qwen2.5-14b", "rtx-3060 12gb + 64gb", {"context_tokens": 32_768}, "slow"),
    ("qwen3-30b-a3b", "rtx-3060 12gb + 64gb", {}, "slow"),
    ("gemma-3-12b", "rtx-4060 + 32gb", {"context_tokens": 65_536}, "slow"),
]


@pytest.mark.parametrize("runtime", ["llama.cpp", "ollama"])
@pytest.mark.parametrize(("model", "machine", "asked", "verdict"), REMEDIED)
def test_the_remedies_are_those_that_trying_every_change_finds(
    model: str,
    machine: str,
    asked: dict[str, int],
    verdict: str,
    *,
    runtime: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = check(model, machine=machine, workload=asked, runtime=runtime)
    assert quick.verdict == verdict
    passed_over = []
    told = RemedySearch.may_improve

    def noted(self: RemedySearch, model: ModelSpec, **more: int) -> bool:
        passed_over.append(not told(self, model, **more))
        return True

    monkeypatch.setattr(RemedySearch, "may_improve", noted)
    assert check(model, machine=machine, workload=asked, runtime=runtime) == quick
    assert any(passed_over)


@pytest.mark.parametrize("model", ["llama-3.3-70b", "qwen3-32b"])
def test_smaller_models_are_those_of_all_that_are_smaller(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = check(model, machine="rtx-3060 12gb + 8gb")
    monkeypatch.setattr(rooms, "room_of_all", lambda _: 2**60)
    assert check(model, machine="rtx-3060 12gb + 8gb") == quick
    assert "model" in [remedy.key for remedy in quick.remedies]


def test_room_is_what_is_free_now_of_all_that_is_known() -> None:
    known = load_machine("rtx-4090 + 32gb")
    card, ram = known.pools
    held = replace(ram, used_bytes=5 * GIB, reserve_bytes=3 * GIB)
    machine = replace(known, pools=(card, held))
    assert rooms.room_on_accelerators(machine) == card.free_low_bytes
    assert rooms.room_of_all(machine) == (card.free_low_bytes or 0) + 24 * GIB
    unknown = replace(known, pools=(card, replace(ram, total_bytes=None)))
    assert rooms.room_of_all(unknown) is None
    assert rooms.room_on_accelerators(unknown) == card.free_low_bytes


def test_only_known_memory_is_too_small() -> None:
    card, known = load_machine("rtx-4090"), load_machine("rtx-4090 + 32gb")
    assert not is_more_than_all(10**15, card)  # its RAM is not known
    assert is_more_than_all(64 * GIB, known)
    assert not is_more_than_all(32 * GIB, known)


def test_a_draft_larger_than_all_memory_is_answered_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = []
    bill = Trials._new_trial  # what is slow is counted, not timed

    def counted(self: Trials, *asked: object) -> object:
        tried.append(asked)
        return bill(self, *asked)  # type: ignore[arg-type]

    monkeypatch.setattr(Trials, "_new_trial", counted)
    plan = check(
        "qwen3-32b",
        machine="rtx-4090 + 64gb",
        workload={"model_draft": "qwen3-235b-a22b", "context_tokens": 16_384},
    )
    assert (plan.verdict, plan.largest_context_tokens) == ("no", None)
    assert [remedy.key for remedy in plan.remedies] == ["draft"]
    assert plan.remedies[0].change == {"workload": {"model_draft": None}}
    assert len(tried) < 5  # the request, and the one without the draft


def test_a_model_and_its_draft_together_may_be_too_large() -> None:
    model, draft = load_model("qwen3-14b"), load_model("qwen3-8b")
    machine, workload = load_machine("12gb"), Workload(model_draft="qwen3-8b")
    request = PlacementRequest()
    assert not Trials(model, machine, Workload(), request, NO_EXTRAS).is_too_large()
    assert Trials(model, machine, workload, request, Extras(draft=draft)).is_too_large()
