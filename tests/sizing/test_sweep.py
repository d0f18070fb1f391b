"""A sweep says of every configuration what the scalar path says of it alone."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.catalog.lookup import find_model, model_entries
from whatfits.sizing.catalog.shares import StoredModel, stored_model
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.sources.catalog_model import spec_of_entry
from whatfits.sizing.sweep import VERDICTS, Swept, sweep
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine

MACHINES = (
    "rtx-4090 + 64gb",
    "rtx-3060-12gb + 16gb",
    "rx-7900-xtx + 32gb",
    "2x rtx-3090 + 64gb",
    "mac-m4-max-64gb",
    "m4-pro-24gb",
    "16gb",
    "8gb",
)
CASES = 24


@cache
def stored() -> list[tuple[str, StoredModel]]:
    found = ((entry.id, stored_model(entry.id)) for entry in model_entries())
    return [(name, model) for name, model in found if model is not None]


def machine_of(name: str, *, used_bytes: int | None = 0, total: bool = True) -> Machine:
    machine = load_machine(name)
    pools = tuple(
        replace(
            pool,
            used_bytes=used_bytes,
            total_bytes=pool.total_bytes if total or pool.kind != "ram" else None,
        )
        for pool in machine.pools
    )
    return replace(machine, pools=pools)


def agrees(swept: Swept, machine: Machine, rows: list[int]) -> None:
    for row in rows:
        if not swept.is_stored[row]:
            continue
        model, file_type, tokens, _ = swept.table.configurations[row]
        spec = spec_of_entry(find_model(model), file_type=file_type)
        workload = Workload(context_tokens=tokens)
        trial = Trials(spec, machine, workload, PlacementRequest(), replays=Replays()).first()
        seen = (swept.total_bytes[row], swept.low_bytes[row], swept.high_bytes[row])
        memory = trial.memory
        assert seen == (memory.total_bytes, memory.low_bytes, memory.high_bytes), (model, file_type)
        assert VERDICTS[swept.verdict[row]] == trial.judgement.verdict, (model, file_type, tokens)


@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize("used_bytes", [0, 3 * GIB])
def test_each_configuration_is_that_of_the_scalar_path(name: str, used_bytes: int) -> None:
    machine = machine_of(name, used_bytes=used_bytes)
    (swept,) = sweep([machine], stored())
    assert swept is not None
    assert len(swept.verdict) == len(swept.table.configurations) > 5000
    assert swept.is_stored.mean() > 0.9
    chance = random.Random(f"{name} {used_bytes}")  # noqa: S311 - which cases
    agrees(swept, machine, chance.sample(range(len(swept.verdict)), CASES))


@pytest.mark.parametrize("name", ["rtx-4090 + 64gb", "16gb"])
@pytest.mark.parametrize("change", [{"used_bytes": None}, {"total": False}], ids=str)
def test_what_is_not_known_is_judged_as_the_scalar_path_does(
    name: str, change: dict[str, bool | None]
) -> None:
    machine = machine_of(name, **change)  # type: ignore[arg-type]
    (swept,) = sweep([machine], stored()[:30])
    assert swept is not None
    agrees(swept, machine, list(range(0, len(swept.verdict), 151)))


def test_every_verdict_but_slow_occurs() -> None:
    machines = [machine_of(name) for name in MACHINES]
    machines.append(machine_of("16gb", total=False))
    seen = {VERDICTS[code] for swept in sweep(machines, stored()) for code in set(swept.verdict)}  # type: ignore[union-attr]
    assert seen == {"fits", "tight", "no", "unknown"}


def test_layers_that_are_split_otherwise_are_said_not_to_be_stored() -> None:
    pools = (3 * GIB, 0, 0)
    machine = load_machine("2x rtx-3090 + 64gb")
    held = zip(machine.pools, pools, strict=True)
    uneven = replace(machine, pools=tuple(replace(p, used_bytes=used) for p, used in held))
    (swept,) = sweep([uneven], stored())
    assert swept is not None
    assert 0 < swept.is_stored.mean() < 0.5
    agrees(swept, uneven, list(range(0, len(swept.verdict), 307)))


def test_a_machine_of_no_stored_kind_is_none_among_others() -> None:
    machines = [load_machine(name) for name in ("16gb", "4x rtx-3090 + 64gb", "16gb")]
    first, second, third = sweep(machines, stored()[:3])
    assert second is None
    assert first is not None
    assert third is not None
    assert first.table is third.table
    assert (first.total_bytes == third.total_bytes).all()
