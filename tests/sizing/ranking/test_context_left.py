"""The longest context of a row is what `check` says of the same model, file type and machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing import check, find_models, load_machine, load_model
from whatfits.sizing.ranking.context_left import with_longest_context
from whatfits.sizing.workload import Workload

WORKLOAD = Workload(context_tokens=1024)


@pytest.mark.parametrize("name", ["m2 8gb", "8gb"])
def test_it_is_what_check_says(name: str) -> None:
    machine = load_machine(name)
    rows = find_models(machine, workload=WORKLOAD, kind="embedding")[:6]
    assert rows
    for row in rows:
        spec = load_model(row.model, file_type=row.file_type)
        found = with_longest_context(row, spec, machine, WORKLOAD)
        expected = check(
            row.model, file_type=row.file_type, machine=machine, workload={"context_tokens": 1024}
        )
        assert found.largest_context_tokens == expected.largest_context_tokens
        assert replace(found, largest_context_tokens=None) == row
