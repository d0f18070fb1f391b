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
from whatfits.sizing.speed.costs import costs_of, measured_costs
from whatfits.sizing.speed.rates import Rates, peak_rates
from whatfits.sizing.weights import WeightTable
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine


CPU = Device("cpu", "cpu", "a CPU", "ram")


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


def test_measured_layers_of_nine_operations_hold_what_threads_wait_for_each_other() -> None:
    known = costs_of(replace(CPU, bandwidth_bytes_per_s=80_000_000_000))
    assert known.table["barrier_operation"] > 0
    found = DeviceCalibration(device="cpu", name="a CPU", layer_seconds=1e-4)
    measured = measured_costs(known, found, Rates(8e10, None, threads=16))
    assert measured.table["operation"] == pytest.approx(1e-4 / 9)
    assert measured.table["barrier_operation"] == 0.0
    bare = measured_costs(known, replace(found, layer_seconds=None), Rates(8e10, None, threads=16))
    assert bare.table["barrier_operation"] == known.table["barrier_operation"]


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
    shift = (89.6e9 / 50e9) / costs_of(CPU).of(("weights.k",))
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


def test_prompts_measured_on_hopper_are_held_against_the_rate_of_their_weights() -> None:
    machine = load_machine("h200-sxm + 64gb")
    card = machine.accelerators[0]
    peak = card.fp16_flops_per_s or 0

    def seconds(rates: dict[str, float], type_name: str) -> float:
        prefill = tuple(MeasuredPrefill(kind, rate, 0.05) for kind, rate in rates.items())
        found = DeviceCalibration(device=card.id, name=card.name, prefill=prefill)
        calibration = Calibration("1.0", "2026-11-27T10:00:00Z", "abc", (), (found,))
        known = peak_rates((card,), replace(machine, calibration=calibration))[0]
        costs = measured_costs(costs_of(card), found, known)
        return costs.of(known.prompt_costs(type_name)) / known.of_weights(type_name)

    both = {"k": 150e12, "float": 400e12}
    assert seconds(both, "Q4_K") == pytest.approx(1 / 150e12)
    assert seconds(both, "F16") == pytest.approx(1 / 400e12)
    # what was not measured is as far from what was known as the other
    table = costs_of(card).table
    apart = peak / (0.629 * peak) * table["prompt.k"] / table["prompt.float"]
    assert seconds({"k": 150e12}, "F16") == pytest.approx(1 / (150e12 * apart))


def test_a_measured_prompt_rate_wins_over_what_cores_and_clock_say() -> None:
    machine = _calibrated()
    assert machine.calibration is not None
    (device,) = machine.calibration.devices
    rates = (MeasuredPrefill("k", 4e11, 0.1), MeasuredPrefill("k", 1e11, 0.1, "Q6_K"))
    device = replace(device, prefill=rates)
    measured = replace(machine, calibration=replace(machine.calibration, devices=(device,)))

    def reads(features: tuple[str, ...]) -> float:
        told = {"features": features, "cores": 64, "clock_hz": 5_000_000_000}
        devices = tuple(replace(d, **told) for d in measured.devices)
        speed = check("llama-3.1-8b", machine=replace(measured, devices=devices)).speed
        assert speed is not None
        assert speed.prefill_tokens_per_s is not None
        return speed.prefill_tokens_per_s.mid

    assert reads(("avx2",)) == reads(("avx2", "avx512f")) == reads(())


def test_a_storage_type_has_its_own_rate_and_the_rest_of_its_kind_the_mean() -> None:
    rates = (MeasuredDecode("k", 20e9, 0.1, "Q4_K"), MeasuredDecode("k", 5e9, 0.1, "Q6_K"))
    found = DeviceCalibration(device="cpu", name="a CPU", decode=rates)
    costs = measured_costs(costs_of(CPU), found, Rates(100e9, None))
    assert costs.of(("weights.Q4_K",)) == pytest.approx(5)
    assert costs.of(("weights.Q6_K",)) == pytest.approx(20)
    assert costs.of(("weights.Q3_K",)) == costs.of(("weights.k",)) == pytest.approx(10)
    shift = 10 / costs_of(CPU).of(("weights.k",))
    assert costs.of(("weights.Q8_0",)) == pytest.approx(
        shift * costs_of(CPU).of(("weights.q8",)), rel=1e-6
    )


