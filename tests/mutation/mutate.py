"""Changes parser, memory arithmetic and placement, a place at a time; tests must notice.

    python tests/mutation/mutate.py                              every mutant: some hours
    python tests/mutation/mutate.py --sample 400 --seed 1        so many of each group
    python tests/mutation/mutate.py --group placement --module search

Groups, modules and their tests are in `groups.py`, the changes in `operators.py`. Nothing in the
tree is changed: a mutant lives in the memory of a child process. Verdicts are kept in
`build/mutation`, so that a run that was stopped goes on; a module that changed is judged anew.
The run ends with status 1 when a group's score is below 90 %, or when a mutant that is called
equivalent is noticed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import fresh
from equivalent import EQUIVALENT
from groups import GROUPS, ROOT, modules_of, source_of, tests_of
from held import Held, hold
from mutants import Mutant, mutants_of
from reach import Reach, Tracer
from score import Verdict, Verdicts, report
from swap import Loaded, called_on_import

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_TEST_SECONDS: Final = 40.0  # of CPU as traced, of tests that pass, until a mutant has survived
_FRESH_TESTS: Final = 400
_TRACED_AT_ONCE: Final = 200
_TRACING_SECONDS: Final = 1800.0
_PATIENCE: Final = 4  # how many times as long as its tests a mutant may take


def mutants_in(group: str, part: str = "") -> Iterator[Mutant]:
    """Yield the mutants of a group's modules whose name has `part` in it."""
    for module in modules_of(group):
        if part in module:
            yield from mutants_of(module, source_of(module))


