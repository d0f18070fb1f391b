"""Configurations a second: the sweep in arrays against the scalar path, identical results.

    python tests/benchmarks/bench_sweep.py [--rounds N]

Every catalog model that is stored, under its file types and contexts, on every catalog machine of
one kind. The scalar path is warm: a model's tensor table and graphs are known, and it sizes the
same configurations on one machine. Both run in turn, with a fixed loop as the control between them;
a run whose control spreads by more than a quarter is void. Making the tables (once a kind of
machine) is timed apart.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from bench_gguf import VOID_SPREAD, control, say

from whatfits.sizing import load_machine
from whatfits.sizing.catalog.lookup import device_entries, find_model, model_entries
from whatfits.sizing.catalog.shares import kind_of_machine, stored_model
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.search import Trials
from whatfits.sizing.sources.catalog_model import spec_of_entry
from whatfits.sizing.sweep import VERDICTS, SweepTable, Swept, sweep
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whatfits.sizing.machine import Machine

KIND = "cuda"
SCALAR_MODELS = ("llama-3.1-8b", "qwen3-30b-a3b", "gemma-3-12b", "deepseek-v3.2", "phi-4")


def machines() -> Iterator[Machine]:
    """Every catalog device of the kind, beside 64 GiB of RAM."""
    for entry in device_entries():
        try:
            machine = load_machine(f"{entry.id} + 64gb")
        except BadInputError:
            continue
        if kind_of_machine(machine) == KIND:
            yield machine


def scalar_trials(machine: Machine) -> list[Trials]:
    """The scalar path's own trials of a few models, all that can be kept already kept."""
    found = []
    for name in SCALAR_MODELS:
        entry = find_model(name)
        model = stored_model(entry.id)
        assert model is not None
        replays = Replays()
        for file_type in model.file_types:
            spec = spec_of_entry(entry, file_type=file_type)
            for tokens in model.contexts:
                trials = Trials(
                    spec,
                    machine,
                    Workload(context_tokens=tokens),
                    PlacementRequest(),
                    replays=replays,
                )
                trials.first()
                trials._tried.clear()
                found.append(trials)
    return found


def agrees(swept: Swept, trials: list[Trials]) -> int:
    """Compare every scalar answer with its row; return how many there are."""
    rows = {row[:3]: at for at, row in enumerate(swept.table.configurations)}
    for each in trials:
        trial = each.first()
        model = each._model
        at = rows[model.name, model.file_type or "", trial.settings.requested_context_tokens]
        assert swept.total_bytes[at] == trial.memory.total_bytes
        assert swept.high_bytes[at] == trial.memory.high_bytes
        assert VERDICTS[swept.verdict[at]] == trial.judgement.verdict
        each._tried.clear()
    return len(trials)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time that a call takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> int:
    """Print the table; 1 when the run is void."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    places = list(machines())
    stored = [(entry.id, model) for entry in model_entries() if (model := stored_model(entry.id))]
    began = time.perf_counter()
    table = SweepTable(KIND, stored)
    table_s = time.perf_counter() - began
    trials = scalar_trials(places[0])
    (first,) = sweep(places[:1], stored)
    assert first is not None
    compared = agrees(first, trials)
    controls, arrays, scalars = [], [], []
    for _ in range(rounds):
        controls.append(cpu_seconds(control))
        arrays.append(cpu_seconds(lambda: sweep(places, stored)))
        scalars.append(cpu_seconds(lambda: [each.first() for each in trials]))
        for each in trials:
            each._tried.clear()
    count = sum(len(column.verdict) for column in sweep(places, stored) if column is not None)
    array_rate, scalar_rate = count / min(arrays), len(trials) / min(scalars)
    spread = max(controls) / statistics.median(controls) - 1
    say(f"{len(stored)} models, {len(table.configurations):,} rows x {len(places)} machines")
    say(f"compared with the scalar path: {compared} configurations, all equal")
    say(f"tables of one kind of machine: {table_s * 1e3:.0f} ms, in the sweep's time below")
    say(f"sweep:  {array_rate / 1e6:8.1f} M configurations/s ({count:,} at once)")
    say(f"scalar: {scalar_rate:8.0f} configurations/s, its graphs known")
    say(f"ratio:  {array_rate / scalar_rate:8.0f} (bar 100; 3 M a second)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"peak resident {peak:.0f} MiB, control spread {spread:.0%}")
    if spread > VOID_SPREAD:
        say("void: the machine was busy")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
