"""The room in each pool: of what was tried the rough figures are the exact ones."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
from small_boxes import CPU, DENSE, PLENTY, box, model, tried, unified

from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.search.rooms import least_room, rooms_of, rough_rooms
from whatfits.sizing.verdict import pool_needs
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from whatfits.sizing.search.trial import Trial


@cache
def bill() -> Bill:
    return Bill(model(DENSE))


def limited(limit_bytes: int | None) -> Machine:
    """Return a machine of one memory whose GPU may take so much, and a card beside it."""
    pool = Pool("unified", "unified", PLENTY, limit_bytes=limit_bytes, limit_scope="accelerators")
    gpu = Device("gpu0", "rocm", "a GPU", "unified")
    card = Device("gpu1", "rocm", "a card", "vram0")
    cpu = replace(CPU, pool="unified")
    return Machine(pools=(pool, Pool("vram0", "vram", PLENTY)), devices=(gpu, card, cpu))


def of_one_pool() -> Machine:
    """Return two accelerators that compute out of one card's memory."""
    machine = box(PLENTY)
    card, cpu = machine.devices
    return replace(machine, devices=(card, replace(card, id="cuda1"), cpu))


def rough(machine: Machine, like: list[Trial], **asked: int) -> dict[str, int]:
    placement = resolve_placement(model(DENSE), PlacementRequest(**asked), machine)
    return rough_rooms(bill(), machine, placement, like=like)


@pytest.mark.parametrize(
    "machine",
    [box(PLENTY), box(PLENTY, PLENTY // 2), limited(PLENTY // 2), limited(None), of_one_pool()],
    ids=["a card", "two cards", "a limit", "no limit", "one pool"],
)
@pytest.mark.parametrize("layers", [31, 7, 1])
def test_of_what_was_tried_the_rough_room_is_the_exact_one(machine: Machine, layers: int) -> None:
    trial = tried(DENSE, machine, gpu_layers=layers)
    host = trial.placement.host.pool
    exact = {
        need.pool.id: need.spare_low_bytes
        for need in pool_needs(trial.memory, machine)
        if need.pool.id != host or need.pool.limit_scope == "accelerators"
    }
    assert rough(machine, [trial], gpu_layers=layers) == exact
    assert set(exact) >= {pool.id for pool in machine.pools if pool.kind == "vram"}
    assert ("unified" in exact) == any(pool.kind == "unified" for pool in machine.pools)


def test_what_is_free_counts_from_its_lower_end_and_is_none_where_it_is_unknown() -> None:
    machine = box(PLENTY)
    trial = tried(DENSE, machine)
    plenty = rough(machine, [trial])["vram0"]
    for change, room in (
        ({"total_low_bytes": PLENTY - 7}, plenty - 7),
        ({"used_bytes": 5}, plenty - 5),
        ({"used_bytes": None}, -1),
    ):
        pool = replace(machine.pools[0], **change)  # type: ignore[arg-type]
        less = replace(machine, pools=(pool, machine.pools[1]))
        assert rough(less, [trial]) == {"vram0": room}


def test_beside_weights_and_cache_the_least_counts_that_was_seen() -> None:
    """Working memory differs with the layers; which were tried first makes no difference."""
    machine = box(PLENTY)
    some, more = (tried(DENSE, machine, gpu_layers=layers) for layers in (3, 31))

    def rest(trial: Trial) -> int:
        row = trial.memory.devices[0]
        return row.high_bytes - row.weights_bytes - row.kv_cache_bytes

    assert rest(some) != rest(more)
    layer = tried(DENSE, machine, gpu_layers=9).memory.devices[0]
    kept = layer.weights_bytes + layer.kv_cache_bytes
    for like in ([some, more], [more, some]):
        least = min(rest(some), rest(more))
        assert rough(machine, like, gpu_layers=9) == {"vram0": PLENTY - kept - least}
    assert rough(machine, [more], gpu_layers=9) == {"vram0": PLENTY - kept - rest(more)}


def test_the_cache_is_that_of_the_trial_that_was_last() -> None:
    machine = box(PLENTY)
    short, long = tried(DENSE, machine, 256), tried(DENSE, machine, 8192)
    cache_bytes = long.memory.kv_cache_bytes - short.memory.kv_cache_bytes
    rooms = [rough(machine, like)["vram0"] for like in ([long, short], [short, long])]
    assert rooms[0] - rooms[1] == cache_bytes > 0


# exact ones


def test_each_pool_that_is_touched_has_its_room_and_none_counts_as_full() -> None:
    machine = box(PLENTY, ram=PLENTY)
    trial = tried(DENSE, machine)
    card, host = trial.memory.devices
    rooms = [(pool.id, room) for pool, room in rooms_of(trial, machine)]
    assert rooms == [("vram0", PLENTY - card.high_bytes), ("ram", PLENTY - host.high_bytes)]
    unknown = replace(machine, pools=(machine.pools[0], replace(machine.pools[1], used_bytes=None)))
    assert [room for _, room in rooms_of(trial, unknown)] == [PLENTY - card.high_bytes, -1]


def test_the_least_room_is_of_all_pools_or_of_those_of_accelerators() -> None:
    trial = tried(DENSE, box(PLENTY, PLENTY))
    first, second, host = trial.memory.devices
    for cards in ((5, 9), (9, 5)):
        sizes = first.high_bytes + cards[0], second.high_bytes + cards[1]
        machine = box(*sizes, ram=host.high_bytes + 3)
        assert least_room(trial, machine) == 3
        assert least_room(trial, machine, host_too=False) == 5
        roomy = box(*sizes, ram=host.high_bytes + 7)
        assert least_room(trial, roomy) == 5


def test_of_one_memory_the_part_that_accelerators_may_take_counts_with_them() -> None:
    trial = tried(DENSE, limited(PLENTY // 2))
    gpu = trial.memory.devices[0]
    machine = limited(gpu.high_bytes + 2)
    assert least_room(trial, machine) == least_room(trial, machine, host_too=False) == 2
    whole = unified(PLENTY)
    alone = tried(DENSE, whole)
    assert least_room(alone, whole) == PLENTY - sum(r.high_bytes for r in alone.memory.devices)
