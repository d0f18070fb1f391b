"""Plans of small models on one card, and the choices behind them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.api.answering import answer
from whatfits.sizing.catalog.quality import quality_cost
from whatfits.sizing.planning import best_plan, choose_plan
from whatfits.sizing.runtimes import RUNTIMES
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import BestPlan, Choice

__all__ = ["CARD", "LARGE", "LONG", "SMALL", "TAKES_A_FILE", "chosen", "planned", "small_card"]

CARD = load_machine("rtx 3060 12gb + 16gb")
LARGE = load_machine("h100-pcie-80gb + 256gb")
SMALL = "smollm2-135m"
LONG = "llama-3.2-1b"  # trained for 131,072 tokens
TAKES_A_FILE = [entry.id for entry in RUNTIMES if entry.loader is None]


def chosen(
    model: str | ModelSpec,
    machine: Machine = CARD,
    *,
    workload: Workload | None = None,
    request: PlacementRequest | None = None,
    fixed: bool = True,
) -> Choice:
    spec = load_model(model) if isinstance(model, str) else model
    return choose_plan(
        answer,
        spec,
        machine=machine,
        workload=workload or Workload(),
        request=request or PlacementRequest(),
        fixed_file_type=fixed,
    )


def planned(
    model: str | ModelSpec,
    machine: Machine = CARD,
    *,
    name: str | None = None,
    workload: Workload | None = None,
    request: PlacementRequest | None = None,
) -> BestPlan:
    """Return a plan; `name` is what other runtimes load."""
    choice = chosen(model, machine, workload=workload, request=request)
    if name is None:
        return best_plan(choice, quality=quality_cost)
    return best_plan(
        choice, quality=quality_cost, loaded_for=lambda runtime: load_model(name, runtime=runtime)
    )


def small_card(mib: int, *, bare: Machine = CARD) -> Machine:
    """Return the machine with a card of so many MiB, all of them free."""
    pool = replace(bare.pools[0], total_bytes=mib << 20, reserve_bytes=0, total_low_bytes=None)
    return replace(bare, pools=(pool, *bare.pools[1:]))