def sampled(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Return so many mutants: the same for a seed, whatever else changes."""
    return sorted(mutants, key=lambda mutant: _place(f"{seed} {mutant.key}"))[:count]


def _place(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Judge:
    """Judges the mutants of one group within a held session."""

    def __init__(self, group: str, held: Held, loaded: Loaded) -> None:
        self._held: Final = held
        self._loaded: Final = loaded
        self._modules: Final = modules_of(group)
        self._reach: Final = _traced(group, held)
        self._killers: Final[dict[str, list[str]]] = {}

    def verdict(self, mutant: Mutant) -> Verdict:
        """Return whether a test notices a mutant, and which."""
        started = time.monotonic()
        source = source_of(mutant.module)
        tests = self._tests(mutant)
        if not tests and self._loaded.can_swap(mutant):
            return Verdict(mutant.key, False, "no test gets there", 0.0)
        ended = self._held.fork(
            lambda: self._loaded.swap(mutant, source), tests, self._patience(tests)
        )
        if ended is not None:
            noticed, by = ended
            if noticed:
                self._remember(mutant, by)
        else:
            noticed, by = fresh.noticed(mutant, self._fresh_tests(mutant), 300), "a fresh process"
        return Verdict(mutant.key, noticed, by if noticed else "", time.monotonic() - started)

    def _tests(self, mutant: Mutant) -> list[str]:
        """Return what may notice a mutant, in the order in which to ask."""
        first, last = mutant.lines
        lines = None if mutant.unit is None else range(first, last + 1)
        return self._asked(mutant, self._reach.reaching(mutant.module, lines))

    def _fresh_tests(self, mutant: Mutant) -> Sequence[str]:
        """Return the same for what a module says by itself: its own tests, if they pass its code.

        A table is read without a line of its module being executed.
        """
        own = set(self._modules[mutant.module].tests)
        passed = [(test.seconds, name) for name, test in self._reach.tests.items() if test.passed]
        beside = [name for _, name in sorted(passed) if _file_of(name, own)]
        reaching = self._reach.reaching(mutant.module, None)
        return self._asked(mutant, list(dict.fromkeys([*beside, *reaching])))[:_FRESH_TESTS]

    def _asked(self, mutant: Mutant, names: Sequence[str]) -> list[str]:
        """Return which of the tests are asked: those that know its kind, its module's own, others.

        The files of its own take turns: next is a test of the one that has taken least time.
        """
        within = frozenset(names)
        known = [name for name in self._known(mutant) if name in within]
        files = self._modules[mutant.module].tests
        own: dict[str, list[str]] = {file: [] for file in files}
        others: list[str] = []
        for name in names:
            own.get(_file_of(name, files), others).append(name)
        ordered = [*known, *self._in_turns(own), *others]
        return list(self._within_time(dict.fromkeys(ordered)))

    def _in_turns(self, files: dict[str, list[str]]) -> Iterator[str]:
        waiting = {file: iter(names) for file, names in files.items()}
        taken = dict.fromkeys(files, 0.0)
        while waiting:
            file = min(waiting, key=lambda file: taken[file])
            name = next(waiting[file], None)
            if name is None:
                del waiting[file]
            else:
                taken[file] += self._reach.tests[name].seconds
                yield name

    def _within_time(self, names: Iterable[str]) -> Iterator[str]:
        seconds = 0.0
        for name in names:
            yield name
            seconds += self._reach.tests[name].seconds
            if seconds > _TEST_SECONDS:
                return

    def _remember(self, mutant: Mutant, test: str) -> None:
        """Ask the test that noticed a mutant first about the next one of its function or module."""
        for place in (f"{mutant.module} {mutant.unit}", mutant.module):
            known = self._killers.setdefault(place, [])
            if test in known:
                known.remove(test)
            known.insert(0, test)

    def _known(self, mutant: Mutant) -> list[str]:
        places = (f"{mutant.module} {mutant.unit}", mutant.module)
        return [test for place in places for test in self._killers.get(place, [])]

    def _patience(self, tests: list[str]) -> float:
        return 5.0 + _PATIENCE * sum(self._reach.tests[name].seconds for name in tests)


def _file_of(name: str, files: Iterable[str]) -> str:
    """Return which of the files, or folders, a test stands in; none is empty."""
    return next((file for file in files if name.startswith((f"{file}::", f"{file}/"))), "")


def _traced(group: str, held: Held) -> Reach:
    """Return who reaches what; tests that are not in the record are traced, in a child."""
    reach = Reach(group)
    while new := [name for name in held.names if name not in reach.tests]:
        print(f"{group}: {len(new):,} tests to trace", flush=True)

        def trace(some: Sequence[str] = new[:_TRACED_AT_ONCE], reach: Reach = reach) -> bool:
            reach.keep(Tracer(group).traced(some, held.run))
            return False

        held.fork(trace, new, _TRACING_SECONDS)
        reach = Reach(group)
        if new[0] not in reach.tests:
            raise RuntimeError(f"tracing {new[0]} and the tests after it came to nothing")
    for gone in reach.tests.keys() - set(held.names):
        del reach.tests[gone]
    failing = [name for name in held.names if not reach.tests[name].passed]
    for name in failing:
        print(f"not asked, since it fails without a mutant: {name}", flush=True)
    return reach


def judge_group(group: str, chosen: Sequence[Mutant], ran: set[tuple[str, str, int]]) -> Verdicts:
    """Return the verdicts on a group's mutants."""
    verdicts = Verdicts(group)
    waiting = [mutant for mutant in chosen if not verdicts.holds(mutant)]

    def work(held: Held) -> None:
        judge = Judge(group, held, Loaded(ran))
        for mutant in waiting:
            verdict = judge.verdict(mutant)
            verdicts.add(mutant, verdict)
            print(_line(mutant, verdict), flush=True)

    if waiting:
        hold(tests_of(group), work)
    return verdicts


def _line(mutant: Mutant, verdict: Verdict) -> str:
    missed = "equivalent" if mutant.key in EQUIVALENT else "MISSED"
    word = "noticed" if verdict.noticed else missed
    return f"{word:10} {verdict.seconds:5.1f} s {mutant.lines[0]:4} {mutant.key} [{verdict.by}]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the mutants that were asked for; return 1 when too few are noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--group", choices=GROUPS, action="append", help="default: all three")
    parser.add_argument("--module", default="", help="part of the names of modules")
    parser.add_argument("--sample", type=int, help="how many of each group (default: all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="judge none: show kept verdicts")
    parser.add_argument("--table", type=Path, help="write the scores to this file")
    given = parser.parse_args(arguments)
    os.chdir(ROOT)
    found: list[tuple[str, list[Mutant], Verdicts]] = []
    for group in given.group or GROUPS:
        mutants = list(mutants_in(group, given.module))
        chosen = mutants if given.sample is None else sampled(mutants, given.sample, given.seed)
        if given.report:
            verdicts = Verdicts(group)
            chosen = [mutant for mutant in chosen if verdicts.knows(mutant)]
        else:
            verdicts = judge_group(group, chosen, called_on_import())
        found.append((group, chosen, verdicts))
    text, enough = report(found, whole={g: len(list(mutants_in(g))) for g, _, _ in found})
    print(text)
    if given.table:
        given.table.write_text(text, "utf-8")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
