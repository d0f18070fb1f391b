"""What a prompt costs an accelerator once, told from what its layers and its products cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.bench.accelerated import told_types
from whatfits.bench.calibrate import calibrated
from whatfits.bench.equations import prefill_equation
from whatfits.bench.fast import Room, fast_trials
from whatfits.bench.fitting import Costs, Equation
from whatfits.bench.micro import Measured, Target
from whatfits.bench.timing import Repeat, Timing

if TYPE_CHECKING:
    from whatfits.bench.shapes import Drawn

CARD = Target("cuda0", "a card", "CUDA0", 1)
START_S, LAYER_S = 3e-3, 100e-6
FLOATS_PER_S, PACKED_PER_S = 4e14, 1.8e14
FLOATS = {"F16", "BF16"}


def _rate(type_name: str) -> float:
    return FLOATS_PER_S if type_name in FLOATS else PACKED_PER_S


def _prompts(start_s: float = START_S) -> list[Measured]:
    """Return the prompts of the usual trials as a card of those costs would read them."""
    found = []
    for trial in fast_trials(4.8e12, Room()):
        for step in trial.steps:
            if step.kind == "prefill":
                one = Measured(trial.drawn, step, Timing(1, (Repeat(1.0, 0.0),), on_cpu=False))
                amounts = prefill_equation(one, by_layer=True, by_width=False).amounts
                products = sum(n / _rate(k) for k, n in amounts.items() if k in _types(trial.drawn))
                seconds = start_s + products + LAYER_S * amounts["prompt_layer"]
                seconds += amounts["attention"] / 2e14
                timing = Timing(1, (Repeat(seconds, 0.0),), on_cpu=False)
                found.append(Measured(trial.drawn, step, timing))
    return found


def _types(drawn: Drawn) -> set[str]:
    return set(drawn.flops_by_type)


def test_what_a_prompt_costs_once_is_in_no_rate_and_in_no_layer() -> None:
    found = calibrated(CARD, _prompts(), None)
    assert found.prompt_layer_seconds == pytest.approx(LAYER_S, rel=1e-3)
    assert {rate.type_name for rate in found.prefill} >= {"Q4_K", "Q8_0", *FLOATS}
    for rate in found.prefill:
        assert rate.type_name is not None
        assert rate.flops_per_s == pytest.approx(_rate(rate.type_name), rel=1e-3)


def test_without_such_a_cost_the_rates_are_the_same() -> None:
    with_one, without = (calibrated(CARD, _prompts(start_s), None) for start_s in (START_S, 0.0))
    rates = [{r.type_name: r.flops_per_s for r in f.prefill} for f in (with_one, without)]
    assert rates[1] == pytest.approx(rates[0], rel=1e-3)


def test_floats_read_in_short_prompts_alone_are_not_told() -> None:
    short = [m for m in _prompts() if m.drawn.type_name not in FLOATS or m.step.tokens <= 512]
    found = {rate.type_name for rate in calibrated(CARD, short, None).prefill}
    assert "Q4_K" in found
    assert found.isdisjoint(FLOATS)


def test_with_prompts_of_one_batch_alone_all_types_are_told_as_before() -> None:
    short = [m for m in _prompts() if m.step.tokens <= 512]
    assert {"Q4_K", "F16"} <= {rate.type_name for rate in calibrated(CARD, short, None).prefill}


@pytest.mark.parametrize(("rest_s", "is_told"), [(0.5, True), (0.8, False)])
def test_a_type_is_told_when_most_of_a_timing_is_its_own(rest_s: float, is_told: bool) -> None:
    one = next(m for m in _prompts() if m.drawn.type_name == "F16")
    row = Equation({"F16": 1.0, "prompt_start": 1.0}, 1.0 + rest_s)
    costs = Costs({"F16": 1.0, "prompt_start": rest_s}, 0.1)
    assert ("F16" in told_types(costs, [row], [one]).seconds) is is_told
