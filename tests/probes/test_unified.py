"""One pool out of what the GPU may have and what the RAM leaves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whatfits.probes.unified import held_of_allowance, join_ram
from whatfits.sizing.machine import Pool
from whatfits.sizing.units import GIB

SIZES = st.integers(min_value=1, max_value=512 * GIB)


def test_a_control_group_bounds_what_the_gpu_may_have() -> None:
    unified = Pool("unified", "unified", 128 * GIB, limit_bytes=96 * GIB, used_bytes=0)
    ram = Pool("ram", "ram", 128 * GIB, limit_bytes=32 * GIB, used_bytes=2 * GIB, reserve_bytes=GIB)
    joined = join_ram(unified, ram)
    assert (joined.limit_bytes, joined.free_bytes) == (32 * GIB, 29 * GIB)


def test_without_a_limit_on_the_ram_the_gpus_figures_stand() -> None:
    unified = Pool("unified", "unified", 128 * GIB, limit_bytes=96 * GIB, used_bytes=6 * GIB)
    ram = Pool("ram", "ram", 124 * GIB, used_bytes=20 * GIB)
    assert join_ram(unified, ram).free_bytes == 90 * GIB


def test_a_gpu_that_knows_no_total_takes_the_rams() -> None:
    unified = Pool("unified", "unified", None, used_bytes=None)
    ram = Pool("ram", "ram", 64 * GIB, used_bytes=4 * GIB)
    joined = join_ram(unified, ram)
    assert (joined.total_bytes, joined.free_bytes) == (64 * GIB, 60 * GIB)


def test_what_is_unknown_stays_unknown() -> None:
    unified = Pool("unified", "unified", 64 * GIB, used_bytes=None)
    ram = Pool("ram", "ram", 64 * GIB, limit_bytes=8 * GIB, used_bytes=0)
    assert join_ram(unified, ram).used_bytes is None


@given(total=SIZES, limit=SIZES, available=SIZES)
def test_free_is_never_more_than_the_allowance_or_what_is_available(
    total: int, limit: int, available: int
) -> None:
    allowance = min(total, limit)
    used = held_of_allowance(allowance_bytes=allowance, available_bytes=available)
    pool = Pool("unified", "unified", total, limit_bytes=limit, used_bytes=used)
    assert pool.free_bytes == min(allowance, available)
