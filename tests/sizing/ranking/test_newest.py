"""The models named first are chosen from few rows; they are those that all rows give."""

from __future__ import annotations

from itertools import takewhile

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.catalog.lookup import ModelEntry, model_entries
from whatfits.sizing.ranking.newest import NewestOfLines, is_quick
from whatfits.sizing.ranking.ranker import Ranker, rank
from whatfits.sizing.ranking.rows import RankedModel, months_of
from whatfits.sizing.sources.catalog_model import load_entry

MACHINES = ("rtx-4090 + 64gb", "rtx 3060 12gb + 16gb", "mac-m4-max-64gb", "16gb")
YEAR, TWO_YEARS = 12, 24


def chosen_from_all(rows: list[RankedModel], newest_of_all: int) -> list[RankedModel]:
    """Apply the rule as its words have it, to every row there is."""
    lines: dict[str, list[RankedModel]] = {}
    for row in rows:
        if row.verdict in ("fits", "slow") and row.released:
            lines.setdefault("".join(takewhile(str.isalpha, row.family)), []).append(row)
    chosen = []
    for line in lines.values():
        verdict = min(row.verdict for row in line)  # "fits" comes before "slow"
        same = [row for row in line if row.verdict == verdict]
        newest = max(months_of(row.released) for row in same)
        near = [row for row in same if newest - months_of(row.released) <= YEAR]
        if newest_of_all - newest <= TWO_YEARS:
            chosen.append(max(near, key=lambda row: (row.parameters or 0, row.model)))
    return sorted(chosen, key=lambda row: (row.verdict, -(row.parameters or 0), row.model))


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_lazily_chosen_rows_are_those_of_the_whole_ranking(machine: str) -> None:
    # whole lines, about a third of them, so that all of their rows can be worked out
    families = sorted({entry.family for entry in model_entries()})
    kept = {f for f in families if f[0] in "gpq"}
    entries = [entry for entry in model_entries() if entry.family in kept]
    here = load_machine(machine)
    rows = rank(entries, here, load=load_entry)
    newest = NewestOfLines(entries, Ranker(here, load_entry))
    latest = max(months_of(entry.released) for entry in entries if entry.released)
    assert newest.rows() == chosen_from_all(rows, latest)
    quick = [row for row in rows if is_quick(row)]
    assert newest.rows(is_quick) == chosen_from_all(quick, latest)
    assert newest.rows()


def test_most_models_are_never_loaded() -> None:
    loaded: set[str] = set()

    def load(entry: ModelEntry, file_type: str | None) -> object:
        loaded.add(entry.id)
        return load_entry(entry, file_type)

    entries = list(model_entries())
    ranker = Ranker(load_machine("rtx-4090 + 64gb"), load)  # type: ignore[arg-type]
    assert NewestOfLines(entries, ranker).rows()
    assert len(loaded) < len(entries) / 2


@pytest.mark.parametrize("machine", MACHINES)
def test_what_guards_or_serves_one_task_is_not_named_for_its_maker_s_line(machine: str) -> None:
    named = {
        row.model
        for row in NewestOfLines(model_entries(), Ranker(load_machine(machine), load_entry)).rows()
    }
    assert named
    for word in ("guard", "medgemma", "functiongemma"):
        assert not [model for model in named if word in model]
