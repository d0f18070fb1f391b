"""Whether a machine runs a model, by llama.cpp's rules and by those of a runtime of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from whatfits.sizing import check
from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import RateRange
from whatfits.sizing.needing.trials import LlamaMachines, OwnMachines, Tried
from whatfits.sizing.workload import Workload

SPEC = load_model("smollm2-135m")
WORKLOAD = Workload(context_tokens=4096)
MACHINE = load_machine("rtx 3060 12gb + 16gb")
RATE = RateRange(1.0, 2.0, 3.0)


@pytest.mark.parametrize("machine", ["rtx 3060 12gb + 16gb", "8gb", "m2 8gb"])
def test_by_llama_cpps_rules_it_takes_what_check_says(machine: str) -> None:
    found = LlamaMachines(SPEC, WORKLOAD).on(load_machine(machine))
    plan = check(SPEC, machine=machine, workload=WORKLOAD)
    assert plan.verdict == "fits"
    assert plan.speed is not None
    assert found == Tried(plan.memory.high_bytes, plan.speed.decode_tokens_per_s)


def test_what_spills_does_not_count() -> None:
    large = load_model("llama-3.3-70b")
    trials = LlamaMachines(large, WORKLOAD)
    assert check(large, machine="rtx 3060 12gb + 64gb", workload=WORKLOAD).verdict == "slow"
    assert trials.on(load_machine("rtx 3060 12gb + 64gb")) is None
    trials.require_a_machine()


@pytest.mark.parametrize("machine", ["8gb", "rtx 3060 12gb + 16gb", "m2 8gb"])
@pytest.mark.parametrize(
    ("flash", "kv_type", "batch"),
    [("auto", "f16", None), ("auto", "q8_0", None), ("off", "f16", None), ("auto", "f16", 64)],
)
@pytest.mark.parametrize("name", ["smollm2-135m", "gemma-3-1b", "granite-4.0-h-350m"])
def test_no_machine_keeps_less_in_caches_than_the_least(
    name: str, flash: str, kv_type: str, batch: int | None, machine: str
) -> None:
    kinds = {"kv_type_k": kv_type, "kv_type_v": kv_type}
    asked = Workload(context_tokens=5000, parallel=2, flash_attention=flash, batch=batch, **kinds)  # type: ignore[arg-type]
    spec = load_model(name)
    kept = check(spec, machine=machine, workload=asked).memory.kv_cache_bytes
    least = LlamaMachines(spec, asked).least_cache_bytes
    assert 0 < least <= kept
    assert OwnMachines(Runtime(), spec, asked).least_cache_bytes == 0  # type: ignore[arg-type]


class Runtime:
    """A runtime that answers what it is given."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[object, ...]] = []

    def tried(self, *asked: object) -> object:
        self.asked.append(asked)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def refusal(number: int) -> InvalidRequestError:
    return InvalidRequestError(what="kind", got=number, allowed="another")


def own(*answers: object) -> tuple[OwnMachines, Runtime]:
    runtime: Any = Runtime(*answers)
    return OwnMachines(runtime, SPEC, WORKLOAD), runtime


def test_a_runtime_of_its_own_says_what_it_takes() -> None:
    speed = SimpleNamespace(decode_tokens_per_s=RATE)
    trials, runtime = own((5, speed), (6, None), None)
    assert trials.on(MACHINE) == Tried(5, RATE)
    assert trials.on(MACHINE) == Tried(6, None)
    assert trials.on(MACHINE) is None
    assert runtime.asked == [(SPEC, MACHINE, WORKLOAD)] * 3
    trials.require_a_machine()


def test_a_machine_it_does_not_run_on_is_none_and_the_last_refusal_is_kept() -> None:
    trials, _ = own(refusal(1), refusal(2))
    trials.require_a_machine()
    assert trials.on(MACHINE) is None
    assert trials.on(MACHINE) is None
    with pytest.raises(InvalidRequestError, match="2"):
        trials.require_a_machine()


@pytest.mark.parametrize("other", [None, (5, None)])
def test_one_machine_that_takes_the_request_is_enough(other: object) -> None:
    trials, _ = own(refusal(1), other, refusal(2))
    for _ in range(3):
        trials.on(MACHINE)
    trials.require_a_machine()
