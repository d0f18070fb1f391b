"""A real accelerator: what `bench` timed on it, and what llama-bench measured of real models.

Sources: tests/recorded/calibration/h200.json names its own; the rows are those of source 822 in
tests/recorded/field_speed, llama-bench of the same build of llama.cpp on a card of the same name
(medians of three repeats, files with random weights of the models' shapes).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from whatfits.bench.fast import Room, fast_trials
from whatfits.bench.micro import Measured
from whatfits.bench.speed_process import Step
from whatfits.bench.timing import Repeat, Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ROWS", "TIMED", "Row"]

_PEAK_BYTES_PER_S: Final = 4.8e12
_RECORDED: Final = Path(__file__).parents[1] / "recorded"
_SOURCE: Final = 822


@dataclass(frozen=True, slots=True)
class Row:
    """What llama-bench said of a step."""

    model: str
    file_type: str
    kind: Literal["decode", "prefill"]
    tokens: int
    depth: int
    tokens_per_s: float

    def __str__(self) -> str:
        return f"{self.model} {self.file_type} {self.kind} {self.tokens} at {self.depth}"


def _timed() -> Iterator[Measured]:
    drawn = {t.drawn.name: t.drawn for t in fast_trials(_PEAK_BYTES_PER_S, Room())}
    recorded = json.loads((_RECORDED / "calibration" / "h200.json").read_text("utf-8"))
    for model, kind, tokens, depth, tokens_per_s, spread in recorded["timings"]:
        seconds = tokens / tokens_per_s
        # three repeats that have the median and the spread of those that were made
        repeats = tuple(Repeat(seconds * f, 0.0) for f in (1 - spread, 1.0, 1 + spread))
        timing = Timing(1, repeats, on_cpu=False)
        yield Measured(drawn[model], Step(kind, tokens, depth, 1), timing)


def _rows() -> Iterator[Row]:
    lines = (_RECORDED / "field_speed" / "rows.jsonl").read_text("utf-8").splitlines()
    for run in (json.loads(line) for line in lines):
        # of low trust are those of models that are partly on the processor
        if run["source"] == _SOURCE and run["trust"] == "high":
            yield from _of_run(run)


def _of_run(run: dict[str, Any]) -> Iterator[Row]:
    kinds: tuple[Literal["decode", "prefill"], ...] = ("decode", "prefill")
    for kind in kinds:
        for tokens, depth, tokens_per_s in run.get(kind, ()):
            yield Row(run["model"], run["file_type"], kind, tokens, depth, tokens_per_s)


TIMED: Final = tuple(_timed())
"""All timings of the card, in the order they were made."""
ROWS: Final = tuple(_rows())
"""All rows of models that are wholly on the card."""
