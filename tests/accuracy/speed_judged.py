"""How far off speeds are on the rows that judge: as known, never seen, and by the peers' rule."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from speed_rows import rows
from speed_tables import PHASES, fitted_tables, predicted

from whatfits.sizing.speed.costs import efficiencies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speed_rows import Row

__all__ = ["PATH", "Judged", "judged", "load", "save"]

PATH: Final = Path(__file__).parents[2] / "docs" / "accuracy_speed.json"
ALL: Final = "all"
Prediction = tuple[float, float, float]


@dataclass(frozen=True)
class Judged:
    """Errors of one phase over the judging rows of one family, without signs.

    Attributes:
        phase: `decode` or `prefill`.
        trust: of the rows.
        family: back end and generation, or `all`.
        rows: how many figures.
        devices: how many devices.
        median: error with the family fitted (other models on its devices, or other devices).
        p90: the same.
        told: how many figures have no device whose bandwidth is a guess.
        covered: share of those within the interval; None without any. Where the bandwidth is a
            guess the interval spans what memory may do, which four figures in five says nothing of.
        unseen_median: error with the whole family left out of the fit.
        unseen_p90: the same.
        unseen_covered: the same.
        peer_median: error of bandwidth / size x 0.55; None for prompts.
        peer_p90: the same.
    """

    phase: str
    trust: str
    family: str
    rows: int
    devices: int
    told: int
    median: float
    p90: float
    covered: float | None
    unseen_median: float
    unseen_p90: float
    unseen_covered: float | None
    peer_median: float | None
    peer_p90: float | None


def judged() -> tuple[Judged, ...]:
    """Predict every judging row by the package's costs and by those without its family."""
    known = efficiencies()
    judging = [row for row in rows() if row.judges]
    families = sorted({row.family for row in judging})
    without = {
        family: fitted_tables(without=family, intervals=known["intervals"]) for family in families
    }
    found = []
    for phase in PHASES:
        for trust in ("high", "low"):
            part = [row for row in judging if (row.phase, row.trust) == (phase, trust)]
            seen = [predicted(row, known) for row in part]
            unseen = [predicted(row, without[row.family]) for row in part]
            for family in (*families, ALL):
                chosen = [i for i, row in enumerate(part) if family in (row.family, ALL)]
                if chosen:
                    picked = [part[i] for i in chosen]
                    named = (phase, trust, family)
                    found.append(
                        _judged(
                            named, picked, [seen[i] for i in chosen], [unseen[i] for i in chosen]
                        )
                    )
    return tuple(found)


def _judged(
    named: tuple[str, str, str],
    part: Sequence[Row],
    seen: Sequence[Prediction],
    unseen: Sequence[Prediction],
) -> Judged:
    peers = [
        abs(row.peer_tokens_per_s / row.tokens_per_s - 1)
        for row in part
        if row.peer_tokens_per_s is not None
    ]
    return Judged(
        *named,
        len(part),
        len({row.device for row in part}),
        sum(not row.host_is_guessed for row in part),
        *_errors(part, seen),
        *_errors(part, unseen),
        _short(np.median(peers)) if peers else None,
        _short(np.quantile(peers, 0.9)) if peers else None,
    )


def _errors(part: Sequence[Row], found: Sequence[Prediction]) -> tuple[float, float, float | None]:
    """Return median and 90th percentile of the error, and the share inside the interval."""
    errors = [abs(f[1] / row.tokens_per_s - 1) for row, f in zip(part, found, strict=True)]
    inside = [
        low <= row.tokens_per_s <= high
        for row, (low, _, high) in zip(part, found, strict=True)
        if not row.host_is_guessed
    ]
    median, p90 = (_short(np.quantile(errors, at)) for at in (0.5, 0.9))
    return median, p90, _short(np.mean(inside)) if inside else None


def _short(value: object) -> float:
    return round(float(value), 4)  # type: ignore[arg-type] - one of numpy's floats


def save(found: Sequence[Judged]) -> None:
    """Write docs/accuracy_speed.json."""
    PATH.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n", "utf-8")


def load() -> tuple[Judged, ...]:
    """Return what docs/accuracy_speed.json says."""
    return tuple(Judged(**one) for one in json.loads(PATH.read_text("utf-8")))
