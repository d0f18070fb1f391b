"""Machines of a chosen size to the byte, and searches for small models on them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.api import load_model
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.search import trials as search_module
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    import pytest

    from whatfits.sizing.estimate import Memory
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.verdict import Judgement

__all__ = [
    "DENSE",
    "EXPERTS",
    "PLENTY",
    "box",
    "judged",
    "model",
    "needs",
    "search",
    "tried",
    "unified",
]

DENSE: Final = "smollm2-135m"
EXPERTS: Final = "granite-3.0-1b-a400m"
PLENTY: Final = 64 * GIB
CPU: Final = Device("cpu", "cpu", "a CPU", "ram", 5 * 10**10, features=("avx2",))


@cache
def model(name: str) -> ModelSpec:
    """Return a catalog model, loaded once."""
    return load_model(name)


@cache
def _replays(name: str) -> Replays:
    """Return what all searches for a model share, to be quick: its graphs."""
    del name
    return Replays()


def box(*vram: int, ram: int | None = PLENTY, kind: str = "cuda", **more: Any) -> Machine:  # noqa: ANN401
    """Return a PC with cards of so many bytes; `more` are fields of every pool."""
    pools = [Pool(f"vram{i}", "vram", size, **more) for i, size in enumerate(vram)]
    cards = [Device(f"{kind}{i}", kind, "a card", p.id, 5 * 10**11) for i, p in enumerate(pools)]
    return Machine(pools=(*pools, Pool("ram", "ram", ram, **more)), devices=(*cards, CPU))


def unified(size: int) -> Machine:
    """Return a machine whose CPU and GPU share so many bytes."""
    return Machine(
        pools=(Pool("unified", "unified", size),),
        devices=(
            Device("metal", "metal", "an Apple GPU", "unified", 10**11),
            Device("cpu", "cpu", "an Apple CPU", "unified"),
        ),
        os="macos",
    )


def search(
    name: str | ModelSpec,
    machine: Machine,
    placement: PlacementRequest | None = None,
    **asked: Any,  # noqa: ANN401 - fields of a Workload
) -> Trials:
    """Return the engine's search for a model on a machine."""
    spec = model(name) if isinstance(name, str) else name
    wanted = placement or PlacementRequest()
    return Trials(spec, machine, Workload(**asked), wanted, replays=_replays(spec.name))


def tried(
    name: str | ModelSpec,
    machine: Machine,
    context: int = 4096,
    **placement: Any,  # noqa: ANN401 - fields of a PlacementRequest
) -> Trial:
    """Return one placement as it was asked for, without a search."""
    return search(name, machine, PlacementRequest(**placement), context_tokens=context).first()


def needs(trial: Trial) -> dict[str, int]:
    """Return the upper end of what a trial needs of each pool, in bytes."""
    found: dict[str, int] = {}
    for row in trial.memory.devices:
        found[row.pool] = found.get(row.pool, 0) + row.high_bytes
    return found


def judged(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return a list that every placement is added to when its bill is made and judged."""
    made: list[object] = []
    judge = search_module.judge

    def noted(
        memory: Memory,
        placement: Placement,
        machine: Machine,
        **more: Any,  # noqa: ANN401 - judge's
    ) -> Judgement:
        made.append(placement)
        return judge(memory, placement, machine, **more)

    monkeypatch.setattr(search_module, "judge", noted)
    return made
