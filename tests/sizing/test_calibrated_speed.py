"""What was measured on a machine takes the place of what benchmarks say of its family."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import check, load_machine, load_model
from whatfits.sizing.calibration import (
    Calibration,
    DeviceCalibration,
    MeasuredDecode,
    MeasuredPrefill,
)
from whatfits.sizing.machine import Device
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed import estimate_speed
from whatfits.sizing.speed_costs import costs_of
from whatfits.sizing.weights import WeightTable
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine


def _calibrated(*, spread: float = 0.08) -> Machine:
    machine = load_machine("64gb ddr5-5600")
    measured = DeviceCalibration(
        device="cpu",
        name="a CPU",
        decode=(MeasuredDecode("k", 50e9, spread),),
        layer_seconds=0.0,
        token_seconds=0.0,
        cache_bytes_per_s=50e9,
    )
    calibration = Calibration("1.0", "2026-11-20T10:00:00Z", "abc", (), (measured,))
    return replace(machine, calibration=calibration)


def test_a_calibration_takes_the_place_of_the_family() -> None:
    machine = _calibrated()
    spec = load_model("llama-3.1-8b", file_type="Q4_K_M")
    placement = resolve_placement(spec, PlacementRequest(), machine)
    settings = resolve_settings(spec, Workload())
    speed = estimate_speed(spec, settings, placement, prompt_tokens=512, machine=machine)
    weights = WeightTable(spec).place(placement).read_host
    seconds = (weights + 32 * 512 * 2048 * 2) / 50e9
    assert speed.provenance == "measured here"
    assert speed.decode_tokens_per_s is not None
    assert speed.decode_tokens_per_s.mid == pytest.approx(1 / seconds, rel=0.01)
    width = speed.decode_tokens_per_s.high / speed.decode_tokens_per_s.mid
    assert width == pytest.approx(1.08, rel=0.01)
    # without a measured prompt there is still no arithmetic rate
    assert speed.prefill_tokens_per_s is None


def test_no_interval_is_narrower_than_five_percent() -> None:
    plan = check("llama-3.1-8b", machine=_calibrated(spread=0.001))
    assert plan.speed is not None
    assert plan.speed.decode_tokens_per_s is not None
    rate = plan.speed.decode_tokens_per_s
    assert rate.high / rate.mid == pytest.approx(1.05, rel=0.01)


def test_a_kind_that_was_not_measured_moves_with_those_that_were() -> None:
    measured = check("llama-3.1-8b", file_type="Q8_0", machine=_calibrated())
    plain = check("llama-3.1-8b", file_type="Q8_0", machine="64gb ddr5-5600")
    assert measured.speed is not None
    assert plain.speed is not None
    assert measured.speed.decode_tokens_per_s is not None
    assert plain.speed.decode_tokens_per_s is not None
    cpu = Device("cpu", "cpu", "a CPU", "ram")
    shift = (89.6e9 / 50e9) / costs_of(cpu).of(("weights.k",))
    ratio = plain.speed.decode_tokens_per_s.mid / measured.speed.decode_tokens_per_s.mid
    assert ratio == pytest.approx(shift, rel=0.1)


def test_a_measured_prompt_rate_is_an_arithmetic_rate() -> None:
    machine = _calibrated()
    assert machine.calibration is not None
    (device,) = machine.calibration.devices
    device = replace(device, prefill=(MeasuredPrefill("k", 4e11, 0.1),))
    machine = replace(machine, calibration=replace(machine.calibration, devices=(device,)))
    speed = check("llama-3.1-8b", machine=machine, workload={"prompt_tokens": 512}).speed
    assert speed is not None
    assert speed.prefill_tokens_per_s is not None
    # nearly all of it is two operations a weight of 7 billion in the layers
    assert speed.prefill_tokens_per_s.mid == pytest.approx(4e11 / (2 * 7.0e9), rel=0.2)
