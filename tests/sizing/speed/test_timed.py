"""What was measured on an accelerator says nothing certain of what was not timed on it."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check, load_machine
from whatfits.sizing.calibration import (
    Calibration,
    DeviceCalibration,
    MeasuredDecode,
    MeasuredPrefill,
)
from whatfits.sizing.speed.costs import costs_of
from whatfits.sizing.speed.timed import timed_costs, wider

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Basis, Plan

FAMILY = (-0.2, 0.3)
CARD = "rtx 4090 + 64gb"
DECODE = (MeasuredDecode("k", 7e11, 0.05, "Q4_K"), MeasuredDecode("k", 6e11, 0.05, "Q6_K"))
PREFILL = (MeasuredPrefill("k", 9e13, 0.05, "Q4_K"), MeasuredPrefill("k", 8e13, 0.05, "Q6_K"))
FOUND = DeviceCalibration(
    device="cuda0",
    name="a card",
    decode=DECODE,
    prefill=PREFILL,
    layer_seconds=4e-5,
    token_seconds=0.0,
    cache_bytes_per_s=8e11,
    attention_flops_per_s=8e13,
    prompt_layer_seconds=3e-4,
)


def _speed(model: str, file_type: str, found: DeviceCalibration | None = FOUND):  # noqa: ANN202
    machine = load_machine(CARD)
    (card,) = machine.accelerators
    if found is not None:
        devices = (replace(found, device=card.id),)
        machine = replace(machine, calibration=Calibration("1.0", "2026-01-01", "x", (), devices))
    speed = check(model, file_type=file_type, machine=machine).speed
    assert speed is not None
    assert speed.decode_tokens_per_s is not None
    assert speed.prefill_tokens_per_s is not None
    return speed


def test_what_was_timed_covers_its_types_its_operations_and_its_cache() -> None:
    timed = timed_costs(FOUND, FAMILY, FAMILY)
    for costs in (("weights.Q4_K",), ("prompt.Q6_K",), ("operation",), ("token",), ("attention",)):
        assert timed.covers(costs)
    # no matrix of any size is F32
    assert timed.covers(("weights.F32",))
    for costs in (("weights.Q4_K", "experts"), ("weights.Q3_K",), ("prompt.MXFP4",), ("hop",)):
        assert not timed.covers(costs)
    assert not timed_costs(replace(FOUND, prefill=()), FAMILY, FAMILY).covers(("prompt_layer",))


def test_a_rate_of_a_whole_kind_covers_all_of_its_types() -> None:
    kind = replace(FOUND, decode=(MeasuredDecode("k", 7e11, 0.05),))
    timed = timed_costs(kind, FAMILY, FAMILY)
    assert timed.covers(("weights.Q3_K",))
    assert not timed.covers(("weights.Q8_0",))


def test_a_type_of_a_measured_kind_is_known_of_a_processor_alone() -> None:
    timed = timed_costs(FOUND, FAMILY, FAMILY)
    assert timed.covers_kind("weights.Q3_K")
    assert not timed.covers_kind("weights.Q8_0")
    kind = timed_costs(replace(FOUND, decode=(MeasuredDecode("k", 7e11, 0.05),)), FAMILY, FAMILY)
    assert kind.covers_kind("weights.Q3_K")
    assert not kind.covers_kind("weights.Q4_0")


@pytest.mark.parametrize(
    ("file_type", "provenance"), [("Q3_K_M", "measured here"), ("Q8_0", "estimated")]
)
def test_a_processor_is_measured_by_kinds(file_type: str, provenance: str) -> None:
    machine = load_machine("64gb ddr5-5600")
    found = (DeviceCalibration("cpu", "x", decode=DECODE, layer_seconds=0.0, token_seconds=0.0),)
    known = Calibration("1.0", "2026-01-01", "x", (), found)
    speed = check("llama-3.2-1b", file_type=file_type, machine=replace(machine, calibration=known))
    assert speed.speed is not None
    assert speed.speed.provenance == provenance


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, (-0.05, 0.05)), (0.05, (-0.125, 0.175)), (0.1, FAMILY), (0.9, FAMILY)],
)
def test_with_a_good_part_not_timed_the_interval_is_that_of_the_family(
    share: float, expected: tuple[float, float]
) -> None:
    assert wider((-0.05, 0.05), FAMILY, share) == pytest.approx(expected)


def test_no_interval_gets_narrower() -> None:
    assert wider((-0.5, 0.6), FAMILY, 0.5) == (-0.5, 0.6)


def test_a_dense_model_of_timed_types_has_the_interval_that_was_measured() -> None:
    speed = _speed("llama-3.1-8b", "Q4_K_M")
    assert speed.provenance == "measured here"
    for rate in (speed.decode_tokens_per_s, speed.prefill_tokens_per_s):
        assert rate.high / rate.low == pytest.approx(1.05**2, rel=0.01)


@pytest.mark.parametrize(("model", "file_type"), [("llama-3.1-8b", "Q8_0"), ("gpt-oss-20b", None)])
def test_another_type_is_estimated_and_as_uncertain_as_without_a_measurement(
    model: str, file_type: str | None
) -> None:
    speed, plain = _speed(model, file_type), _speed(model, file_type, None)
    assert speed.provenance == "estimated"
    width, before = (
        log(s.decode_tokens_per_s.high / s.decode_tokens_per_s.mid) for s in (speed, plain)
    )
    assert width == pytest.approx(before, rel=0.05)


def test_experts_are_as_uncertain_as_their_family_though_their_type_was_timed() -> None:
    dense, experts = _speed("llama-3.1-8b", "Q4_K_M"), _speed("qwen3-30b-a3b", "Q4_K_M")
    assert experts.provenance == "measured here"
    known = costs_of(load_machine(CARD).accelerators[0])
    of_family = (known.decode_interval, known.prompt_interval)
    for rate, (low, high) in zip(
        ("decode_tokens_per_s", "prefill_tokens_per_s"), of_family, strict=True
    ):
        narrow, wide = getattr(dense, rate), getattr(experts, rate)
        assert wide.high / wide.low == pytest.approx(exp(high - low), rel=0.02)
        assert wide.high / wide.low > narrow.high / narrow.low


def test_a_layer_of_a_prompt_costs_what_was_measured() -> None:
    free = replace(FOUND, prompt_layer_seconds=None)
    seconds = [
        512 / _speed("llama-3.1-8b", "Q4_K_M", found).prefill_tokens_per_s.mid
        for found in (free, FOUND)
    ]
    assert seconds[1] - seconds[0] == pytest.approx(32 * 3e-4, rel=0.05)


def test_the_basis_tells_both_intervals() -> None:
    machine = load_machine(CARD)
    (card,) = machine.accelerators
    known = Calibration("1.0", "2026-01-01", "x", (), (replace(FOUND, device=card.id),))
    plan = check("llama-3.1-8b", machine=replace(machine, calibration=known))
    (told,) = (b.error for b in plan.basis if b.key == "speed.decode_tokens_per_s")
    assert told is not None
    assert "0.95 to 1.05 times what is told, and 0." in told
    assert "not timed, as experts" in told


def test_a_prompt_of_a_type_that_was_only_written_with_is_not_measured_here() -> None:
    floats = MeasuredDecode("float", 8e11, 0.05, "F16")
    found = replace(FOUND, decode=(*DECODE, floats))
    speed = _speed("llama-3.2-1b", "F16", found)
    assert speed.provenance == "measured here"
    assert speed.prefill_provenance == "estimated"
    both = replace(found, prefill=(*PREFILL, MeasuredPrefill("float", 8e13, 0.05, "F16")))
    assert _speed("llama-3.2-1b", "F16", both).prefill_provenance is None
    assert _speed("llama-3.2-1b", "Q4_K_M", found).prefill_provenance is None


def test_the_basis_names_the_types_that_were_measured() -> None:
    machine = load_machine(CARD)
    devices = (replace(FOUND, device=machine.accelerators[0].id),)
    known = Calibration("1.0", "2026-01-01", "x", (), devices)
    plan = check("llama-3.2-1b", file_type="Q8_0", machine=replace(machine, calibration=known))
    basis = {one.key: one for one in plan.basis}
    for key in ("speed.decode_tokens_per_s", "speed.prefill_tokens_per_s"):
        (inputs, *_) = basis[key].inputs.values()
        assert inputs["measured_types"] == "Q4_K, Q6_K"


@pytest.mark.parametrize(("runtime", "machine"), [("vllm", CARD), ("mlx", "m4-max-64gb")])
def test_what_was_measured_of_llama_cpp_says_nothing_of_another_engine(
    runtime: str, machine: str
) -> None:
    plain = load_machine(machine)
    known = Calibration(
        "1.0", "2026-01-01", "x", (), (replace(FOUND, device=plain.accelerators[0].id),)
    )
    with_it, without = (
        check("llama-3.2-1b", runtime=runtime, machine=one)
        for one in (replace(plain, calibration=known), plain)
    )
    assert with_it.speed == without.speed
    assert _of_speed(with_it) == _of_speed(without)


def _of_speed(plan: Plan) -> list[Basis]:
    return [one for one in plan.basis if one.key.startswith("speed.")]
