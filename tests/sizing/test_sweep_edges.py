"""A sweep at the byte where a verdict changes, held against the scalar path: one small model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.catalog.shares import kind_of_machine, stored_model
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.sources.catalog_model import spec_of_entry
from whatfits.sizing.sweep import VERDICTS, Swept, sweep
from whatfits.sizing.units import GIB
from whatfits.sizing.verdict import pool_needs
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.catalog.shares import StoredModel
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.verdict import PoolNeed

NAME = "smollm2-135m"
PLENTY = 64 * GIB
CPU = Device("cpu", "cpu", "a CPU", "ram", features=("avx2",))
REPLAYS = Replays()


def cards(count: int) -> Machine:
    pools = [Pool(f"vram{i}", "vram", PLENTY) for i in range(count)]
    devices = [
        Device(f"cuda{i}", "cuda", "a card", pool.id, features=("cc8.9",))
        for i, pool in enumerate(pools)
    ]
    return Machine(pools=(*pools, Pool("ram", "ram", PLENTY)), devices=(*devices, CPU))


def shared(kind: str, *features: str) -> Machine:
    """Return a machine of one memory, of which its GPU may take so much and no more."""
    pool = Pool("ram", "unified", 2 * PLENTY, limit_bytes=PLENTY, limit_scope="accelerators")
    gpu = Device("gpu", kind, "a GPU", "ram", features=("gfx1151",) if kind == "rocm" else ())
    return Machine(pools=(pool,), devices=(gpu, replace(CPU, features=features)))


MACHINES = {
    "a card": cards(1),
    "two cards": cards(2),
    "a CPU": cards(0),
    "metal": shared("metal", "dotprod", "i8mm"),
    "rocm": shared("rocm"),
}


@cache
def stored() -> StoredModel:
    found = stored_model(NAME)
    assert found is not None
    return found


@cache
def spec(file_type: str) -> ModelSpec:
    return spec_of_entry(find_model(NAME), file_type=file_type)


def swept(machine: Machine) -> Swept:
    (found,) = sweep([machine], [(NAME, stored())])
    assert found is not None
    return found


def alone(machine: Machine, row: int) -> Trial:
    """Return what the scalar path makes of a row."""
    _, file_type, tokens, _ = swept(machine).table.configurations[row]
    workload = Workload(context_tokens=tokens)
    asked = (spec(file_type), machine, workload, PlacementRequest())
    return Trials(*asked, replays=REPLAYS).first()


def with_pool(machine: Machine, name: str, **fields: Any) -> Machine:  # noqa: ANN401
    pools = (replace(p, **fields) if p.id == name else p for p in machine.pools)
    return replace(machine, pools=tuple(pools))


def of_size(machine: Machine, need: PoolNeed, free_bytes: int, **fields: Any) -> Machine:  # noqa: ANN401
    """Return the machine with so many bytes for a need: of its limit where it has one.

    Cards stay equal, so that layers are shared out as before.
    """
    is_part = need.pool.limit_scope == "accelerators"
    size = {"limit_bytes": free_bytes} if is_part else {"total_bytes": free_bytes}
    for pool in machine.pools:
        if pool.kind == need.pool.kind:
            machine = with_pool(machine, pool.id, **size, **fields)
    return machine


def largest_needs(machine: Machine, row: int) -> list[PoolNeed]:
    """Return what a row needs of each kind of pool, where it needs most."""
    found: dict[tuple[str, str], PoolNeed] = {}
    for need in pool_needs(alone(machine, row).memory, machine):
        kind = (need.pool.kind, need.pool.limit_scope)
        found[kind] = max(need, found.get(kind, need), key=lambda one: one.total_bytes)
    return list(found.values())


def verdicts(machine: Machine, row: int) -> tuple[str, str]:
    """Return the verdict on a row by the sweep and by itself."""
    return VERDICTS[swept(machine).verdict[row]], alone(machine, row).judgement.verdict


@pytest.mark.parametrize("name", MACHINES)
def test_every_row_is_a_file_type_and_a_context_in_their_order(name: str) -> None:
    found = swept(MACHINES[name])
    rows = [(row.model, row.file_type, row.context_tokens) for row in found.table.configurations]
    assert rows == [(NAME, t, n) for t in stored().file_types for n in stored().contexts]
    assert {row.n_layers for row in found.table.configurations} == {stored().n_layers}
    assert found.table.n_layers.tolist() == [stored().n_layers] * len(rows)
    assert found.table.kind == kind_of_machine(MACHINES[name])
    assert found.is_stored.all()
    assert {VERDICTS[code] for code in found.verdict} == {"fits"}


@pytest.mark.parametrize("name", MACHINES)
def test_sums_and_parts_are_those_of_the_scalar_path(name: str) -> None:
    machine = MACHINES[name]
    found = swept(machine)
    for row in (0, len(found.verdict) - 1):
        memory = alone(machine, row).memory
        assert found.total_bytes[row] == memory.total_bytes
        assert found.low_bytes[row] == memory.low_bytes
        assert found.high_bytes[row] == memory.high_bytes
        weights = [device.weights_bytes for device in memory.devices]
        assert found.table.weights_bytes[row].tolist() == weights


@pytest.mark.parametrize("name", MACHINES)
def test_each_need_fits_to_the_byte_and_is_tight_or_none_below(name: str) -> None:
    machine = MACHINES[name]
    row = 1
    needs = largest_needs(machine, row)
    parts = [need.pool.limit_scope for need in needs]
    assert len(needs) == (1 if name == "a CPU" else 2)
    assert ("accelerators" in parts) == (name in ("metal", "rocm"))
    for need in needs:
        if need.pool.limit_scope == "pool" and "accelerators" in parts:
            continue  # below
        edges = {
            need.high_bytes: "fits",
            need.high_bytes - 1: "tight",
            need.total_bytes: "tight",
            need.total_bytes - 1: "no",
        }
        assert need.total_bytes < need.high_bytes - 1
        for free_bytes, verdict in edges.items():
            assert verdicts(of_size(machine, need, free_bytes), row) == (verdict, verdict)


@pytest.mark.parametrize("name", ["metal", "rocm"])
def test_all_together_are_bound_by_the_whole_memory(name: str) -> None:
    machine, row = MACHINES[name], 1
    _, whole = pool_needs(alone(machine, row).memory, machine)
    edges = {whole.high_bytes: "fits", whole.high_bytes - 1: "tight", whole.total_bytes - 1: "no"}
    for free_bytes, verdict in edges.items():
        # what the GPU may take is as much as there is
        less = with_pool(machine, "ram", total_bytes=free_bytes, limit_bytes=PLENTY)
        assert verdicts(less, row) == (verdict, verdict)


@pytest.mark.parametrize("name", ["a card", "two cards", "a CPU"])
def test_what_others_hold_could_be_closed(name: str) -> None:
    machine, row = MACHINES[name], 1
    for need in largest_needs(machine, row):
        for size, verdict in ((need.total_bytes, "tight"), (need.total_bytes - 1, "no")):
            held = of_size(machine, need, size, used_bytes=1)
            assert verdicts(held, row) == (verdict, verdict)
        enough = of_size(machine, need, need.high_bytes + 1, used_bytes=1)
        assert verdicts(enough, row) == ("fits", "fits")


def test_what_is_surely_there_counts_for_a_promise() -> None:
    machine, row = MACHINES["a card"], 1
    card = pool_needs(alone(machine, row).memory, machine)[0]
    for low, verdict in ((card.high_bytes, "fits"), (card.high_bytes - 1, "tight")):
        assert verdicts(with_pool(machine, "vram0", total_low_bytes=low), row) == (verdict, verdict)


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("unknown", ["used_bytes", "total_bytes"])
def test_what_is_not_known_is_judged_as_by_itself(name: str, unknown: str) -> None:
    machine = MACHINES[name]
    host = machine.host
    assert host is not None
    less = with_pool(machine, host.pool, **{unknown: None})
    found, expected = verdicts(less, 1)
    assert found == expected
    if unknown == "total_bytes":
        assert found == ("fits" if "card" in name else "unknown")
    else:
        assert found == "tight"


def test_a_card_of_unknown_memory_takes_no_part() -> None:
    """It is there, and faster: what lies in the RAM spills."""
    unknown = with_pool(MACHINES["a card"], "vram0", total_bytes=None)
    assert verdicts(unknown, 1) == ("slow", "slow")
    neither = with_pool(unknown, "ram", total_bytes=None)
    assert verdicts(neither, 1) == ("unknown", "unknown")


def test_a_machine_of_no_stored_kind_has_no_column() -> None:
    found = sweep([cards(4), cards(1), cards(3), cards(1)], [(NAME, stored())])
    assert [one is None for one in found] == [True, False, True, False]
    assert found[1] is not None
    assert found[3] is not None
    assert found[1].table is found[3].table


def test_two_cards_that_share_layers_out_otherwise_are_not_stored() -> None:
    machine = MACHINES["two cards"]
    assert swept(machine).is_stored.all()
    uneven = with_pool(machine, "vram1", used_bytes=PLENTY // 2)
    assert not swept(uneven).is_stored.any()
    assert swept(with_pool(MACHINES["a card"], "vram0", used_bytes=GIB)).is_stored.all()


@pytest.mark.parametrize("kind", ["cuda", "rocm"])
def test_a_card_of_untold_architecture_is_sized_by_itself(kind: str) -> None:
    # what its back end keeps for fused steps is then in the interval alone
    machine = cards(1)
    devices = (replace(machine.devices[0], kind=kind, features=()), CPU)
    assert kind_of_machine(replace(machine, devices=devices)) is None
    assert sweep([replace(machine, devices=devices)], [(NAME, stored())]) == [None]
