"""What is too large for all memory is answered without trying, and the answer is the same."""

from __future__ import annotations

import pytest

from whatfits.sizing import check, load_machine
from whatfits.sizing.api import load_model
from whatfits.sizing.extras import NO_EXTRAS, Extras
from whatfits.sizing.search import Trials
from whatfits.sizing.units import GIB
from whatfits.sizing.verdict import is_more_than_all
from whatfits.sizing.workload import PlacementRequest, Workload

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
