"""docs/accuracy.md says what the recordings and this engine say."""

from __future__ import annotations

import generate
import page_summary
import pytest
from cases import RECORDS, measured
from cases import load as written_cases
from loads import loads
from recorded_plans import read

EVERY = {"suite": 9, "offload": 19}  # one group in so many is predicted anew: 29 of them


def test_the_document_is_what_its_cases_and_the_recordings_give() -> None:
    assert generate.DOCUMENT.read_text("utf-8") == generate.document(), (
        "docs/accuracy.md is stale: python tests/accuracy/generate.py --text"
    )


def test_the_page_says_what_the_cases_say() -> None:
    written = page_summary.PATH.read_text("utf-8")
    assert written == page_summary.text(written_cases()), (
        "webapp/accuracy.json is stale: python tests/accuracy/generate.py --text"
    )


@pytest.mark.parametrize("kind", RECORDS)
def test_its_cases_are_the_recorded_plans(kind: str) -> None:
    recorded = [(group.shape, group.box, len(group.plans)) for group in read(RECORDS[kind])]
    assert [
        (group.shape, group.box, len(group.cases)) for group in written_cases()[kind]
    ] == recorded


@pytest.mark.slow
@pytest.mark.parametrize("kind", RECORDS)
def test_cases_predicted_anew_come_out_as_written(kind: str) -> None:
    written = {(group.shape, group.box): group for group in written_cases()[kind]}
    for plans in read(RECORDS[kind])[:: EVERY[kind]]:
        again = measured(plans)
        assert again == written[again.shape, again.box], (
            "docs/accuracy.json is stale: make accuracy"
        )


def test_a_process_grows_by_what_is_predicted_within_three_percent() -> None:
    found = loads()
    assert len({load.model for load in found}) >= 12
    read_in = [load for load in found if not load.mapped]
    assert all(abs(load.error) <= 0.03 for load in read_in), read_in


def test_a_mapped_load_holds_the_file_and_what_is_not_in_it() -> None:
    mapped = [load for load in loads() if load.mapped]
    for load in mapped:
        assert load.file == pytest.approx(load.mapped, rel=0.01), load
        assert load.predicted + load.mapped == pytest.approx(load.resident, rel=0.03), load
