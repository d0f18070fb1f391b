"""What docs/accuracy.md says of servers under load is today's, and its constants are the fit's."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import pairwise
from statistics import mean

import pytest
from serving_fit import SMALL, fitted, least_ttfts, spread
from serving_judged import compared, factor, load
from serving_rows import Row, answers, rows
from serving_section import GROUPS

from whatfits.sizing.serving.vllm_host import (
    BEFORE_V1,
    LEAST_TTFT_S,
    OF_TODAY,
    VLLM_SPREAD,
    WEB_FRONT_S,
)

EVERY = 5  # one row in so many is predicted anew


def _constants() -> dict[str, object]:
    return {
        "before_v1": BEFORE_V1,
        "of_today": OF_TODAY,
        "least_ttft_s": LEAST_TTFT_S,
        "web_front_s": WEB_FRONT_S,
    }


def test_the_constants_are_those_of_the_fit_on_the_half_that_does_not_judge() -> None:
    found = fitted()
    assert {name: getattr(found, name) for name in _constants()} == _constants()


@pytest.mark.slow
def test_the_widths_are_those_that_hold_four_in_five_of_the_cards_left_out() -> None:
    assert spread() == VLLM_SPREAD


def test_nothing_that_judges_is_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tuple(
        replace(row, ttft_p50_s=7 * row.ttft_p50_s) if row.judges and row.ttft_p50_s else row
        for row in rows()
    )
    assert wrong != rows()
    monkeypatch.setattr("serving_fit.rows", lambda: wrong)
    assert fitted().least_ttft_s == LEAST_TTFT_S


@pytest.mark.parametrize("device", ["l4", "rtx-4090"])
def test_one_report_over_http_tells_the_web_front_of_the_other(device: str) -> None:
    without = fitted(device).web_front_s[1]
    assert without == pytest.approx(WEB_FRONT_S[1], rel=0.35)


def test_the_other_half_lies_in_it_nine_times_in_ten() -> None:
    low, _, high = LEAST_TTFT_S
    judging = least_ttfts([row for row in rows() if row.judges])
    assert len(judging) >= 10
    assert sum(low <= seconds <= high for seconds in judging) >= 0.9 * len(judging)


def test_every_measurement_is_in_the_record_with_its_figures() -> None:
    written = load()
    assert len(rows()) == len({(one.source, one.case) for one in written}) >= 60
    measured = sorted(one.measured for one in written)
    published = [
        figure
        for row in rows()
        for figure in (row.output_tokens_per_s, row.answer_tokens_per_s, row.ttft_p50_s)
        if figure is not None
    ]
    assert measured == sorted(published)
    assert {(one.is_of_today, one.front) for one in written} == set(GROUPS)


@pytest.mark.slow
def test_figures_predicted_anew_come_out_as_written() -> None:
    written = {(one.source, one.case, one.figure): asdict(one) for one in load()}
    for row in rows()[::EVERY]:
        for one in compared(row):
            assert asdict(one) == pytest.approx(written[one.source, one.case, one.figure]), (
                "docs/accuracy_serving.json is stale: python tests/accuracy/serving_judged.py"
            )


def test_intervals_hold_four_in_five_of_the_half_that_judges() -> None:
    judging = [one for one in load() if one.judges]
    assert 0.75 <= sum(one.is_inside for one in judging) / len(judging) <= 0.9
    for is_first_token in (False, True):
        kind = [one for one in judging if (one.figure == "first token") is is_first_token]
        assert len(kind) == (26 if is_first_token else 34)
        assert sum(one.is_inside for one in kind) / len(kind) >= 0.75


@pytest.mark.parametrize(("is_first_token", "most"), [(False, 1.2), (True, 1.4)])
def test_the_half_that_judges_is_off_by_less_than_that(
    *, is_first_token: bool, most: float
) -> None:
    judging = [o for o in load() if o.judges and (o.figure == "first token") is is_first_token]
    assert factor(judging) < most


@pytest.mark.parametrize("model", ["mistral-7b-v0.3", SMALL])
def test_throughput_grows_with_users_as_it_was_measured_to(model: str) -> None:
    """The shape of the curve, whatever its height: how much more each step brings."""
    curve = [
        one
        for one in load()
        if one.front == "http" and one.figure == "all together" and one.case.startswith(model)
    ]
    assert len(curve) >= 5
    for fewer, more in pairwise(curve):
        grown = (more.mid / fewer.mid) / (more.measured / fewer.measured)
        assert grown == pytest.approx(1.0, abs=0.15), more.case


def test_answers_have_the_mean_and_the_end_that_were_told() -> None:
    ended = [(row.output_tokens, row.longest_output_tokens) for row in rows()]
    for told, longest in {(told, longest) for told, longest in ended if longest is not None}:
        drawn = answers(told, longest)
        assert max(drawn) == longest
        assert mean(drawn) == pytest.approx(told, rel=0.02)


def test_versions_are_told_apart_by_their_numbers() -> None:
    base = asdict(rows()[0])
    told = {v: Row(**{**base, "engine_version": v}) for v in ("0.7.3", "0.8.0", "0.23.0", "1.0.0")}
    assert [row.is_of_today for row in told.values()] == [False, True, True, True]
