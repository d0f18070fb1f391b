"""The trial of a catalog model from what is stored of it, and the file type by the rule.

Only where nothing has to be searched for: everything on the accelerators as llama.cpp's own split
shares it out, or on the CPU. As soon as something would have to leave an accelerator, the engine is
to be asked.
"""

from __future__ import annotations

from whatfits.sizing.catalog.shares import kind_of_machine, splits_evenly, stored_decode_terms
from whatfits.sizing.estimate import Memory
from whatfits.sizing.overhead import overhead_of
from whatfits.sizing.placement import place_layers
from whatfits.sizing.quants.default_type import DEFAULT_FILE_TYPE, RANKED_TYPES
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.runtimes.llama_cpp import device_row
from whatfits.sizing.search.spilling import can_spill
from whatfits.sizing.speed import decode_rate, device_costs
from whatfits.sizing.speed.rates import peak_rates
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace
from whatfits.sizing.verdict import RUNS, VERDICT_ORDER, judge
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Literal, TypeAlias

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.catalog.shares import StoredModel
    from whatfits.sizing.estimate import RateRange, Verdict
    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.speed.costs import DeviceCosts
    from whatfits.sizing.speed.rates import Rates

    StoredOf: TypeAlias = Callable[[str], StoredModel | None]

__all__ = ["NOT_STORED", "SPILLS", "Outline", "StoredTrials"]

NOT_STORED: Final = "not stored"
SPILLS: Final = "spills"


@dataclass(frozen=True, slots=True)
class Outline:
    """A model under a file type: its bill and the verdict.

    Attributes:
        model: what is stored of it.
        file_type: chosen by the rule.
        context_tokens: context as asked for, or its default.
        memory: the bill; of what is mapped and of what may grow nothing is stored.
        verdict: the verdict on it.
        can_spill: whether something could leave the accelerator.
    """

    model: StoredModel
    file_type: str
    context_tokens: int
    memory: Memory
    verdict: Verdict
    can_spill: bool

    @property
    def runs(self) -> bool:
        """Whether the upper end of every pool is free."""
        return self.verdict in RUNS


class StoredTrials:
    """Chooses file types by what is stored, for one machine and workload."""

    def __init__(
        self, machine: Machine, workload: Workload, file_type: str | None, stored: StoredOf | None
    ) -> None:
        """Find out whether anything is stored for this machine and workload.

        Raises:
            UnknownFileTypeError: no such file type.
        """
        plain = replace(workload, context_tokens=None, prompt_tokens=None, output_tokens=None)
        self._kind = kind_of_machine(machine) if plain == Workload() else None
        self._machine = machine
        self._context_tokens = workload.context_tokens
        self._file_type = None if file_type is None else find_file_type(file_type).name
        self._stored_of = stored
        self._is_short = workload.prompt_tokens is None
        self._costs: tuple[tuple[Device, ...], list[Rates], list[DeviceCosts]] | None = None
        self._known: dict[str, Outline | Literal["not stored", "spills"]] = {}
        self._placements: dict[int, Placement | None] = {}

    def chosen(
        self, entry: ModelEntry, *, entirely: bool
    ) -> Outline | Literal["not stored", "spills"] | None:
        """Return a model under the file type of the rule; in words, why the engine must be asked.

        With `entirely`, None when it would have to spill.
        """
        found = self._known.get(entry.id)
        if found is None:
            found = self._known[entry.id] = self._chosen(entry.id)
        runs = found != SPILLS and (isinstance(found, str) or found.runs)
        return None if entirely and not runs else found

    def _chosen(self, model_id: str) -> Outline | Literal["not stored", "spills"]:
        model = self._stored_of(model_id) if self._kind and self._stored_of else None
        if model is None:
            return NOT_STORED
        least = self._first(model, self._file_type or model.default_type)
        if least is None:
            return NOT_STORED
        if not least.runs:
            if not least.can_spill:
                return least
            return NOT_STORED if _another_split_may_hold(least, self._machine) else SPILLS
        if self._file_type is None and model.default_type == DEFAULT_FILE_TYPE:
            for name in RANKED_TYPES[:-1]:
                better = self._first(model, name)
                if better is None:
                    return NOT_STORED
                if VERDICT_ORDER[better.verdict] <= VERDICT_ORDER[least.verdict]:
                    return better
                if _another_split_may_hold(better, self._machine):
                    return NOT_STORED
        return least

    def decode_rate(
        self, model_id: str, file_type: str
    ) -> RateRange | Literal["not stored"] | None:
        """Return the decode speed of a model that was chosen here."""
        if not self._is_short:
            return NOT_STORED
        if self._costs is None:
            placement = place_layers(1, PlacementRequest(), self._machine)
            devices = (*placement.accelerators, placement.host)
            rates = peak_rates(devices, self._machine)
            costs = device_costs(devices, self._machine, None, rates)
            self._costs = devices, rates, costs
        devices, rates, costs = self._costs
        terms = stored_decode_terms(model_id, file_type, len(devices) - 1)
        if terms is None:
            return NOT_STORED
        return decode_rate(terms, devices, rates, costs) if terms else None

    def _first(self, model: StoredModel, file_type: str) -> Outline | None:
        """Return a model with everything where it runs fastest; None when that is not stored."""
        machine, tokens = self._machine, self._context_tokens
        if tokens is None:
            tokens = model.default_context_tokens
        shares = model.shares(self._kind or "", file_type, tokens)
        if shares is None:
            return None
        placement = self._placement(model.n_layers)
        if placement is None:
            return None
        devices = (*placement.accelerators, placement.host)
        rows = [
            device_row(machine, device, share, overhead_of(machine, device, is_server=True))
            for device, share in zip(devices, shares, strict=True)
        ]
        mapped = sum(row.weights_bytes for row in rows) if placement.mmap else 0
        memory = Memory.of(rows, mapped_bytes=mapped, growth_limit_bytes=0)
        verdict = judge(memory, placement, machine).verdict
        return Outline(model, file_type, tokens, memory, verdict, can_spill(placement))

    def _placement(self, n_layers: int) -> Placement | None:
        """Return the placement of so many layers; None where it is not the stored one."""
        if n_layers not in self._placements:
            placement = place_layers(n_layers, PlacementRequest(), self._machine)
            self._placements[n_layers] = placement if splits_evenly(placement) else None
        return self._placements[n_layers]


def _another_split_may_hold(outline: Outline, machine: Machine) -> bool:
    """Return whether several accelerators have room for all, were it shared out otherwise.

    Weights, caches and drivers take the same together whatever lies on which of them.
    """
    rows = outline.memory.devices[:-1]
    if len(rows) < 2:  # noqa: PLR2004 - nothing to share out
        return False
    taken = sum(row.weights_bytes + row.kv_cache_bytes + row.overhead_bytes for row in rows)
    return taken <= sum(machine.pool(row.pool).free_low_bytes or 0 for row in rows)
