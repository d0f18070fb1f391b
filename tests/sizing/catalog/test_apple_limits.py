"""The share of a Mac's memory that macOS gives the GPU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.catalog.apple_limits import gpu_limit
from whatfits.sizing.units import GIB, MIB


@pytest.mark.parametrize(
    ("size_gib", "shown_mib"),
    [
        # recommendedMaxWorkingSetSize in public llama.cpp logs of older systems.
        (8, 5_461),
        (16, 10_922),
        (24, 16_384),
        (32, 21_845),
        (36, 27_648),
        (48, 36_864),
        (64, 49_152),
        (128, 98_304),
        (192, 147_456),
    ],
)
@pytest.mark.parametrize("version", ["14", "14.7.1", "macOS 13.6"])
def test_older_systems_give_two_thirds_then_three_quarters(
    size_gib: int, shown_mib: int, version: str
) -> None:
    limit = gpu_limit(size_gib * GIB, os_version=version)
    assert limit.low_bytes == limit.mid_bytes == limit.high_bytes
    assert limit.mid_bytes // MIB == shown_mib


@pytest.mark.parametrize(
    ("size_gib", "shown_mib"),
    [
        # The same figure on macOS 26; 128 GiB: 107.52 GiB stock, antirez/ds4 pull 893.
        (16, 12_124),
        (24, 18_186),
        (32, 25_559),
        (64, 53_084),
        (128, 110_100),
        (512, 475_136),
    ],
)
def test_newer_systems_give_what_was_observed(size_gib: int, shown_mib: int) -> None:
    limit = gpu_limit(size_gib * GIB, os_version="26.1")
    assert limit.low_bytes == limit.mid_bytes == limit.high_bytes == shown_mib * MIB


@pytest.mark.parametrize("version", [None, "", "15.6", "unknown"])
def test_without_a_deciding_version_both_rules_bound_the_limit(version: str | None) -> None:
    limit = gpu_limit(64 * GIB, os_version=version)
    assert limit.low_bytes == 49_152 * MIB
    assert limit.mid_bytes == limit.high_bytes == 53_084 * MIB


@pytest.mark.parametrize("size_gib", [8, 18, 96, 192, 1024])
def test_a_size_that_was_never_observed_says_that_it_is_derived(size_gib: int) -> None:
    limit = gpu_limit(size_gib * GIB, os_version="26")
    assert "derived" in limit.reason
    assert limit.low_bytes < limit.high_bytes
    assert limit.low_bytes == gpu_limit(size_gib * GIB, os_version="14").low_bytes


@given(st.integers(4 * GIB, 2048 * GIB), st.sampled_from([None, "13", "15.1", "26.0", "27"]))
def test_the_limit_is_ordered_and_below_the_memory(total: int, version: str | None) -> None:
    limit = gpu_limit(total, os_version=version)
    assert 0 < limit.low_bytes <= limit.mid_bytes <= limit.high_bytes < total
