"""What is too large for all memory is answered without trying, and the answer is the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check, load_machine, remedies, rooms
from whatfits.sizing.api import load_model
from whatfits.sizing.extras import NO_EXTRAS, Extras
from whatfits.sizing.search import Trials
from whatfits.sizing.units import GIB
from whatfits.sizing.verdict import is_more_than_all
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
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


@pytest.mark.parametrize(("model", "machine"), [*CASES[:2], ("qwen3-32b", "rtx-3060 12gb + 8gb")])
def test_the_remedies_are_those_that_trying_every_change_finds(
    model: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"context_tokens": 16_384}
    quick = check(model, machine=machine, workload=asked)
    assert quick.verdict == "no"
    room = rooms.room_of_all(load_machine(machine))
    passed_over = []

    def noted(spec: ModelSpec, _: Machine) -> bool:
        passed_over.append(room is not None and spec.tensor_bytes > room)
        return True

    monkeypatch.setattr(remedies, "has_room_for", noted)
    monkeypatch.setattr(rooms, "room_of_all", lambda _: None)
    assert check(model, machine=machine, workload=asked) == quick
    assert any(passed_over)


def test_room_is_what_is_free_now_of_all_that_is_known() -> None:
    spec = load_model("smollm2-135m")
    weights = spec.tensor_bytes
    known = load_machine("rtx-4090 + 32gb")
    held = [replace(pool, used_bytes=pool.free_low_bytes) for pool in known.pools]
    full = replace(known, pools=tuple(held))
    assert rooms.room_of_all(full) == 0
    assert not rooms.has_room_for(spec, full)
    left = replace(held[1], used_bytes=(held[1].used_bytes or 0) - weights)
    assert rooms.has_room_for(spec, replace(full, pools=(held[0], left)))
    less = replace(left, reserve_bytes=left.reserve_bytes + weights // 10)
    assert not rooms.has_room_for(spec, replace(full, pools=(held[0], less)))
    unknown = replace(full, pools=(held[0], replace(held[1], total_bytes=None)))
    assert rooms.room_of_all(unknown) is None
    assert rooms.has_room_for(spec, unknown)


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
