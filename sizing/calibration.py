"""What was measured on this machine: rates that take the place of a device family's.

A rate in `MeasuredDecode` or `MeasuredPrefill` belongs to one storage type, because each has
kernels of its own, or to a kind of them, which unpack alike: see `QUANT_KINDS`.
"""

from __future__ import annotations

from functools import cache
from math import isfinite

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import ClassVar, Final

__all__ = [
    "CALIBRATION_SCHEMA_VERSION",
    "QUANT_KINDS",
    "Calibration",
    "CalibrationFault",
    "DeviceCalibration",
    "MeasuredDecode",
    "MeasuredPrefill",
    "calibration_fault",
    "quant_kind",
]

CALIBRATION_SCHEMA_VERSION: Final = "1.0"

# Kinds whose kernels unpack alike, from no unpacking to the most.
QUANT_KINDS: Final = ("float", "bf16", "q8", "legacy", "k", "iq", "fp4")
_KIND_OF_TYPE: Final = {
    **dict.fromkeys(("F32", "F16", "F64", "16 BITS", "32 BITS"), "float"),
    "BF16": "bf16",
    **dict.fromkeys(("Q8_0", "Q8_1", "Q8_K", "FP8", "FBGEMM_FP8", "W8A8", "I8"), "q8"),
    **dict.fromkeys(("MXFP4", "NVFP4"), "fp4"),
}
_MOST_SPREAD: Final = 4.0
_MOST_CPU_SHARE: Final = 1.5  # clocks differ a little, never by half
_LONGEST_SECONDS: Final = 60.0


@cache
def quant_kind(type_name: str) -> str:
    """Return the kind of quantisation of a storage type: one of `QUANT_KINDS`.

    Types are named as ggml does, or as MLX's (`affine 4 bits`, of which 8 are bytes all the same).
    """
    known = _KIND_OF_TYPE.get(type_name.upper())
    if known is not None:
        return known
    if type_name.endswith("8 bits"):
        return "q8"
    if type_name.startswith(("IQ", "TQ")):
        return "iq"
    return "k" if type_name.endswith("_K") else "legacy"


@dataclass(frozen=True, slots=True)
class MeasuredDecode:
    """How fast decoding streams weights of one storage type, or kind of them.

    Attributes:
        quant_kind: one of `QUANT_KINDS`.
        bytes_per_s: bytes of weights a second, the costs a row, a layer and a token taken off.
        spread: half of the interval that holds 80 of 100 repeats, as a share of the rate.
        type_name: the one storage type that was measured; None when it stands for its kind.
        row_seconds: what each row of a matrix costs beside its bytes; None where that is in the
            rate of the bytes.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    quant_kind: str
    bytes_per_s: float
    spread: float
    type_name: str | None = None
    row_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class MeasuredPrefill:
    """How fast a prompt is read with weights of one storage type, or kind of them.

    Attributes:
        quant_kind: one of `QUANT_KINDS`.
        flops_per_s: multiplications and additions with weights a second.
        spread: half of the interval that holds 80 of 100 repeats, as a share of the rate.
        type_name: the one storage type that was measured; None when it stands for its kind.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    quant_kind: str
    flops_per_s: float
    spread: float
    type_name: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceCalibration:
    """What was measured of one device; None where it was not.

    Attributes:
        device: id of the device within the machine.
        name: what the device called itself.
        read_bytes_per_s: plain reading of memory.
        read_threads: threads at which it no longer grew.
        cpu_share: processor time over wall time of each thread while it was read; well below 1
            when something else was running.
        matrix_flops_per_s: plain product of float32 matrices.
        decode: rates of decoding by quantisation.
        prefill: rates of reading a prompt by quantisation.
        layer_seconds: what a layer costs in decoding beside the bytes.
        token_seconds: what a token costs beside its layers.
        cache_bytes_per_s: bytes of KV cache read a second in decoding.
        decode_attention_flops_per_s: multiplications and additions of attention a second in
            decoding, which many query heads to one of the cache have more of.
        attention_flops_per_s: the same in a prompt.
        activation_bytes_per_s: float32 activations that layers of a prompt pass on a second, each
            as wide as the model: what a layer takes beside its matrices and its attention.
        prompt_layer_seconds: what a layer costs in each batch of a prompt, whatever its width.
        warnings: what may have disturbed the measurement, in words.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    device: str
    name: str
    read_bytes_per_s: float | None = None
    read_threads: int | None = None
    cpu_share: float | None = None
    matrix_flops_per_s: float | None = None
    decode: tuple[MeasuredDecode, ...] = ()
    prefill: tuple[MeasuredPrefill, ...] = ()
    layer_seconds: float | None = None
    token_seconds: float | None = None
    cache_bytes_per_s: float | None = None
    decode_attention_flops_per_s: float | None = None
    attention_flops_per_s: float | None = None
    activation_bytes_per_s: float | None = None
    prompt_layer_seconds: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Calibration:
    """One measurement of a machine.

    Attributes:
        schema_version: version of this form; the number before the dot must agree.
        measured_at: when, ISO 8601 in UTC.
        fingerprint: of the machine it was made on; it says nothing about another.
        versions: names and versions of the programs that measured.
        devices: what was found, a device each.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    schema_version: str
    measured_at: str
    fingerprint: str
    versions: tuple[tuple[str, str], ...] = ()
    devices: tuple[DeviceCalibration, ...] = ()

    def device(self, device_id: str) -> DeviceCalibration | None:
        """Return what was measured of that device; None when nothing was."""
        return next((found for found in self.devices if found.device == device_id), None)


