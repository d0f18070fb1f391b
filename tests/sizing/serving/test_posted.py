"""Throughput and time to the first token against servers that others loaded and measured."""

from __future__ import annotations

import json
from math import exp, log
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from whatfits.sizing import serve

if TYPE_CHECKING:
    from whatfits.sizing.estimate import RateRange

ROWS = json.loads(
    (Path(__file__).parents[2] / "recorded" / "serving" / "rows.json").read_text("utf-8")
)


class Compared(NamedTuple):
    """A published figure beside the simulated one."""

    figure: str
    case: str
    measured: float
    predicted: RateRange

    @property
    def ratio(self) -> float:
        return self.predicted.mid / self.measured

    @property
    def inside(self) -> bool:
        return self.predicted.low <= self.measured <= self.predicted.high


def _served(row: dict[str, Any]) -> list[Compared]:
    found = serve(
        row["model"],
        file_type=row["file_type"],
        machine=f"{row['device']} + 64gb",
        runtime="vllm",
        users=row["users"],
        workload={"context_tokens": row["context_tokens"]},
        load={
            "prompt": {"median_tokens": row["prompt_tokens"]},
            "output": {"median_tokens": row["output_tokens"]},
        },
    )
    case = f"{row['model']}, {row['device']}, {row['users']} at once"
    point = found.at_users
    assert point is not None
    throughput = row["output_tokens_per_s"]
    compared = [Compared("tokens/s", case, throughput, point.throughput_tokens_per_s)]
    if row["ttft_p50_s"] is not None:
        compared.append(Compared("first token, s", case, row["ttft_p50_s"], point.ttft_p50_s))
    return compared


@pytest.fixture(scope="module")
def compared() -> list[Compared]:
    """Return every figure beside its prediction, and print them (with -s)."""
    found = [one for row in ROWS for one in _served(row)]
    for one in found:
        low, mid, high = one.predicted.low, one.predicted.mid, one.predicted.high
        inside = "inside" if one.inside else "OUTSIDE"
        print(f"{one.figure:14} {one.case:40} {one.measured:8.4g} {mid:8.4g} {low}-{high} {inside}")
    for figure in ("tokens/s", "first token, s"):
        chosen = [one for one in found if one.figure == figure]
        off = exp(median(abs(log(one.ratio)) for one in chosen))
        held = sum(one.inside for one in chosen)
        print(f"{figure}: off by a factor of {off:.2f} (median); {held} of {len(chosen)} inside")
    return found


def test_posted_throughput_lies_in_the_interval_as_often_as_that_promises(
    compared: list[Compared],
) -> None:
    """The interval is of speeds, which holds four in five; nothing was fitted on these rows."""
    throughput = [one for one in compared if one.figure == "tokens/s"]
    assert len(throughput) == 13
    assert sum(one.inside for one in throughput) >= 0.8 * len(throughput)


def test_posted_times_to_the_first_token_are_only_of_the_same_order(
    compared: list[Compared],
) -> None:
    """A server's web front and tokeniser are not simulated, nor how requests meet in a step."""
    first = [one for one in compared if one.figure != "tokens/s"]
    assert len(first) == 11
    assert all(1 / 8 < one.ratio < 8 for one in first)


def test_throughput_grows_with_users_as_it_was_measured_to(compared: list[Compared]) -> None:
    """The shape of the curve, whatever its height: how much more each doubling brings."""
    for model in ("mistral-7b-v0.3", "qwen2.5-0.5b"):
        rows = [one for one in compared if one.figure == "tokens/s" and one.case.startswith(model)]
        scale = rows[0].ratio
        for one in rows:
            assert one.ratio / scale == pytest.approx(1.0, abs=0.25), one.case
