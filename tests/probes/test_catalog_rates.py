"""Speeds that the catalog lends a device which a driver names."""

from __future__ import annotations

from whatfits.probes.drafts import Rates, catalog_rates
from whatfits.sizing.units import GIB, MIB


def test_a_card_has_the_bandwidth_of_its_memory_option() -> None:
    # Intel: 16 GT/s on the card of 8 GB, 17.5 GT/s on that of 16 GB, 256 bit.
    name = "Intel(R) Arc(TM) A770 Graphics"
    shown = {8: 8096 * MIB, 16: 16_225_243_136}
    found = {
        size: catalog_rates(name, vendor="Intel", memory_bytes=memory).bandwidth_bytes_per_s
        for size, memory in shown.items()
    }
    assert found == {8: 512_000_000_000, 16: 560_000_000_000}


def test_each_die_of_a_card_has_its_share() -> None:
    # NVIDIA's specification of the Tesla K80: 480 GB/s and 8.2 TFLOPS in FP32 for both together.
    one = catalog_rates("Tesla K80", vendor="NVIDIA", memory_bytes=11_441 * MIB)
    assert one == Rates(240_600_000_000, 4_110_000_000_000)


def test_a_name_or_a_memory_that_is_not_there_has_no_speed() -> None:
    assert catalog_rates("Tesla K90", vendor="NVIDIA") == Rates()
    assert catalog_rates("Tesla K80", vendor="NVIDIA", memory_bytes=5 * GIB) == Rates()