def test_rows_cost_what_was_measured_of_a_type_of_its_kind_or_of_all() -> None:
    rates = (
        MeasuredDecode("k", 20e9, 0.1, "Q4_K", 6e-9),
        MeasuredDecode("k", 20e9, 0.1, "Q6_K", 10e-9),
        MeasuredDecode("q8", 20e9, 0.1, "Q8_0", 14e-9),
        MeasuredDecode("float", 20e9, 0.1, "F16"),
    )
    found = DeviceCalibration(device="cpu", name="a CPU", decode=rates)
    costs = measured_costs(costs_of(CPU), found, Rates(100e9, None))
    assert costs.of(("row.Q4_K",)) == 6e-9
    assert costs.of(("row.Q3_K",)) == pytest.approx(8e-9)
    assert costs.of(("row.F16",)) == 0
    assert costs.of(("row.IQ4_XS",)) == pytest.approx((6e-9 + 10e-9 + 14e-9) / 4)
    assert costs_of(CPU).of(("row.Q4_K",)) == 0  # in the cost of the bytes


def test_attention_of_a_token_is_what_its_cache_reads_and_what_its_heads_compute() -> None:
    found = DeviceCalibration(
        "cpu", "a CPU", cache_bytes_per_s=20e9, decode_attention_flops_per_s=50e9
    )
    costs = measured_costs(costs_of(CPU), found, Rates(100e9, None))
    assert costs.of(("cache",)) == pytest.approx(5)
    assert costs.of(("decode_attention",)) == pytest.approx(2)
    only = replace(found, cache_bytes_per_s=None)
    costs = measured_costs(costs_of(CPU), only, Rates(100e9, None))
    assert costs.of(("cache",)) == 0
    assert costs.of(("decode_attention",)) == pytest.approx(2)
    older = replace(found, decode_attention_flops_per_s=None)
    costs = measured_costs(costs_of(CPU), older, Rates(100e9, None))
    assert costs.of(("cache",)) == pytest.approx(5)
    assert costs.of(("decode_attention",)) == 0
    none = replace(only, decode_attention_flops_per_s=None)
    assert measured_costs(costs_of(CPU), none, Rates(100e9, None)).of(("cache",)) > 0


def test_what_came_out_as_nothing_is_not_told() -> None:
    machine = _calibrated()
    assert machine.calibration is not None
    (device,) = machine.calibration.devices
    device = replace(device, cache_bytes_per_s=None, decode_attention_flops_per_s=50e9)
    machine = replace(machine, calibration=replace(machine.calibration, devices=(device,)))
    plan = check("llama-3.1-8b", machine=machine)
    told = next(b for b in plan.basis if b.key == "speed.decode_tokens_per_s")
    assert told.substituted is not None
    assert "attention" in told.substituted
    assert "cache" not in told.substituted


def test_rows_slow_what_the_processor_decodes_and_are_told() -> None:
    machine = _calibrated()
    assert machine.calibration is not None
    (device,) = machine.calibration.devices
    by_row = (MeasuredDecode("k", 50e9, 0.08, None, 20e-9),)
    measured = replace(device, decode=by_row)
    with_rows = replace(machine, calibration=replace(machine.calibration, devices=(measured,)))
    plain, slower = (check("llama-3.1-8b", machine=m) for m in (machine, with_rows))
    rates = [plan.speed and plan.speed.decode_tokens_per_s for plan in (plain, slower)]
    assert rates[0] is not None
    assert rates[1] is not None
    # 32 layers of 43,008 rows and an output of 128,256, 20 ns each
    rows_s = (32 * 43_008 + 128_256) * 20e-9
    assert 1 / rates[1].mid - 1 / rates[0].mid == pytest.approx(rows_s, rel=0.02)
    told = next(b for b in slower.basis if b.key == "speed.decode_tokens_per_s")
    assert "rows of Q4_K x 20 nanoseconds" in (told.substituted or "")
    assert "rows of" not in str([b.substituted for b in plain.basis])


def test_a_measured_prompt_holds_what_else_a_prompt_costs() -> None:
    rates = (MeasuredPrefill("k", 4e11, 0.1, "Q4_K"),)
    found = DeviceCalibration("cpu", "a CPU", prefill=rates, activation_bytes_per_s=50e6)
    costs = measured_costs(costs_of(CPU), found, Rates(100e9, 8e11))
    assert costs.of(("prompt.Q4_K",)) == pytest.approx(2)
    assert costs.of(("activations",)) == pytest.approx(2000)
    assert costs.of(("prompt_weights",)) == costs.of(("prompt_layer",)) == 0
    older = measured_costs(
        costs_of(CPU), replace(found, activation_bytes_per_s=None), Rates(100e9, 8e11)
    )
    assert older.of(("activations",)) == 0
