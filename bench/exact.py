"""llama.cpp's own plan in place of a predicted compute buffer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whatfits.bench.plans import plan
from whatfits.bench.requests import run_settings
from whatfits.bench.verify import REFERENCE, columns_of
from whatfits.sizing.estimate import Basis, Memory
from whatfits.sizing.graph.models import has_graph
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.overhead import overheads_of
from whatfits.sizing.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from whatfits.bench.reservation import Buffers
    from whatfits.sizing.estimate import DeviceMemory
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.overhead import Overhead
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import Workload

__all__ = ["Exact", "exact_trial", "is_compute", "planned_basis"]

_KEY: Final = "memory.compute_bytes"


class Exact(NamedTuple):
    """A trial with llama.cpp's compute buffers, and what its plan says otherwise of the rest."""

    trial: Trial
    differences: tuple[str, ...]


def exact_trial(
    spec: ModelSpec,
    path: Path,
    trial: Trial,
    *,
    workload: Workload,
    machine: Machine,
    accelerators: Mapping[str, str],
) -> Exact:
    """Return a trial whose compute buffers are those of llama.cpp's dry run, judged again.

    `accelerators` gives llama.cpp's name of each accelerator of the trial.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        ProbeError: llama.cpp refuses the model or the settings.
    """
    planned = plan(path, run_settings(workload, trial.settings, trial.placement, mmap=False))
    # on several devices a real load can take back what its plan took: that width stays
    loads_otherwise = bool(trial.placement.accelerators) and has_graph(spec)
    overheads = overheads_of(
        spec,
        trial.settings,
        trial.placement,
        machine,
        is_server=workload.program == "server",
    )
    rows, differences = [], []
    for row, overhead in zip(trial.memory.devices, overheads, strict=True):
        told = columns_of(planned.buffers, accelerators.get(row.device), accelerators)
        found = _differences(row, told)
        differences += found
        rows.append(
            _exact_row(
                row,
                told.compute,
                overhead,
                keeps_width=loads_otherwise or bool(found),
            )
        )
    memory = Memory.of(
        rows,
        mapped_bytes=trial.memory.mapped_bytes,
        growth_limit_bytes=trial.memory.growth_limit_bytes,
    )
    judgement = judge(memory, trial.placement, machine)
    return Exact(replace(trial, memory=memory, judgement=judgement), tuple(differences))


def is_compute(basis: Basis) -> bool:
    """Return whether a basis explains the compute buffers."""
    return basis.key == _KEY


def planned_basis(basis: Basis) -> Basis:
    """Return the basis of compute buffers that llama.cpp has planned itself."""
    return replace(
        basis,
        formula="the compute buffers of llama.cpp's own dry run of this model and these settings",
        source=REFERENCE,
        error="exact for this version and this machine's back ends; with accelerators, a real "
        "load may take back part of what was planned",
    )


def _differences(row: DeviceMemory, told: Buffers) -> list[str]:
    return [
        f"{row.device}: llama.cpp plans {truth:,} bytes of {term} where {ours:,} are predicted; "
        "please report this"
        for term, ours, truth in (
            ("weights", row.weights_bytes, told.model),
            ("cache", row.kv_cache_bytes, told.context),
        )
        if ours != truth
    ]


def _exact_row(
    row: DeviceMemory, compute: int, overhead: Overhead, *, keeps_width: bool
) -> DeviceMemory:
    certain = row.weights_bytes + row.kv_cache_bytes + row.output_bytes
    below = above = 0
    if keeps_width:
        below = row.compute_bytes + certain + overhead.low_bytes - row.low_bytes
        above = row.high_bytes - certain - overhead.high_bytes - row.compute_bytes
    known = certain + compute
    return replace(
        row,
        compute_bytes=compute,
        low_bytes=max(0, known - below) + overhead.low_bytes,
        high_bytes=known + above + overhead.high_bytes,
    )
