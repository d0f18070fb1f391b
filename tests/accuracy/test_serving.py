"""What docs/accuracy.md says of servers under load is today's, and its constant is the fit's."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise
from statistics import mean, median

import pytest
from serving_judged import compared, factor, load
from serving_rows import Row, answers, rows
from serving_section import GROUPS

from whatfits.sizing.serving.first_token import VLLM_LEAST_TTFT_S

SMALL = "qwen2.5-0.5b"  # its prompts take less than the host does on every card there is
EVERY = 5  # one row in so many is predicted anew


def _least_ttfts(*, judges: bool) -> list[float]:
    return [
        row.ttft_p50_s
        for row in rows()
        if row.model == SMALL
        and row.front is None
        and row.judges == judges
        and row.ttft_p50_s is not None
    ]


def test_the_least_time_to_a_first_token_is_what_the_fitted_half_has() -> None:
    fitted = _least_ttfts(judges=False)
    assert len(fitted) >= 12
    found = (min(fitted), median(fitted), max(fitted))
    assert tuple(round(seconds, 3) for seconds in found) == VLLM_LEAST_TTFT_S


def test_the_other_half_lies_in_it_nine_times_in_ten() -> None:
    low, _, high = VLLM_LEAST_TTFT_S
    judging = _least_ttfts(judges=True)
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


def test_throughput_over_http_lies_in_the_interval_as_often_as_that_promises() -> None:
    """The interval is of speeds, which holds four in five; nothing was fitted on these rows."""
    throughput = [one for one in load() if (one.front, one.figure) == ("http", "all together")]
    assert len(throughput) == 12
    assert sum(one.is_inside for one in throughput) >= 0.8 * len(throughput)


def test_first_tokens_of_the_half_that_judges_lie_in_the_interval() -> None:
    judging = [one for one in load() if one.figure == "first token" and one.judges]
    assert len(judging) >= 20
    assert sum(one.is_inside for one in judging) >= 0.8 * len(judging)
    assert factor(judging) < 1.5


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
