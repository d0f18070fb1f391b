"""Servers under load, as others measured them, beside what `serve` says of the same load.

A row is one measurement of tests/recorded/serving. A model on a device lies wholly in one half by a
hash of both names, as in the rows over speeds: what is fitted is fitted on the half that does not
judge. Where answers ended by themselves, only their mean and the longest allowed are known: they
are taken to end with the same chance at every token until then.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from math import ceil, log1p
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from whatfits.sizing import load_machine, load_model
from whatfits.sizing.api.answering import answer
from whatfits.sizing.search.closing_in import last_that_holds
from whatfits.sizing.serving.deploying import deployed, users_of
from whatfits.sizing.serving.profile import Lengths, Limits, LoadProfile
from whatfits.sizing.serving.vllm_host import UNKNOWN_VERSION
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.serving.curve import CurvePoint
    from whatfits.sizing.serving.deployment import Deployment

__all__ = ["NO_FRONT_S", "Row", "answers", "deployment_of", "load_of", "point_of", "rows"]

FOLDER: Final = Path(__file__).parents[1] / "recorded" / "serving"
NO_FRONT_S: Final = (0.0, 0.0, 0.0)
_DRAWN: Final = 20  # lengths that stand for a distribution, each as likely as the others
_FINEST: Final = 10**6  # parts of a chance that are told apart
_V1: Final = (0, 8)  # the version from which vLLM has its present engine


@dataclass(frozen=True)
class Row:
    """One measurement; the fields are described beside the recordings."""

    source: str
    model: str
    file_type: str
    device: str
    engine_version: str | None
    front: str | None
    context_tokens: int | None
    prompts: int | str
    output_tokens: int
    longest_output_tokens: int | None
    users: int
    output_tokens_per_s: float | None
    answer_tokens_per_s: float | None
    ttft_p50_s: float | None

    @property
    def judges(self) -> bool:
        """Whether it is kept aside to judge by."""
        digest = hashlib.sha256(f"{self.device}|{self.model}".encode()).hexdigest()
        return int(digest, 16) % 2 == 1

    @property
    def is_of_today(self) -> bool:
        """Whether vLLM had its present engine; where no version is told, it is taken to."""
        if self.engine_version is None:
            return True
        major, minor = self.engine_version.split(".")[:2]
        return (int(major), int(minor)) >= _V1

    @property
    def case(self) -> str:
        """What tells it from the others."""
        version = "version not told" if self.engine_version is None else self.engine_version
        return f"{self.model}, {self.device}, {version}, {self.users} at once"


@cache
def rows() -> tuple[Row, ...]:
    """Return every measurement."""
    found = json.loads((FOLDER / "rows.json").read_text("utf-8"))
    return tuple(Row(**row) for row in found)


@cache
def _prompts() -> dict[str, list[int]]:
    found: dict[str, list[int]] = json.loads((FOLDER / "prompts.json").read_text("utf-8"))
    return found


def answers(mean_tokens: int, longest_tokens: int) -> tuple[int, ...]:
    """Return lengths that end with the same chance at every token, or at the longest."""

    def mean(chance: float) -> float:
        return float((1 - (1 - chance) ** longest_tokens) / chance)

    parts = last_that_holds(1, _FINEST, lambda part: mean(part / _FINEST) >= mean_tokens)
    rate = -log1p(-parts / _FINEST)
    drawn = (ceil(-log1p(-(part + 0.5) / _DRAWN) / rate) for part in range(_DRAWN))
    return tuple(min(longest_tokens, max(1, tokens)) for tokens in drawn)


def load_of(row: Row) -> LoadProfile:
    """Return what its users did."""
    prompt = Lengths(row.prompts) if isinstance(row.prompts, int) else None
    if prompt is None:
        counted = _prompts()[str(row.prompts)]
        prompt = Lengths(round(median(counted)), observed_tokens=tuple(counted))
    longest = row.longest_output_tokens
    ended = () if longest is None else answers(row.output_tokens, longest)
    return LoadProfile(prompt, Lengths(row.output_tokens, observed_tokens=ended))


def deployment_of(row: Row) -> Deployment:
    """Return its server, of its version, without a web front where there was none."""
    found = deployed(
        answer,
        load_model(row.model, file_type=row.file_type, runtime="vllm"),
        runtime="vllm",
        machine=load_machine(f"{row.device} + 64gb"),
        workload=Workload(context_tokens=row.context_tokens),
        request=PlacementRequest(),
        users=row.users,
        load=load_of(row),
        force=False,
        engine_version=row.engine_version or UNKNOWN_VERSION,
    )
    return found if row.front else found._replace(front_s=NO_FRONT_S)


def point_of(row: Row) -> CurvePoint:
    """Return what `serve` says of it."""
    return users_of(deployment_of(row), load_of(row), Limits(), seed=0).point(row.users)
