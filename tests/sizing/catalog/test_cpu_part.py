"""A machine without a card can be told by the name of its CPU."""

from __future__ import annotations

import pytest

from whatfits.sizing import BadInputError, check
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.units import GIB


@pytest.mark.parametrize(
    ("text", "name", "bandwidth", "gib"),
    [
        # LPDDR4X-4267 over 32 bits
        ("raspberry pi 5 8gb", "Raspberry Pi 5 (4x Cortex-A76)", 17_100_000_000, 8),
        ("Raspberry Pi 5 Model B + 16gb", "Raspberry Pi 5 (4x Cortex-A76)", 17_100_000_000, 16),
        # twelve channels of DDR5-4800 a socket: 460.8 GB/s
        ("2x epyc 9654 + 768gb", "2x EPYC 9654", 921_600_000_000, 768),
        # the rate that was given counts before the official one: 2 x 8 x 6,000
        (
            "i5-13500 + 64gb ddr5-6000",
            "Core i5-13500 (6 fast cores of 14) with two channels of DDR5-6000",
            96 * 10**9,
            64,
        ),
    ],
)
def test_a_cpu_that_is_named_tells_the_speed_of_its_memory(
    text: str, name: str, bandwidth: int, gib: int
) -> None:
    machine = machine_expression(text)
    (cpu,) = machine.devices
    assert (cpu.kind, cpu.name, cpu.bandwidth_bytes_per_s) == ("cpu", name, bandwidth)
    assert machine.pool(cpu.pool).total_bytes == gib * GIB


def test_the_memory_of_a_small_computer_is_not_taken_for_a_pc_s() -> None:
    named = check("llama-3.2-3b", machine="raspberry pi 5 8gb")
    assert named.speed is not None
    assert named.speed.decode_tokens_per_s is not None
    read = named.memory.weights_bytes
    assert named.speed.decode_tokens_per_s.high * read <= 17.1e9
    assert "system memory" not in (named.speed.reason or "")


def test_a_card_stays_beside_a_named_cpu() -> None:
    machine = machine_expression("rtx 4090 + ryzen 9 7950x 64gb")
    assert [device.kind for device in machine.devices] == ["cuda", "cpu"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rtx 4090 ryzen 9 7950x", "unknown device"),  # the card would be lost
        ("raspberry pi 5 8gb + 8gb", "the RAM once"),
        ("raspberry pi 5 + ryzen 9 7950x + 8gb", "one CPU"),
        ("3x epyc 9654 + 768gb", "at most 2 in one machine"),
        ("m4 16gb + ryzen 9 7950x", "and no CPU"),
    ],
)
def test_what_is_no_one_machine_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInputError) as error:
        machine_expression(text)
    assert said in str(error.value)
