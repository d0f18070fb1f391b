"""A ranking leaves trials out; its rows are those that all trials give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.catalog.lookup import ModelEntry, model_entries
from whatfits.sizing.catalog.shares import stored_model
from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.ranking.ranker import rank
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.sources.catalog_model import load_entry
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.search.trial import Trial

MACHINES = (
    "rtx-4090 + 64gb",
    "rtx 3060 12gb + 16gb",
    "2x rtx-3090 + 64gb",
    "mac-m4-max-64gb",
    "16gb",
)
LADDER = ("Q8_0", "Q6_K", "Q5_K_M")
ORDER = ("fits", "slow", "tight", "no", "unknown")
EVERY = 18


def full(entry: ModelEntry, machine: str, workload: Workload) -> tuple[str, str, int, int]:
    """Return file type, verdict and bytes as the rule says it, nothing left out."""

    def best(file_type: str | None) -> tuple[str, Trial]:
        spec = load_entry(entry, file_type)
        trials = Trials(spec, load_machine(machine), workload, PlacementRequest())
        return spec.file_type or "", trials.best()

    chosen, trial = best(None)
    if chosen == "Q4_K_M" and trial.runs:
        for name in LADDER:
            _, better = best(name)
            if ORDER.index(better.judgement.verdict) <= ORDER.index(trial.judgement.verdict):
                chosen, trial = name, better
                break
    memory = trial.memory
    return chosen, trial.judgement.verdict, memory.total_bytes, memory.weights_bytes


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("start", [0, EVERY // 2])
def test_rows_are_those_of_the_full_search(machine: str, start: int) -> None:
    entries = list(model_entries())[start::EVERY]
    rows = rank(entries, load_machine(machine), load=load_entry, stored=stored_model)
    assert rows == rank(entries, load_machine(machine), load=load_entry)
    known = {entry.id: entry for entry in entries}
    assert rows
    for row in rows:
        seen = (row.file_type, row.verdict, row.total_bytes, row.weights_bytes)
        assert seen == full(known[row.model], machine, Workload()), row.model


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["rtx-4060 + 32gb", "2x rtx-3060 12gb + 16gb", "32gb"])
def test_rows_of_long_contexts_are_those_of_the_full_search(machine: str) -> None:
    entries = list(model_entries())[5 :: 2 * EVERY]
    workload = Workload(context_tokens=131_072)
    rows = rank(entries, load_machine(machine), load=load_entry, workload=workload)
    assert {row.verdict for row in rows} > {"no"}
    known = {entry.id: entry for entry in entries}
    for row in rows:
        seen = (row.file_type, row.verdict, row.total_bytes, row.weights_bytes)
        assert seen == full(known[row.model], machine, workload), row.model


def test_a_model_without_a_shape_has_no_row() -> None:
    def refuse(entry: ModelEntry, file_type: str | None) -> object:
        raise MalformedFileError(file_format="config", field="x", reason="missing")

    entry = next(iter(model_entries()))
    assert rank([entry], load_machine("64gb"), load=refuse) == []  # type: ignore[arg-type]
