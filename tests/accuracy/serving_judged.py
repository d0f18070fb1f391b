"""docs/accuracy_serving.json: every measured server beside what is said of it today.

python tests/accuracy/serving_judged.py     predict every one anew: about a minute
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from serving_rows import point_of, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serving_rows import Row

    from whatfits.sizing.estimate import RateRange

__all__ = ["PATH", "Compared", "compared", "factor", "judged", "load", "save"]

PATH: Final = Path(__file__).parents[2] / "docs" / "accuracy_serving.json"


@dataclass(frozen=True)
class Compared:
    """A published figure beside the predicted one.

    Attributes:
        source: of the measurement.
        case: model, device, version and users.
        is_of_today: whether vLLM had its present engine.
        front: `http`, or None where requests went straight to the engine.
        judges: whether it lies in the half that judges.
        figure: `all together`, tokens a second; `one answer`, the same; `first token`, seconds.
        measured: as published.
        low, mid, high: as predicted.
    """

    source: str
    case: str
    is_of_today: bool
    front: str | None
    judges: bool
    figure: str
    measured: float
    low: float
    mid: float
    high: float

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.mid / self.measured

    @property
    def is_inside(self) -> bool:
        """Whether the interval holds what was measured."""
        return self.low <= self.measured <= self.high


def compared(row: Row) -> list[Compared]:
    """Return the figures of one measurement."""
    point = point_of(row)
    figures: tuple[tuple[str, float | None, RateRange | None], ...] = (
        ("all together", row.output_tokens_per_s, point.throughput_tokens_per_s),
        ("one answer", row.answer_tokens_per_s, point.tokens_per_s),
        ("first token", row.ttft_p50_s, point.ttft_p50_s),
    )
    return [
        Compared(
            source=row.source,
            case=row.case,
            is_of_today=row.is_of_today,
            front=row.front,
            judges=row.judges,
            figure=name,
            measured=measured,
            low=predicted.low,
            mid=predicted.mid,
            high=predicted.high,
        )
        for name, measured, predicted in figures
        if measured is not None and predicted is not None
    ]


def judged() -> tuple[Compared, ...]:
    """Return every figure, predicted today."""
    return tuple(one for row in rows() for one in compared(row))


def factor(found: Sequence[Compared]) -> float:
    """Return the factor that half of the figures are off by at most, either way."""
    return exp(median(abs(log(one.ratio)) for one in found))


def save(found: Iterable[Compared]) -> None:
    """Write docs/accuracy_serving.json, a figure a line."""
    lines = ",\n".join(json.dumps(asdict(one)) for one in found)
    PATH.write_text(f"[\n{lines}\n]\n", "utf-8")


def load() -> tuple[Compared, ...]:
    """Return what docs/accuracy_serving.json says."""
    return tuple(Compared(**one) for one in json.loads(PATH.read_text("utf-8")))


if __name__ == "__main__":
    save(judged())
