"""One pool out of what the GPU may have and what the RAM leaves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whatfits.probes.unified import held_of, join_ram
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
def test_a_gpu_gets_its_limit_at_most_and_all_together_what_is_available(
    total: int, limit: int, available: int
) -> None:
    pool = Pool(
        "unified",
        "unified",
        total,
        limit_bytes=limit,
        used_bytes=held_of(total, available_bytes=available),
        limit_scope="accelerators",
    )
    assert pool.free_bytes == min(total, limit, available)
    assert pool.whole.free_bytes == min(total, available)
    joined = join_ram(pool, Pool("ram", "ram", total, used_bytes=0, reserve_bytes=1))
    assert joined.free_bytes == min(total, limit, max(0, min(total, available) - 1))
    assert joined.whole.free_bytes == max(0, min(total, available) - 1)


@given(total=SIZES, limit=SIZES, held=SIZES, container=SIZES)
def test_beside_a_control_group_the_tighter_limit_binds_all(
    total: int, limit: int, held: int, container: int
) -> None:
    held, container = min(held, total), min(container, total)
    gpu = Pool(
        "unified",
        "unified",
        total,
        limit_bytes=limit,
        used_bytes=held,
        limit_scope="accelerators",
    )
    ram = Pool("ram", "ram", total, limit_bytes=container, used_bytes=0)
    joined = join_ram(gpu, ram)
    assert joined.whole == joined
    assert joined.free_bytes == min(limit, container, total - held)
