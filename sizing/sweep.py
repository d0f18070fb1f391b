"""Whole catalog x file types x contexts x machines at once, in arrays.

The question is the one of `Trials.first`: does it run with everything where it runs fastest? Bytes
come from `whatfits.sizing.catalog.shares`, overheads and pools from the machines, and the verdict
is the rule of `whatfits.sizing.verdict`; every figure is that of the scalar path to the byte.
"""

from __future__ import annotations

from whatfits.sizing.catalog.shares import kind_of_machine, splits_evenly
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.overhead import overhead_of
from whatfits.sizing.placement import place_layers
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.verdict import VERDICT_ORDER, bounds_of, spilled_of
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

    import numpy as np
    from numpy.typing import NDArray

    from whatfits.sizing.catalog.shares import StoredModel
    from whatfits.sizing.estimate import Verdict
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.share import Share

__all__ = ["VERDICTS", "Configuration", "SweepTable", "Swept", "sweep"]

VERDICTS: Final[tuple[Verdict, ...]] = tuple(sorted(VERDICT_ORDER, key=VERDICT_ORDER.__getitem__))


class Configuration(NamedTuple):
    """A row of a sweep; `n_layers` counts those that predict further tokens."""

    model: str
    file_type: str
    context_tokens: int
    n_layers: int


class SweepTable:
    """What every configuration takes of each device on one kind of machine.

    Attributes:
        configurations: the rows.
        n_layers: of each row.
        mid_bytes: rows x devices, host last: what the program has there.
        low_bytes: lower ends.
        high_bytes: upper ends.
        weights_bytes: the weights among them.
    """

    def __init__(self, kind: str, models: Iterable[tuple[str, StoredModel]]) -> None:
        """Lay out what is stored of `models` for a kind of machine."""
        import numpy as np  # noqa: PLC0415 - heavy, and only sweeps need it

        self.kind = kind
        rows = list(_rows(kind, models))
        self.configurations = [row for row, _ in rows]
        self.n_layers = np.array([row.n_layers for row in self.configurations])
        self.mid_bytes, self.low_bytes, self.high_bytes, self.weights_bytes = (
            np.array([[getattr(share, name) for share in shares] for _, shares in rows], np.int64)
            for name in ("total_bytes", "low_bytes", "high_bytes", "weights_bytes")
        )


class Swept(NamedTuple):
    """One machine under every configuration of its table; bytes are sums over its devices.

    Attributes:
        table: what it was worked out from.
        total_bytes: middle of the need.
        low_bytes: lower end.
        high_bytes: upper end.
        verdict: index into `VERDICTS`.
        is_stored: false where the machine splits so many layers otherwise than they are stored:
            the other figures do not hold there, and the engine is to be asked.
    """

    table: SweepTable
    total_bytes: NDArray[np.int64]
    low_bytes: NDArray[np.int64]
    high_bytes: NDArray[np.int64]
    verdict: NDArray[np.int8]
    is_stored: NDArray[np.bool_]


def sweep(
    machines: Sequence[Machine], models: Sequence[tuple[str, StoredModel]]
) -> list[Swept | None]:
    """Return every configuration of `models` on each machine, in the order of the machines.

    None for a machine of a kind that is not stored: several unequal cards, a back end without
    figures.
    """
    tables: dict[str, SweepTable] = {}
    found: list[Swept | None] = []
    for machine in machines:
        kind = kind_of_machine(machine)
        if kind is None:
            found.append(None)
            continue
        if kind not in tables:
            tables[kind] = SweepTable(kind, models)
        found.append(_on_machine(tables[kind], machine))
    return found


def _rows(
    kind: str, models: Iterable[tuple[str, StoredModel]]
) -> Iterator[tuple[Configuration, list[Share]]]:
    for name, model in models:
        for file_type in model.file_types:
            for tokens in model.contexts:
                shares = model.shares(kind, file_type, tokens)
                if shares is not None:
                    yield Configuration(name, file_type, tokens, model.n_layers), shares


def _on_machine(table: SweepTable, machine: Machine) -> Swept:
    """Return one machine's column: overheads on, pools summed, the verdict's rule."""
    import numpy as np  # noqa: PLC0415 - as above

    placement = place_layers(1, PlacementRequest(), machine)
    devices = (*placement.accelerators, placement.host)
    beside = [overhead_of(machine, device, is_server=True) for device in devices]
    total = table.mid_bytes.sum(axis=1) + sum(extra.mid_bytes for extra in beside)
    low = table.low_bytes.sum(axis=1) + sum(extra.low_bytes for extra in beside)
    high = table.high_bytes.sum(axis=1) + sum(extra.high_bytes for extra in beside)
    spills = spilled_of(placement, machine) is not None
    fits, closed = (np.ones(len(total), bool) for _ in range(2))
    unknown = False
    for pool in {device.pool: machine.pool(device.pool) for device in devices}.values():
        if pool.total_bytes is None:  # the host's: a card whose memory is unknown takes no part
            unknown = not placement.accelerators
            continue
        inside = [index for index, device in enumerate(devices) if device.pool == pool.id]
        for bound, part in bounds_of(pool, [devices[n].kind == "cpu" for n in inside]):
            at = [inside[n] for n in part]
            mid = table.mid_bytes[:, at].sum(axis=1) + sum(beside[n].mid_bytes for n in at)
            most = table.high_bytes[:, at].sum(axis=1) + sum(beside[n].high_bytes for n in at)
            if bound.limit_scope == "accelerators" and table.kind.startswith("metal"):
                most = most + table.weights_bytes[:, -1]  # mapped with the rest: see `pool_needs`
            fits &= _within(most, bound.free_low_bytes)
            closed &= _within(mid, bound.free_when_idle_bytes)  # at the most: what is free now too
    verdict = np.where(closed, VERDICT_ORDER["tight"], VERDICT_ORDER["no"])
    verdict = np.where(fits, VERDICT_ORDER["slow" if spills else "fits"], verdict)
    if unknown:
        verdict[:] = VERDICT_ORDER["unknown"]
    stored = np.ones(len(total), bool)
    if len(placement.accelerators) > 1:
        uneven = [n for n in set(table.n_layers.tolist()) if not _is_even(n, machine)]
        stored = ~np.isin(table.n_layers, uneven)
    return Swept(table, total, low, high, verdict.astype(np.int8), stored)


def _is_even(n_layers: int, machine: Machine) -> bool:
    return splits_evenly(place_layers(n_layers, PlacementRequest(), machine))


def _within(needed_bytes: NDArray[np.int64], free_bytes: int | None) -> NDArray[np.bool_]:
    """Return which needs there is room for: none where the room is not known."""
    return needed_bytes <= (float("-inf") if free_bytes is None else free_bytes)
