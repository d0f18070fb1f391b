"""Configurations a second: the sweep in arrays against the scalar path, identical results.

    python tests/benchmarks/bench_all.py --only P11,P12

Every catalog model that is stored, under its file types and contexts, on every catalog machine of
one kind. The scalar path is warm: a model's tensor table and graphs are known, and it sizes the
same configurations on one machine; both by processor time, with a fixed loop as the control. The
peer's rate is that of a whole process that ranks every model it knows.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from bench_cold import LLMFIT, models_in
from harness import (
    CONTROL,
    VOID_SPREAD,
    Row,
    control,
    cpu_seconds,
    environment,
    quartiles,
    run_seconds,
    take_turns,
)

from whatfits.sizing import load_machine
from whatfits.sizing.catalog.lookup import device_entries, find_model, model_entries
from whatfits.sizing.catalog.shares import kind_of_machine, stored_model
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.sources.catalog_model import spec_of_entry
from whatfits.sizing.sweep import VERDICTS, Swept, sweep
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers import Peers

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


def rows(folder: Path, peers: Peers, rounds: int) -> list[Row]:
    """Return P11 and P12; nothing where the two paths disagree, which is an error."""
    places = list(machines())
    stored = [(entry.id, model) for entry in model_entries() if (model := stored_model(entry.id))]
    trials = scalar_trials(places[0])
    (first,) = sweep(places[:1], stored)
    assert first is not None
    compared = agrees(first, trials)

    def scalar() -> float:
        took = cpu_seconds(lambda: [each.first() for each in trials])
        for each in trials:
            each._tried.clear()
        return took

    recommend = [str(peers.llmfit), "--json", "recommend"]
    variables = environment(folder / "bytecode")
    calls = {
        CONTROL: lambda: cpu_seconds(control),
        "arrays": lambda: cpu_seconds(lambda: sweep(places, stored)),
        "scalar": scalar,
    }
    if peers.version("llmfit"):
        calls["peer"] = lambda: run_seconds(recommend, variables)
    found = {label: quartiles(times) for label, times in take_turns(calls, rounds).items()}
    is_void = found[CONTROL].spread > VOID_SPREAD
    count = sum(len(column.verdict) for column in sweep(places, stored) if column is not None)
    rate, scalar_rate = count / found["arrays"].middle, len(trials) / found["scalar"].middle
    shown = f"{rate / 1e6:.1f} M/s ({count:,} in {found['arrays'].shown()})"
    table = [
        Row(
            "P11",
            f"configurations/s, arrays beside the scalar path ({compared} compared, all equal)",
            shown,
            f"scalar: {scalar_rate:,.0f}/s",
            rate / scalar_rate,
            least=100,
            is_void=is_void,
        ),
        Row("P11", "M configurations/s, one core", shown, "", rate / 1e6, least=3, unit="M/s"),
    ]
    if "peer" not in found:
        return [*table, Row("P12", "beside llmfit recommend", shown, "absent", None, least=100)]
    models = models_in([str(peers.llmfit), *LLMFIT["llmfit fit"]], variables)
    peer_rate = models / found["peer"].middle
    peer = f"llmfit recommend: {peer_rate:,.0f} models/s ({models:,} in {found['peer'].shown()})"
    return [
        *table,
        Row(
            "P12",
            "configurations/s",
            shown,
            peer,
            rate / peer_rate,
            least=100,
            is_void=is_void,
        ),
    ]
