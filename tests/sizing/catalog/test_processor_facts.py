"""Processors by name: cores, clock and kernels, and that a prompt's speed follows from them."""

from __future__ import annotations

import pytest

from whatfits.sizing import check
from whatfits.sizing.catalog.lookup import match_cpu
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.catalog.processor_facts import processor_facts
from whatfits.sizing.catalog.processors_build import processor_problems
from whatfits.sizing.catalog.sources import read_sources
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.estimate import RateRange

GHZ = 10**9


@pytest.mark.parametrize(
    ("machine", "cores", "fast_cores", "clock_hz", "feature"),
    [
        # product pages of AMD and Intel, the product briefs of Raspberry Pi 5 and Ampere Altra
        ("ryzen 9 7950x 64gb", 16, None, 5.7 * GHZ, "avx512f"),
        ("ryzen 7 5700x + 32gb", 8, None, 4.6 * GHZ, "avx2"),
        ("epyc 9554 384gb", 64, None, 3.75 * GHZ, "avx512f"),
        ("2x epyc 9554 768gb", 128, None, 3.75 * GHZ, "avx512f"),
        ("raspberry pi 5 8gb", 4, None, 2.4 * GHZ, "dotprod"),
        ("altra q80-30 256gb", 80, None, 3.0 * GHZ, "dotprod"),
        # eight performance cores of 16: llama.cpp starts a thread on each of them alone
        ("core i7-13700k + 32gb ddr5-5600", 8, None, 5.4 * GHZ, "avx2"),
        # four Cortex-A55 at 1.8 GHz, each 530/1024 of a Cortex-A76 at 2.4
        ("rk3588 16gb", 8, 4 + 4 * 530 / 1024 * 1.8 / 2.4, 2.4 * GHZ, "dotprod"),
        # the plus of its name is lost where parts are added with it
        ("xeon platinum 8480+ 512gb", 56, None, 3.8 * GHZ, "amx_int8"),
    ],
)
def test_a_named_processor_tells_cores_clock_and_kernels(
    machine: str, cores: int, fast_cores: float | None, clock_hz: float, feature: str
) -> None:
    (cpu,) = machine_expression(machine).devices
    assert (cpu.cores, cpu.clock_hz) == (cores, clock_hz)
    assert cpu.fast_cores == (None if fast_cores is None else pytest.approx(fast_cores, rel=1e-3))
    assert feature in cpu.features


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        # Intel's product pages: 8 performance and 8 or 12 efficient cores; 10 cores of one kind
        ("i7-13700k + 32gb", "Core i7-13700K (8 fast cores of 16)"),
        ("core ultra 7 265k + 64gb", "Core Ultra 7 265K (8 fast cores of 20)"),
        ("i9-10900k + 32gb", "Core i9-10900K"),
    ],
)
def test_a_hybrid_processor_says_that_the_cores_it_counts_are_not_all(
    machine: str, name: str
) -> None:
    (cpu,) = machine_expression(machine).devices
    assert cpu.name == name


def _prompt_speed(machine: str) -> tuple[RateRange, str | None]:
    speed = check("llama-3.1-8b", machine=machine).speed
    assert speed is not None
    assert speed.prefill_tokens_per_s is not None
    return speed.prefill_tokens_per_s, speed.reason


def test_a_named_processor_tells_how_fast_a_prompt_is_read() -> None:
    fast, assumed = _prompt_speed("ryzen 9 7950x 64gb")
    slow, _ = _prompt_speed("raspberry pi 5 8gb")
    assert assumed is None
    assert fast.low > slow.high


def test_cores_without_a_clock_leave_a_wider_range() -> None:
    told, _ = _prompt_speed("epyc 9654 384gb")
    untold, assumed = _prompt_speed("epyc 9655 384gb")
    assert "clock is not known" in (assumed or "")
    assert untold.high / untold.low > told.high / told.low


def test_a_processor_of_two_kinds_of_core_whose_slow_clock_was_not_found_stays_unknown() -> None:
    assert match_cpu("AMD Ryzen AI 9 HX 370") is not None
    assert processor_facts("Ryzen AI 9 HX 370") is None
    (cpu,) = machine_expression("ryzen ai 9 hx 370 32gb").devices
    assert cpu.cores is None


def test_every_processor_is_found_by_its_platform_and_once() -> None:
    sources = read_sources()
    series, platforms = sources.processors, sources.memory_systems.platforms
    assert sum(len(row.cpus) for row in series) > 900
    assert not list(processor_problems(series, platforms))
    twice = list(processor_problems((*series, series[0]), platforms))
    assert twice
    assert all("occurs twice" in text for text in twice)
    stray = series[0].model_copy(update={"platform": "xeon-e5-v3"})
    assert "does not find it" in next(processor_problems([stray], platforms))
