"""The fitted costs are today's, nothing that judges was fitted on, and the aims met still are."""

from __future__ import annotations

import json
from dataclasses import replace
from math import log
from typing import TYPE_CHECKING, Any

import pytest
import speed_rows
import speed_tables
from speed_judged import ALL, judged, load
from speed_section import BARS, COVERED, of_all

if TYPE_CHECKING:
    from collections.abc import Iterator

SAME = 0.002  # libraries of linear algebra differ in the last digits


def _numbers(value: Any, place: str = "") -> Iterator[tuple[str, float]]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{place}/{key}")
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _numbers(inner, f"{place}/{number}")
    elif isinstance(value, int | float):
        yield place, value


@pytest.mark.slow
def test_the_costs_in_the_package_are_those_of_todays_fit() -> None:
    written = dict(_numbers(json.loads(speed_tables.PATH.read_text("utf-8"))))
    again = dict(_numbers(speed_tables.fitted_tables()))
    assert again.keys() == written.keys(), "python tests/accuracy/speed_tables.py"
    off = {k: (written[k], again[k]) for k in again if again[k] != pytest.approx(written[k], SAME)}
    assert not off, "sizing/catalog/index/efficiencies.json is stale: speed_tables.py"


@pytest.mark.slow
def test_the_errors_in_the_docs_are_todays() -> None:
    written = {(one.phase, one.trust, one.family): one for one in load()}
    for one in judged():
        before = written.pop((one.phase, one.trust, one.family))
        assert (one.rows, one.devices) == (before.rows, before.devices)
        for name in ("median", "p90", "unseen_median", "unseen_p90"):
            ours, theirs = getattr(one, name), getattr(before, name)
            assert ours == pytest.approx(theirs, rel=0.02, abs=0.002), (one, name)
    assert not written


def test_a_model_on_a_device_lies_in_one_half() -> None:
    halves: dict[tuple[str, str], set[bool]] = {}
    for row in speed_rows.rows():
        halves.setdefault((row.device, row.model), set()).add(row.judges)
    assert all(len(half) == 1 for half in halves.values())
    judging = [row for row in speed_rows.rows() if row.judges]
    assert 0.3 < len(judging) / len(speed_rows.rows()) < 0.7


def test_nothing_that_judges_is_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = json.loads(speed_tables.PATH.read_text("utf-8"))["intervals"]
    before = speed_tables.fitted_tables(intervals=nothing)
    wrong = tuple(
        replace(row, tokens_per_s=row.tokens_per_s * 7) if row.judges else row
        for row in speed_rows.rows()
    )
    monkeypatch.setattr(speed_tables, "rows", lambda: wrong)
    assert speed_tables.fitted_tables(intervals=nothing) == before
    wrong = tuple(replace(row, tokens_per_s=row.tokens_per_s * 7) for row in wrong)
    assert speed_tables.fitted_tables(intervals=nothing) != before


def test_a_family_that_is_left_out_leaves_nothing_behind() -> None:
    tables = speed_tables.fitted_tables(without="rocm:rdna4", intervals={})
    assert "rocm:rdna4" not in tables["families"]
    assert not any(name.startswith("rocm:radeon ai pro r9700") for name in tables["devices"])


@pytest.mark.parametrize(
    ("phase", "is_seen", "p90_too"),
    [("decode", True, True), ("decode", False, True), ("prefill", True, True)],
)
def test_the_aims_that_were_met_still_are(phase: str, *, is_seen: bool, p90_too: bool) -> None:
    one = of_all(load(), phase)
    median, p90 = (one.median, one.p90) if is_seen else (one.unseen_median, one.unseen_p90)
    aim = BARS[phase, is_seen]
    assert median <= aim[0]
    assert (p90 <= aim[1]) is p90_too  # a miss is told as one: correct docs and this when it is met


@pytest.mark.parametrize("phase", speed_tables.PHASES)
def test_intervals_hold_about_four_figures_in_five(phase: str) -> None:
    one = of_all(load(), phase)
    assert one.told > 400
    for covered in (one.covered, one.unseen_covered):
        assert covered is not None
        assert COVERED[0] <= covered <= COVERED[1]


def test_prompts_on_processors_are_as_near_as_others_have_to_be() -> None:
    tables = json.loads(speed_tables.PATH.read_text("utf-8"))
    part = [r for r in speed_rows.rows() if r.judges and (r.kind, r.phase) == ("cpu", "prefill")]
    good = [row for row in part if row.trust == "high"]
    assert len({row.device for row in good}) >= 12
    found = [(speed_tables.predicted(row, tables), row.tokens_per_s) for row in good]
    errors = sorted(abs(middle / truth - 1) for (_, middle, _), truth in found)
    median, p90 = BARS["prefill", True]
    assert errors[len(errors) // 2] <= median
    assert errors[int(0.9 * len(errors))] <= p90
    held = sum(low <= truth <= high for (low, _, high), truth in found) / len(found)
    assert COVERED[0] <= held <= COVERED[1]


def test_what_processors_cost_leaves_prompts_on_gpus_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = speed_tables.fitted_tables(intervals={})["families"]
    wrong = tuple(
        replace(row, tokens_per_s=row.tokens_per_s * 7)
        if (row.kind, row.phase) == ("cpu", "prefill")
        else row
        for row in speed_rows.rows()
    )
    monkeypatch.setattr(speed_tables, "rows", lambda: wrong)
    after = speed_tables.fitted_tables(intervals={})["families"]
    assert {k: v for k, v in after.items() if not k.startswith("cpu")} == {
        k: v for k, v in before.items() if not k.startswith("cpu")
    }
    assert after["cpu"]["prompt.k"] != before["cpu"]["prompt.k"]


def test_the_peers_rule_is_further_off() -> None:
    for trust in ("high", "low"):
        one = next(o for o in load() if (o.phase, o.trust, o.family) == ("decode", trust, ALL))
        assert one.peer_median is not None
        assert one.peer_p90 is not None
        assert one.median < one.peer_median / 3
        assert one.p90 < one.peer_p90


def test_a_wrong_cost_is_noticed_on_the_judging_rows() -> None:
    tables = json.loads(speed_tables.PATH.read_text("utf-8"))
    part = [r for r in speed_rows.rows() if r.judges and r.trust == "high" and r.phase == "decode"]

    def median() -> float:
        misses = [abs(log(speed_tables.predicted(r, tables)[1] / r.tokens_per_s)) for r in part]
        return sorted(misses)[len(misses) // 2]

    before = median()
    for family in tables["families"].values():
        for name in family:
            if name.startswith("weights."):
                family[name] *= 1.5
    assert median() > before + 0.12
