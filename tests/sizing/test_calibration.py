"""A calibration travels with its machine, and nothing impossible is taken from outside."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from whatfits.sizing.calibration import (
    QUANT_KINDS,
    Calibration,
    DeviceCalibration,
    MeasuredDecode,
    MeasuredPrefill,
    calibration_fault,
    quant_kind,
)
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.requests import machine_from_object

MEASURED = DeviceCalibration(
    device="cpu",
    name="a CPU",
    read_bytes_per_s=30e9,
    read_threads=4,
    cpu_share=0.98,
    matrix_flops_per_s=2e11,
    decode=(MeasuredDecode("k", 20e9, 0.04),),
    prefill=(MeasuredPrefill("k", 1e11, 0.06),),
    layer_seconds=0.0,
)
CALIBRATION = Calibration("1.0", "2026-11-20T10:00:00Z", "abc", (("numpy", "2.3"),), (MEASURED,))
MACHINE = Machine(
    (Pool("ram", "ram", 1 << 34),), (Device("cpu", "cpu", "a CPU", "ram"),), calibration=CALIBRATION
)


def test_a_machine_with_its_calibration_survives_json() -> None:
    assert machine_from_object(asdict(MACHINE)) == MACHINE


def test_a_machine_without_one_needs_no_such_field() -> None:
    plain: dict[str, Any] = asdict(MACHINE)
    del plain["calibration"]
    assert machine_from_object(plain).calibration is None


def test_what_was_measured_is_found_by_device() -> None:
    found = CALIBRATION.device("cpu")
    assert found is MEASURED
    assert CALIBRATION.device("cuda0") is None


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("device", "cuda0", "devices.0.device"),
        ("read_bytes_per_s", 0.0, "read_bytes_per_s"),
        ("read_bytes_per_s", float("nan"), "read_bytes_per_s"),
        ("matrix_flops_per_s", float("inf"), "matrix_flops_per_s"),
        ("read_threads", -1, "read_threads"),
        ("cpu_share", 7.0, "cpu_share"),
        ("layer_seconds", -1e-6, "layer_seconds"),
        ("token_seconds", float("nan"), "token_seconds"),
        ("decode", (MeasuredDecode("k", -5.0, 0.1),), "decode.bytes_per_s"),
        ("decode", (MeasuredDecode("k", 5.0, float("inf")),), "decode.spread"),
        ("decode", (MeasuredDecode("seven", 5.0, 0.1),), "decode.quant_kind"),
        ("decode", (MeasuredDecode("k", 5.0, 0.1, "Q8_0"),), "decode.type_name"),
        ("activation_bytes_per_s", 0.0, "activation_bytes_per_s"),
        ("prompt_layer_seconds", -1e-6, "prompt_layer_seconds"),
        ("prefill", (MeasuredPrefill("k", 5.0, 0.1),) * 2, "prefill.quant_kind"),
        ("prefill", (MeasuredPrefill("k", 5.0, 0.1, "Q4_K"),) * 2, "prefill.quant_kind"),
        ("prefill", (MeasuredPrefill("k", 5.0, -0.1),), "prefill.spread"),
    ],
)
def test_an_impossible_amount_is_refused_by_name(field: str, value: Any, named: str) -> None:  # noqa: ANN401
    changed = replace(CALIBRATION, devices=(replace(MEASURED, **{field: value}),))
    fault = calibration_fault(changed, {"cpu"})
    assert fault is not None
    assert named in fault.what
    with pytest.raises(InvalidRequestError, match="calibration"):
        machine_from_object(asdict(replace(MACHINE, calibration=changed)))


def test_two_measurements_of_one_device_are_refused() -> None:
    fault = calibration_fault(replace(CALIBRATION, devices=(MEASURED, MEASURED)), {"cpu", "gpu"})
    assert fault is not None
    assert fault.what == "devices.1.device"


def test_another_major_version_is_refused_and_a_newer_minor_one_is_not() -> None:
    assert calibration_fault(replace(CALIBRATION, schema_version="2.0"), {"cpu"}) is not None
    assert calibration_fault(replace(CALIBRATION, schema_version="1.7"), {"cpu"}) is None


def test_every_storage_type_has_a_kind() -> None:
    assert {quant_kind(name) for name in GGML_TYPES} <= set(QUANT_KINDS)
    shown = {name: quant_kind(name) for name in ("BF16", "Q8_0", "Q4_0", "Q4_K", "IQ4_XS", "MXFP4")}
    assert list(shown.values()) == ["bf16", "q8", "legacy", "k", "iq", "fp4"]


def test_a_device_is_there_once() -> None:
    twice = asdict(replace(MACHINE, devices=(*MACHINE.devices, MACHINE.devices[0])))
    with pytest.raises(InvalidRequestError, match="devices with different ids"):
        machine_from_object(twice)
