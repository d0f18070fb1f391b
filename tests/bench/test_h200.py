"""A calibration of an accelerator made by arithmetic meets what llama-bench measured on a real one.

The device is `h200`: its parameters are of some of the rows, the others judge. None of the models
that judge is among those that are timed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from h200 import FITTED, JUDGED, PEAK_BYTES_PER_S, Row, as_timed, seconds_of

from whatfits.bench.calibrate import calibrated
from whatfits.bench.fast import Room, fast_trials
from whatfits.bench.micro import Target, trials
from whatfits.bench.shapes import Shape, draw
from whatfits.bench.speed_process import Step
from whatfits.sizing import check, load_machine
from whatfits.sizing.calibration import Calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.bench.micro import Trial
    from whatfits.sizing.calibration import DeviceCalibration
    from whatfits.sizing.estimate import RateRange, Speed
    from whatfits.sizing.machine import Machine

BOX = load_machine("H200 SXM 141 GB + 128gb")
LARGE = fast_trials(PEAK_BYTES_PER_S, Room())
SMALL = trials(threads=1, cache_bytes=96 << 20, on_accelerator=True)
SHAPES = {
    "llama-3.1-8b": Shape("8b", 4096, 32, 14_336, 32, 8, 128_256, head_width=128),
    "llama-3.2-1b": Shape("1b", 2048, 16, 8192, 32, 8, 128_256),
}


def _found(chosen: Sequence[Trial]) -> DeviceCalibration:
    (device,) = BOX.accelerators
    return calibrated(Target(device.id, device.name, "CUDA0", 1), as_timed(chosen), None)


def _machine(chosen: Sequence[Trial]) -> Machine:
    calibration = Calibration("1.0", "2026-11-27T00:00:00Z", "x", (), (_found(chosen),))
    return replace(BOX, calibration=calibration)


def _speed(row: Row, machine: Machine) -> Speed:
    depth = max(row.depth, row.tokens if row.kind == "prefill" else 1)
    workload = {"prompt_tokens": depth, "context_tokens": 40_960}
    plan = check(row.model, file_type=row.file_type, machine=machine, workload=workload)
    assert plan.speed is not None
    return plan.speed


def _told(row: Row, machine: Machine) -> RateRange:
    speed = _speed(row, machine)
    rate = speed.decode_tokens_per_s if row.kind == "decode" else speed.prefill_tokens_per_s
    assert rate is not None
    return rate


@pytest.mark.parametrize("row", FITTED, ids=str)
def test_the_device_by_arithmetic_is_like_the_rows_that_it_was_made_of(row: Row) -> None:
    drawn = draw(SHAPES[row.model], row.file_type)
    seconds = seconds_of(drawn, Step(row.kind, row.tokens, row.depth, 1))
    assert row.tokens / seconds == pytest.approx(row.tokens_per_s, rel=0.03)


# after seven of them the usual budget of a machine with one accelerator is about half spent
@pytest.mark.parametrize("timed", [len(LARGE), 7])
def test_rows_of_models_that_were_not_timed_lie_in_the_interval(timed: int) -> None:
    machine = _machine(LARGE[:timed])
    rates = [(row, _told(row, machine)) for row in JUDGED]
    outside = [row for row, rate in rates if not rate.low <= row.tokens_per_s <= rate.high]
    # an interval is to hold four in five
    assert len(outside) <= len(JUDGED) / 5, outside
    assert all(rate.high / rate.low < 1.5 for _, rate in rates)


def test_large_matrices_are_told_as_fast_as_they_are_and_small_ones_do_not_tell_them() -> None:
    large = {rate.type_name: rate for rate in _found(LARGE).decode}
    small = {rate.type_name: rate for rate in _found(SMALL).decode}
    assert large["Q4_K"].bytes_per_s == pytest.approx(2.35e12, rel=0.05)
    assert large["F16"].bytes_per_s == pytest.approx(4.5e12, rel=0.1)
    assert small["Q4_K"].bytes_per_s != pytest.approx(2.35e12, rel=0.25)
    assert small["Q4_K"].spread > large["Q4_K"].spread


def test_what_a_prompt_costs_a_layer_is_told_from_its_operations() -> None:
    found = _found(LARGE)
    assert found.prompt_layer_seconds == pytest.approx(330e-6, rel=0.02)
    assert found.activation_bytes_per_s is None
    assert found.attention_flops_per_s == pytest.approx(2.3e14, rel=0.02)


@pytest.mark.parametrize("lost", range(4))
def test_a_trial_that_failed_leaves_what_the_others_tell(lost: int) -> None:
    machine = _machine((*LARGE[:lost], *LARGE[lost + 1 :]))
    for row in FITTED[0], FITTED[2], FITTED[4], FITTED[8]:
        assert _told(row, machine).mid == pytest.approx(row.tokens_per_s, rel=0.1)


def test_with_too_few_trials_to_judge_the_interval_is_that_of_a_family_at_least() -> None:
    for some in (LARGE[:1], LARGE[:2]):
        found = _found(some)
        assert all(rate.spread >= 0.4 for rate in found.decode)


def test_a_type_that_was_not_timed_is_not_called_measured() -> None:
    machine = _machine(LARGE)
    timed = _speed(Row("llama-3.1-8b", "Q4_K_M", "decode", 64, 0, 278.1), machine)
    other = _speed(Row("gpt-oss-20b", "MXFP4_MOE", "decode", 64, 0, 315.4), machine)
    assert timed.provenance == "measured here"
    assert other.provenance == "estimated"


def test_experts_that_were_not_timed_are_as_uncertain_as_in_the_family() -> None:
    row = Row("qwen3-30b-a3b", "Q4_K_M", "decode", 64, 0, 311.4)
    here, plain = _told(row, _machine(LARGE)), _told(row, BOX)
    assert here.high / here.low == pytest.approx(plain.high / plain.low, rel=0.02)
    assert here.low <= row.tokens_per_s <= here.high