@dataclass(frozen=True, slots=True)
class CalibrationFault:
    """What is wrong with a calibration that came from outside."""

    what: str
    got: str
    allowed: str


def calibration_fault(
    calibration: Calibration, device_ids: Collection[str]
) -> CalibrationFault | None:
    """Return the first thing wrong with a calibration of a machine with these devices, or None."""
    major = calibration.schema_version.partition(".")[0]
    if major != CALIBRATION_SCHEMA_VERSION.partition(".")[0]:
        return CalibrationFault(
            "schema_version", calibration.schema_version, CALIBRATION_SCHEMA_VERSION
        )
    seen: set[str] = set()
    for index, device in enumerate(calibration.devices):
        place = f"devices.{index}"
        if device.device not in device_ids or device.device in seen:
            allowed = ", ".join(sorted(set(device_ids) - seen)) or "no device more"
            return CalibrationFault(f"{place}.device", device.device, allowed)
        seen.add(device.device)
        for name, value in _rates(device):
            if value is not None and not (isfinite(value) and value > 0):
                return CalibrationFault(f"{place}.{name}", f"{value:g}", "more than 0, or null")
        for name, value, highest in _shares(device):
            if value is not None and not 0 <= value <= highest:
                return CalibrationFault(f"{place}.{name}", f"{value:g}", f"0 to {highest:g}")
        for name, rates in (("decode", device.decode), ("prefill", device.prefill)):
            fault = _kind_fault(f"{place}.{name}", rates)
            if fault is not None:
                return fault
    return None


def _kind_fault(
    place: str, rates: Sequence[MeasuredDecode | MeasuredPrefill]
) -> CalibrationFault | None:
    names = [(rate.quant_kind, rate.type_name) for rate in rates]
    for kind, type_name in names:
        if kind not in QUANT_KINDS or names.count((kind, type_name)) > 1:
            allowed = f"each of {', '.join(QUANT_KINDS)} once, or once a storage type"
            return CalibrationFault(f"{place}.quant_kind", kind, allowed)
        if type_name is not None and quant_kind(type_name) != kind:
            return CalibrationFault(f"{place}.type_name", type_name, f"a type of the kind {kind}")
    return None


def _rates(device: DeviceCalibration) -> Iterator[tuple[str, float | None]]:
    for name in (
        "read_bytes_per_s",
        "read_threads",
        "matrix_flops_per_s",
        "cache_bytes_per_s",
        "decode_attention_flops_per_s",
        "attention_flops_per_s",
        "activation_bytes_per_s",
    ):
        yield name, getattr(device, name)
    yield from (("decode.bytes_per_s", rate.bytes_per_s) for rate in device.decode)
    yield from (("prefill.flops_per_s", rate.flops_per_s) for rate in device.prefill)


def _shares(device: DeviceCalibration) -> Iterator[tuple[str, float | None, float]]:
    """Yield what may be zero but not beyond all reason, with its highest value."""
    yield "cpu_share", device.cpu_share, _MOST_CPU_SHARE
    yield "layer_seconds", device.layer_seconds, _LONGEST_SECONDS
    yield "token_seconds", device.token_seconds, _LONGEST_SECONDS
    yield "prompt_layer_seconds", device.prompt_layer_seconds, _LONGEST_SECONDS
    yield from (("decode.spread", rate.spread, _MOST_SPREAD) for rate in device.decode)
    yield from (("decode.row_seconds", r.row_seconds, _LONGEST_SECONDS) for r in device.decode)
    yield from (("prefill.spread", rate.spread, _MOST_SPREAD) for rate in device.prefill)
