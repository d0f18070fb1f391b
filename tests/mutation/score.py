"""Verdicts on mutants, kept while their module is unchanged, and the score they come to."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from typing import TYPE_CHECKING, Final, NamedTuple

from equivalent import EQUIVALENT
from groups import source_of
from reach import KEPT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mutants import Mutant

WANTED: Final = 0.90
_Z: Final = 1.96  # of a 95 % interval
_INTRODUCTION: Final = (
    "# Mutation",
    "",
    "`make mutate` changes the parser, the memory arithmetic and the placement in one place at a",
    "time: a comparison's edge, a sign, a number by one, a condition's part, a guard, a statement.",
    "A test must notice, and the wanted score is 90 %. A mutant that no test can notice is listed",
    "with its reason in `tests/mutation/equivalent.py`. Where not all of a group were judged, the",
    "score is an estimate with Wilson's interval; tests are written for what survives a sample, so",
    "that only another seed says what all would score.",
    "",
)


class Verdict(NamedTuple):
    """Whether a test noticed a mutant, which one, and the seconds it took."""

    key: str
    noticed: bool
    by: str
    seconds: float


class Verdicts:
    """The verdicts of a group, in a file that grows."""

    def __init__(self, group: str) -> None:
        self._path: Final = KEPT / f"verdicts-{group}.jsonl"
        self._found: Final[dict[str, Verdict]] = {}
        if self._path.exists():
            for line in self._path.read_text("utf-8").splitlines():
                digest, *fields = json.loads(line)
                verdict = Verdict(*fields)
                if digest == _digest(verdict.key.split(" ", 1)[0]):
                    self._found[verdict.key] = verdict

    def knows(self, mutant: Mutant) -> bool:
        """Whether a mutant has been judged."""
        return mutant.key in self._found

    def holds(self, mutant: Mutant) -> bool:
        """Whether a mutant has been noticed already, or is known to be equivalent."""
        verdict = self._found.get(mutant.key)
        return verdict is not None and (verdict.noticed or mutant.key in EQUIVALENT)

    def add(self, mutant: Mutant, verdict: Verdict) -> None:
        """Add one."""
        self._found[mutant.key] = verdict
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([_digest(mutant.module), *verdict]) + "\n")

    def of(self, mutant: Mutant) -> Verdict:
        """Return the verdict on a mutant that was judged."""
        return self._found[mutant.key]


class Score(NamedTuple):
    """How many mutants were judged, noticed, and are equivalent to the program."""

    judged: int
    noticed: int
    equivalent: int

    @property
    def survived(self) -> int:
        """How many were not noticed and should have been."""
        return self.judged - self.noticed - self.equivalent

    @property
    def share(self) -> float:
        """Return the share that is noticed of those that can be."""
        return self.noticed / max(1, self.judged - self.equivalent)

    @property
    def interval(self) -> tuple[float, float]:
        """Return Wilson's interval of the share, 95 %, as far as these are a sample."""
        n = max(1, self.judged - self.equivalent)
        middle = self.share + _Z**2 / (2 * n)
        half = _Z * math.sqrt(self.share * (1 - self.share) / n + _Z**2 / (4 * n**2))
        return (middle - half) / (1 + _Z**2 / n), (middle + half) / (1 + _Z**2 / n)


def score(mutants: Sequence[Mutant], verdicts: Verdicts) -> Score:
    """Return the score of mutants."""
    noticed = [mutant for mutant in mutants if verdicts.of(mutant).noticed]
    rest = [mutant for mutant in mutants if not verdicts.of(mutant).noticed]
    return Score(len(mutants), len(noticed), sum(mutant.key in EQUIVALENT for mutant in rest))


def report(
    found: Sequence[tuple[str, list[Mutant], Verdicts]], *, whole: Mapping[str, int]
) -> tuple[str, bool]:
    """Return the table of groups and modules, and whether every group has the wanted score."""
    lines = [
        *_INTRODUCTION,
        f"Judged on {dt.datetime.now(tz=dt.UTC):%Y-%m-%d}.",
        "",
        "| group | mutants | judged | noticed | equivalent | survived | score | 95 % interval |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    enough = True
    for group, mutants, verdicts in found:
        total = score(mutants, verdicts)
        enough &= total.share >= WANTED
        low, high = total.interval
        said = "all" if total.judged == whole[group] else f"{low:.1%} to {high:.1%}"
        lines.append(f"| {group} | {whole[group]:,} {_row(total)} | {said} |")
    lines += ["", "| module | judged | noticed | equivalent | survived | score |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    after_all: list[str] = []
    for _, mutants, verdicts in found:
        by_module: dict[str, list[Mutant]] = {}
        for mutant in mutants:
            by_module.setdefault(mutant.module, []).append(mutant)
            if mutant.key in EQUIVALENT and verdicts.of(mutant).noticed:
                after_all.append(f"called equivalent, and noticed: {mutant.key}")
        for module, its in by_module.items():
            lines.append(f"| {module} {_row(score(its, verdicts))} |")
    return "\n".join([*lines, *after_all, ""]), enough and not after_all


def _row(total: Score) -> str:
    return (
        f"| {total.judged:,} | {total.noticed:,} | {total.equivalent:,} | {total.survived:,} "
        f"| {total.share:.1%}"
    )


def _digest(module: str) -> str:
    return hashlib.sha256(source_of(module).encode()).hexdigest()[:12]
