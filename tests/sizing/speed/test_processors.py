"""What processors multiply at over a prompt: what has to be told, and what each kernel costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.api import check
from whatfits.sizing.machine import Device
from whatfits.sizing.speed.processors import BY_ROWS, MANY_CORES, WIDE, arithmetic_of
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from whatfits.sizing.estimate import RateRange, Speed

AVX2 = ("avx2", "fma", "f16c")
AVX512 = (*AVX2, "avx512f", "avx512bw")
ARM = ("neon", "fp16", "dotprod")
CPU = Device("cpu", "cpu", "CPU", "ram", features=AVX2, cores=8, clock_hz=4_000_000_000)


def flops(device: Device) -> float:
    found = arithmetic_of(device)
    assert found is not None
    return found.flops


def speed_of(**told: Any) -> Speed:  # noqa: ANN401 - JSON
    file_type = told.pop("file_type", "Q4_K_M")
    device = {"id": "cpu", "kind": "cpu", "name": "CPU", "pool": "ram"}
    machine = {
        "pools": [{"id": "ram", "kind": "ram", "total_bytes": 2**37, "used_bytes": 0}],
        "devices": [device | {"bandwidth_bytes_per_s": 83_200_000_000} | told],
    }
    speed = check("llama-3.1-8b", file_type=file_type, machine=machine).speed
    assert speed is not None
    return speed


def reads(**told: Any) -> RateRange:  # noqa: ANN401 - JSON
    rate = speed_of(**told).prefill_tokens_per_s
    assert rate is not None
    return rate


def test_a_core_has_two_units_of_eight_floats() -> None:
    assert flops(CPU) == 8 * 4e9 * 2 * 8 * 2


@pytest.mark.parametrize(
    "told",
    [
        {"cores": None},
        {"features": ()},
        {"features": ("avx",)},
        {"features": ("neon",)},
        {"features": ("rvv",)},
        {"name": "Apple M4", "features": ARM},
        {"kind": "cuda"},
    ],
)
def test_nothing_is_known_without_cores_and_instructions(told: dict[str, Any]) -> None:
    assert arithmetic_of(replace(CPU, **told)) is None


def test_unequal_cores_count_as_what_they_are_worth() -> None:
    assert flops(replace(CPU, cores=12, fast_cores=6.5)) == 6.5 / 8 * flops(CPU)


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("Intel(R) N150", 0.5),
        ("AMD Ryzen Threadripper 1950X 16-Core Processor", 0.5),
        ("AMD Ryzen 5 2600", 0.5),
        ("AMD EPYC 7551", 0.5),
        ("AMD EPYC 7702 64-Core Processor", 1.0),
        ("AMD Ryzen 5 3600", 1.0),
        ("Intel(R) Core(TM) i5-9500", 1.0),
    ],
)
def test_some_cores_halve_wide_vectors(name: str, width: float) -> None:
    assert flops(replace(CPU, name=name)) == width * flops(CPU)


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0 (Cortex-A76)", 1.0),
        ("Neoverse-N1", 1.0),
        ("Neoverse-V2", 2.0),
        ("4x Cortex-A78C + 4x Cortex-X1C", 1.5),
        ("4x Cortex-A55 + 4x Cortex-X2", 2.0),
        ("Cortex-A55", 1.0),
        ("Qualcomm Oryon", 2.0),
        ("a board", 1.0),
    ],
)
def test_large_cores_of_arm_have_twice_the_units(name: str, width: float) -> None:
    usual = replace(CPU, features=ARM)
    assert flops(replace(usual, name=name)) == width * flops(usual)


@pytest.mark.parametrize(
    ("features", "by_rows", "at_once"),
    [
        (
            AVX2,
            {"Q2_K", "Q3_K", "Q5_K", "Q6_K", "Q4_1", "IQ4_XS"},
            {"Q4_0", "Q4_K", "Q8_0", "BF16"},
        ),
        (AVX512, {"Q3_K", "Q5_K", "Q6_K", "Q5_1", "IQ3_S"}, {"Q2_K", "Q4_K", "IQ4_NL", "MXFP4"}),
        (ARM, {"Q2_K", "Q3_K", "Q5_0", "BF16"}, {"Q4_K", "Q5_K", "Q6_K", "Q8_0", "F16"}),
    ],
)
def test_types_without_a_kernel_for_many_rows_go_row_by_row(
    features: tuple[str, ...], by_rows: set[str], at_once: set[str]
) -> None:
    found = arithmetic_of(replace(CPU, features=features))
    assert found is not None
    assert {name for name in by_rows | at_once if BY_ROWS in found.costs(name)} == by_rows


def test_only_kernels_with_long_vectors_gain_by_them() -> None:
    found = arithmetic_of(replace(CPU, features=AVX512))
    assert found is not None
    assert [WIDE in found.costs(name) for name in ("Q4_K", "F16", "Q8_0", "Q6_K")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("features", "cores", "is_slowed"), [(AVX2, 64, True), (AVX2, 32, False), (ARM, 64, False)]
)
def test_a_large_socket_of_x86_does_not_hold_its_clock(
    features: tuple[str, ...], cores: int, *, is_slowed: bool
) -> None:
    found = arithmetic_of(replace(CPU, features=features, cores=cores))
    assert found is not None
    assert (MANY_CORES in found.costs("Q4_K")) == is_slowed


def test_a_prompt_on_a_processor_is_told_with_its_first_token() -> None:
    speed = speed_of(features=AVX2, cores=8, clock_hz=4_500_000_000)
    assert speed.prefill_tokens_per_s is not None
    assert speed.time_to_first_token_s is not None
    assert speed.reason is None
    # a core of this kind and clock reads 4 to 7 tokens a second of an 8B model in Q4_K_M
    assert 8 * 4 < speed.prefill_tokens_per_s.mid < 8 * 7


def test_twice_the_cores_or_clock_reads_nearly_twice_as_fast() -> None:
    plain = reads(features=AVX2, cores=4, clock_hz=2_500_000_000).mid
    assert 1.7 < reads(features=AVX2, cores=8, clock_hz=2_500_000_000).mid / plain <= 2
    assert 1.7 < reads(features=AVX2, cores=4, clock_hz=5_000_000_000).mid / plain <= 2


def test_a_type_by_rows_reads_slower() -> None:
    told = {"features": AVX2, "cores": 8, "clock_hz": 4_000_000_000}
    assert reads(file_type="Q6_K", **told).mid < 0.8 * reads(file_type="Q4_K_S", **told).mid


def test_a_clock_that_nobody_told_is_said_and_makes_the_range_wider() -> None:
    told = speed_of(features=AVX2, cores=8, clock_hz=4_000_000_000)
    untold = speed_of(features=AVX2, cores=8)
    assert "the processor's clock is not known: 3.0 to 5.4 GHz" in (untold.reason or "")
    assert untold.prefill_tokens_per_s is not None
    assert told.prefill_tokens_per_s is not None
    widths = [
        rate.high / rate.low for rate in (untold.prefill_tokens_per_s, told.prefill_tokens_per_s)
    ]
    assert widths[0] > 1.2 * widths[1]
    assert untold.decode_tokens_per_s == told.decode_tokens_per_s
