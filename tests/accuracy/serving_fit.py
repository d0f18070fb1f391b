"""The constants of serving under vLLM, fitted on the half of the servers that does not judge.

python tests/accuracy/serving_fit.py     print them: they stand in sizing/serving/vllm_host.py

The host's work is what a step took longer than the card's part of it, as it is predicted without
any: of half a billion parameters, whose steps the card is soonest done with. One answer gives what
every step has, many at once what each sequence adds. The ends are the least and the most that was
seen. Of today's engine that half has one server of this kind: its middle for a sequence; the ends
are as far from it as with the earlier engine, as hosts are the same.
Widths are what four in five of the half's figures need when whatever was fitted on their card is
fitted without it. Cards whose costs under vLLM are fitted on the same models, in the tables of
speeds, tell no width: they are near because of that.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

import speed_rows
from serving_rows import NO_FRONT_S, Row, deployment_of, load_of, rows

from whatfits.sizing.serving import vllm_deployment
from whatfits.sizing.serving.deploying import users_of
from whatfits.sizing.serving.profile import Limits
from whatfits.sizing.serving.vllm_host import (
    NO_HOST,
    Ends,
    HostWork,
    Spread,
    host_work,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SMALL", "Fitted", "fitted", "least_ttfts", "spread"]

SMALL: Final = "qwen2.5-0.5b"
_NO_SPREAD: Final = Spread((0.0, 0.0), (0.0, 0.0))
_HELD: Final = 0.8
_WIDTHS: Final = tuple(n / 20 for n in range(1, 20))


@dataclass(frozen=True)
class Host:
    """What one server's host did: seconds of every step, and for each sequence after the first."""

    is_of_today: bool
    step_s: float
    sequence_s: float


@dataclass(frozen=True)
class Fitted:
    """What was fitted, as in sizing/serving/vllm_host.py."""

    before_v1: HostWork
    of_today: HostWork
    least_ttft_s: Ends
    web_front_s: Ends

    def host_work(self, version: str | None) -> HostWork:
        """Return the host's work under a version."""
        return host_work(version, before_v1=self.before_v1, today=self.of_today)


@cache
def _bare(row: Row) -> tuple[float, float, float]:
    """Return seconds a token of one answer, a step, and to a first token: no host, no front."""
    with _constants(Fitted(NO_HOST, NO_HOST, NO_FRONT_S, NO_FRONT_S), _NO_SPREAD):
        users = users_of(deployment_of(row), load_of(row), Limits(), seed=0)
    found = users.outcome(row.users, "mid")
    assert found.tokens_per_s is not None
    return 1 / found.tokens_per_s, row.users / found.throughput_tokens_per_s, found.ttft_p50_s


@contextmanager
def _constants(found: Fitted, wide: Spread) -> Iterator[None]:
    """Let servers be made with these constants."""
    with (
        patch.object(vllm_deployment, "host_work", found.host_work),
        patch.object(vllm_deployment, "LEAST_TTFT_S", found.least_ttft_s),
        patch.object(vllm_deployment, "WEB_FRONT_S", found.web_front_s),
        patch.object(vllm_deployment, "VLLM_SPREAD", wide),
    ):
        yield


def _used(without: str | None) -> list[Row]:
    return [row for row in rows() if not row.judges and row.device != without]


def _hosts(chosen: Sequence[Row]) -> list[Host]:
    """Return what servers of the small model without a web front show of their hosts."""
    small = [row for row in chosen if row.model == SMALL and row.front is None]
    alone = {row.source: row for row in small if row.answer_tokens_per_s}
    found = []
    for row in small:
        if row.output_tokens_per_s is None:
            continue
        one = alone[row.source]
        assert one.answer_tokens_per_s is not None
        step_s = 1 / one.answer_tokens_per_s - _bare(one)[0]
        whole_s = row.users / row.output_tokens_per_s - _bare(row)[1]
        # today's host works while the card does, and hides what more sequences take there
        hidden_s = _bare(row)[0] - _bare(one)[0] if row.is_of_today else 0.0
        sequence_s = (whole_s - step_s + hidden_s) / (row.users - 1)
        found.append(Host(row.is_of_today, step_s, sequence_s))
    return found


def least_ttfts(chosen: Sequence[Row]) -> list[float]:
    """Return times to a first token of the small model without a web front."""
    return [
        row.ttft_p50_s
        for row in chosen
        if row.model == SMALL and row.front is None and row.ttft_p50_s is not None
    ]


def _fronts(chosen: Sequence[Row], middle_s: float) -> list[float]:
    """Return by how much a first token over HTTP was later, for each request at once."""
    return [
        (row.ttft_p50_s - max(_bare(row)[2], middle_s)) / row.users
        for row in chosen
        if row.front is not None and row.ttft_p50_s is not None
    ]


def fitted(without: str | None = None) -> Fitted:
    """Return what the half shows, all servers on one kind of card left out."""
    chosen = _used(without)
    earlier = [host for host in _hosts(chosen) if not host.is_of_today]
    steps = _ends([host.step_s for host in earlier])
    sequences = _ends([host.sequence_s for host in earlier])
    # one server: without it nothing would be known
    today = median(host.sequence_s for host in _hosts(_used(None)) if host.is_of_today)
    first = least_ttfts(chosen)
    fronts = sorted(_fronts(chosen, median(first)))
    return Fitted(
        before_v1=HostWork(steps, sequences),
        of_today=HostWork(
            (0.0, 0.0, _short(steps[2] - steps[1])),
            _rounded([today * end / sequences[1] for end in sequences]),
            overlaps=(True, True, True),
        ),
        least_ttft_s=_rounded([min(first), median(first), max(first)]),
        web_front_s=_rounded([fronts[1], median(fronts), fronts[-2]]),
    )


def _ends(values: Sequence[float]) -> Ends:
    return _rounded([min(values), median(values), max(values)])


def _rounded(values: Sequence[float]) -> Ends:
    """Return the ends in two digits; what is left of a time after the card's is no less than 0."""
    low, mid, high = (_short(max(0.0, value)) for value in values)
    return low, mid, high


def _short(value: float) -> float:
    return float(f"{value:.2g}")


def spread() -> Spread:
    """Return the widths: the least that hold four in five where a card's own rows are left out."""
    seen = {row.device for row in speed_rows.rows() if row.engine == "vllm" and not row.judges}
    used = [row for row in _used(None) if row.device not in seen]
    lefts = {device: fitted(device) for device in {row.device for row in used}}
    widths = []
    for figure in ("writing", "reading"):
        width = next(w for w in _WIDTHS if _share(used, lefts, figure, w) >= _HELD)
        widths.append((-width, width))
    return Spread(*widths)


def _share(used: Sequence[Row], lefts: dict[str, Fitted], figure: str, width: float) -> float:
    """Return the share of figures inside."""
    held = []
    for row in used:
        with _constants(lefts[row.device], Spread((-width, width), (-width, width))):
            users = users_of(deployment_of(row), load_of(row), Limits(), seed=0)
        point = users.point(row.users)
        writing = (
            (row.output_tokens_per_s, point.throughput_tokens_per_s),
            (row.answer_tokens_per_s, point.tokens_per_s),
        )
        chosen = writing if figure == "writing" else ((row.ttft_p50_s, point.ttft_p50_s),)
        held += [
            told.low <= measured <= told.high
            for measured, told in chosen
            if measured is not None and told is not None
        ]
    return sum(held) / len(held)


if __name__ == "__main__":
    print(fitted())
    print(spread())
