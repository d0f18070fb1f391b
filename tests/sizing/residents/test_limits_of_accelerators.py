"""Models together where a GPU may take only a part of the memory that it shares with the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing import check, together
from whatfits.sizing.api import load_model
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.resident_trials import without
from whatfits.sizing.units import GIB
from whatfits.sizing.verdict import pool_needs
from whatfits.sizing.workload import Workload

ONE = load_model("smollm2-135m")
TWO = load_model("qwen2.5-0.5b")
WORKLOAD = Workload(context_tokens=4096)
LIMIT = 8 * GIB
SHARED = Machine(
    pools=(
        Pool("ram", "unified", 64 * GIB, limit_bytes=LIMIT, limit_scope="accelerators"),
        Pool("other", "ram", GIB, limit_bytes=GIB // 2),
    ),
    devices=(
        Device("metal", "metal", "an Apple GPU", "ram", 10**11),
        Device("cpu", "cpu", "an Apple CPU", "ram"),
    ),
    os="macos",
)


def limited(limit_bytes: int | None, low_bytes: int | None = None) -> Machine:
    pool = replace(SHARED.pools[0], limit_bytes=limit_bytes, limit_low_bytes=low_bytes)
    return replace(SHARED, pools=(pool, SHARED.pools[1]))


def taken(machine: Machine) -> tuple[int, int]:
    """Return what a model takes at the most: of the limit, and of all memory."""
    part, whole = pool_needs(check(ONE, machine=machine, workload=WORKLOAD).memory, machine)
    return part.high_bytes, whole.high_bytes


def left_of(machine: Machine) -> Pool:
    """Return the memory as a model leaves it."""
    memory = check(ONE, machine=machine, workload=WORKLOAD).memory
    left = without(machine, memory, "fits")
    assert left.pools[1] == machine.pools[1]
    assert left.devices == machine.devices
    return left.pools[0]


@pytest.mark.parametrize("low", [None, LIMIT, LIMIT // 2])
def test_what_a_model_takes_of_the_limit_lowers_it_and_the_rest_is_reserved(
    low: int | None,
) -> None:
    machine = limited(LIMIT, low)
    part, whole = taken(machine)
    assert 0 < part < whole
    assert left_of(machine) == replace(
        machine.pools[0],
        limit_bytes=LIMIT - part,
        limit_low_bytes=None if low is None else low - part,
        reserve_bytes=whole,
    )


@pytest.mark.parametrize(("more", "left"), [(-1, 0), (0, 0), (1, 1)])
def test_a_limit_is_never_below_nothing(more: int, left: int) -> None:
    part, _ = taken(SHARED)
    pool = left_of(limited(part + more, part + more))
    assert (pool.limit_bytes, pool.limit_low_bytes) == (left, left)


def test_where_there_is_no_limit_none_is_made() -> None:
    pool = left_of(limited(None))
    assert (pool.limit_bytes, pool.limit_low_bytes) == (None, None)
    assert pool.reserve_bytes == taken(limited(None))[1]


def test_a_limit_of_exactly_both_parts_holds_both() -> None:
    alone = [check(spec, machine=SHARED, workload=WORKLOAD) for spec in (ONE, TWO)]
    both = sum(pool_needs(plan.memory, SHARED)[0].high_bytes for plan in alone)
    enough = together([ONE, TWO], machine=limited(both), workload=WORKLOAD)
    short = together([ONE, TWO], machine=limited(both - 1), workload=WORKLOAD)
    assert [plan.verdict for plan in enough.models] == ["fits", "fits"]
    assert [plan.verdict for plan in short.models] == ["fits", "tight"]
    assert (enough.verdict, short.verdict) == ("fits", "tight")


def test_what_is_left_is_told_of_all_the_memory_and_not_of_the_limit() -> None:
    plan = together([ONE], machine=SHARED, workload=WORKLOAD)
    share = plan.pools[0]
    assert share.free_bytes == 64 * GIB
    assert share.left_bytes == 64 * GIB - taken(SHARED)[1]
    assert share.high_bytes == (sum(row.high_bytes for row in plan.models[0].memory.devices),)
