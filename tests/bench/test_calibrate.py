"""Timings that follow the model of speed give back its rates; disturbed ones say so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.bench.bandwidth import KernelRate, MachineRates
from whatfits.bench.calibrate import calibrated, with_older_rates
from whatfits.bench.equations import decode_equation, prefill_equation
from whatfits.bench.micro import Measured, Target, trials
from whatfits.bench.timing import Repeat, Timing
from whatfits.sizing.calibration import Calibration, DeviceCalibration, MeasuredDecode, quant_kind

TARGET = Target("cpu", "a processor", None, 4)
COSTS = {
    "Q4_K": 1 / 30e9,
    "Q5_K": 1 / 22e9,
    "Q6_K": 1 / 28e9,
    "Q8_0": 1 / 35e9,
    "Q4_0": 1 / 33e9,
    "F16": 1 / 40e9,
    "row.Q4_K": 8e-9,
    "row.Q5_K": 9e-9,
    "row.Q6_K": 7e-9,
    "row.Q8_0": 14e-9,
    "row.Q4_0": 5e-9,
    "row.F16": 2e-9,
    "layer": 50e-6,
    "token": 200e-6,
    "cache": 1 / 12e9,
    "attention": 1 / 40e9,
}
PROMPT_COSTS = {
    "Q4_K": 1 / 300e9,
    "Q5_K": 1 / 420e9,
    "Q6_K": 1 / 380e9,
    "Q8_0": 1 / 280e9,
    "Q4_0": 1 / 310e9,
    "F16": 1 / 250e9,
    "attention": 1 / 60e9,
    "activations": 1 / 50e6,
}
TYPES = {"Q4_K", "Q5_K", "Q6_K", "Q8_0", "Q4_0", "F16"}


def timed(share: float = 1.0, noise: float = 0.0) -> list[Measured]:
    """Return the usual trials as a machine of those costs would take them."""
    found = []
    for trial in trials(threads=4):
        for step in trial.steps:
            one = Measured(trial.drawn, step, Timing(4, (Repeat(1.0, 4.0),)))
            is_decode = step.kind == "decode"
            equation = decode_equation(one, by_row=True) if is_decode else prefill_equation(one)
            costs = COSTS if is_decode else PROMPT_COSTS
            seconds = sum(costs[name] * amount for name, amount in equation.amounts.items())
            seconds *= step.tokens if step.kind == "decode" else 1
            repeats = [
                Repeat(seconds * factor, 4 * seconds * factor * share)
                for factor in (1 - noise, 1.0, 1 + noise)
            ]
            found.append(Measured(trial.drawn, step, Timing(4, tuple(repeats))))
    return found


def test_the_rates_that_made_the_timings_are_found_again() -> None:
    found = calibrated(TARGET, timed(), None)
    assert {rate.type_name for rate in found.decode} == TYPES
    assert {rate.type_name for rate in found.prefill} == TYPES
    for rate in found.decode:
        assert rate.type_name is not None
        assert rate.quant_kind == quant_kind(rate.type_name)
        assert rate.bytes_per_s == pytest.approx(1 / COSTS[rate.type_name], rel=1e-6)
        assert rate.row_seconds == pytest.approx(COSTS[f"row.{rate.type_name}"], rel=1e-6)
        assert rate.spread == pytest.approx(0, abs=1e-6)
    for prompt in found.prefill:
        assert prompt.type_name is not None
        assert prompt.flops_per_s == pytest.approx(1 / PROMPT_COSTS[prompt.type_name], rel=1e-6)
    assert found.layer_seconds == pytest.approx(COSTS["layer"], rel=1e-6)
    assert found.token_seconds == pytest.approx(COSTS["token"], rel=1e-6)
    assert found.cache_bytes_per_s == pytest.approx(12e9, rel=1e-6)
    assert found.decode_attention_flops_per_s == pytest.approx(40e9, rel=1e-6)
    assert found.attention_flops_per_s == pytest.approx(60e9, rel=1e-6)
    assert found.activation_bytes_per_s == pytest.approx(50e6, rel=1e-6)
    assert found.warnings == ()


def test_an_accelerator_has_no_cost_a_row() -> None:
    card = Target("cuda:0", "a card", "CUDA0", 4)
    found = calibrated(card, timed(), None)
    assert {rate.type_name for rate in found.decode} == TYPES
    assert {rate.row_seconds for rate in found.decode} == {None}
    # what layers of these prompts cost is all in what they pass on
    assert found.prompt_layer_seconds is None
    assert found.activation_bytes_per_s == pytest.approx(50e6, rel=1e-6)


def test_an_accelerator_has_a_cost_a_layer_of_a_prompt_told_from_what_layers_pass_on() -> None:
    card = Target("cuda:0", "a card", "CUDA0", 4)
    rows = []
    for row in timed():
        launched = row.drawn.shape.layers * 4e-4 if row.step.kind == "prefill" else 0.0
        longer = Repeat(row.timing.median_seconds + launched, 0.0)
        rows.append(replace(row, timing=Timing(4, (longer,), on_cpu=False)))
    found = calibrated(card, rows, None)
    assert found.prompt_layer_seconds == pytest.approx(4e-4, rel=1e-6)
    assert found.activation_bytes_per_s == pytest.approx(50e6, rel=1e-6)
    assert calibrated(TARGET, rows, None).prompt_layer_seconds is None


def test_no_accelerator_is_promised_within_less_than_a_tenth() -> None:
    card = Target("cuda:0", "a card", "CUDA0", 4)
    assert all(rate.spread >= 0.1 for rate in calibrated(card, timed(), None).decode)
    assert all(rate.spread < 1e-6 for rate in calibrated(TARGET, timed(), None).decode)


def test_a_spread_is_no_wider_than_a_calibration_may_have() -> None:
    card = Target("cuda:0", "a card", "CUDA0", 4)
    rows = [
        replace(m, timing=Timing(4, (Repeat(10.0**at, 0.0),), on_cpu=False))
        for at, m in enumerate(m for m in timed() if m.step.kind == "decode")
    ]
    spreads = {rate.spread for rate in calibrated(card, rows, None).decode}
    assert spreads <= {4.0}


def test_a_type_timed_in_one_shape_has_its_rows_in_the_rate_of_its_bytes() -> None:
    one_shape = [m for m in timed() if m.drawn.name != "deep Q8_0"]
    found = {rate.type_name: rate for rate in calibrated(TARGET, one_shape, None).decode}
    assert found["Q8_0"].row_seconds == 0
    assert found["Q8_0"].bytes_per_s < 35e9 / 1.1
    assert found["Q4_K"].row_seconds == pytest.approx(COSTS["row.Q4_K"], rel=1e-6)


def test_repeats_far_apart_widen_the_spread_and_are_told() -> None:
    found = calibrated(TARGET, timed(noise=0.2), None)
    assert all(rate.spread > 0.1 for rate in found.decode)
    assert any("apart" in warning for warning in found.warnings)


def test_timings_that_other_programs_disturbed_all_the_while_give_no_rates() -> None:
    found = calibrated(TARGET, timed(share=0.5), None)
    assert found.decode == found.prefill == ()
    assert found.layer_seconds is None
    assert found.cache_bytes_per_s is None
    assert any("left out" in warning for warning in found.warnings)


def test_timings_with_other_counts_of_threads_are_only_shown() -> None:
    slow = [
        replace(m, step=replace(m.step, threads=1), timing=Timing(1, (Repeat(9.0, 9.0),)))
        for m in timed()
    ]
    assert calibrated(TARGET, [*timed(), *slow], None) == calibrated(TARGET, timed(), None)


def test_without_llama_cpp_only_the_kernels_speak() -> None:
    read = KernelRate(2, 30e9, 31e9, 0.02, 0.7, None)
    rates = MachineRates(1, (read,), KernelRate(4, 1e11, 1e11, 0.0, 0.95, None), 0.3)
    found = calibrated(TARGET, (), rates)
    assert found.read_bytes_per_s == 30e9
    assert found.read_threads == 2
    assert found.matrix_flops_per_s == 1e11
    assert found.cpu_share == 0.7
    assert found.decode == ()
    assert found.token_seconds is None
    (warning,) = found.warnings
    assert warning.startswith("estimated rather than measured")
    assert "70 %" in warning


def _calibration(day: str, *devices: DeviceCalibration) -> Calibration:
    return Calibration("1.0", f"2026-01-{day}T00:00:00+00:00", "f", (), devices)


def test_a_quick_measurement_keeps_the_older_rates_of_llama_cpp_and_says_of_when() -> None:
    rates = (MeasuredDecode("k", 1e10, 0.1),)
    full = DeviceCalibration("cpu", "x", read_bytes_per_s=1.0, decode=rates, layer_seconds=0.5)
    card = DeviceCalibration("cuda0", "card", decode=rates)
    quick = DeviceCalibration("cpu", "x", read_bytes_per_s=2.0)
    first = with_older_rates(_calibration("02", quick), _calibration("01", full, card))
    again = with_older_rates(_calibration("03", quick), first)
    for found in (first, again):
        host = found.device("cpu")
        assert host is not None
        assert host.read_bytes_per_s == 2.0
        assert host.decode == rates
        assert host.layer_seconds == 0.5
        assert host.warnings == ("the rates of llama.cpp are of 2026-01-01",)
        assert found.device("cuda0") == card


def test_a_whole_measurement_takes_the_place_of_an_older_one() -> None:
    old = DeviceCalibration("cpu", "x", decode=(MeasuredDecode("k", 1e10, 0.1),))
    new = DeviceCalibration("cpu", "x", decode=(MeasuredDecode("k", 2e10, 0.1),))
    assert with_older_rates(_calibration("02", new), _calibration("01", old)) == _calibration(
        "02", new
    )
    assert with_older_rates(_calibration("02", new), None) == _calibration("02", new)


def test_an_accelerator_is_judged_by_its_repeats_alone() -> None:
    card = Target("cuda0", "a card", "CUDA0", 1)
    rows = []
    for row in timed(share=0.01):
        step = replace(row.step, threads=1)
        rows.append(Measured(row.drawn, step, Timing(1, row.timing.repeats, on_cpu=False)))
    found = calibrated(card, rows, None)
    assert found.device == "cuda0"
    assert found.decode
    assert found.warnings == ()
    assert card.settings.devices == ("CUDA0",)
    assert card.settings.gpu_layers == -1
