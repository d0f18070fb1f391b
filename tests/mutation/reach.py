"""Which test executes which lines, and how long it takes: a mutant is shown to no other test.

The record is kept in `build/mutation`. Tests that are not in it are traced and added, each in a
process of its own: what another test has worked out and kept would hide what this one executes.
Tests that reach a module are traced anew once it has changed.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import time
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from groups import ROOT, modules_of, path_of, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

KEPT: Final = ROOT / "build" / "mutation"
_WARM: Final = "whatfits.sizing.catalog"  # its data stay loaded: they are no mutant's doing


class Traced(NamedTuple):
    """One test: whether it passes, its seconds of CPU, and the lines it executes of each module."""

    passed: bool
    seconds: float
    lines: dict[str, frozenset[int]]


class Reach:
    """The tests of a group."""

    def __init__(self, group: str) -> None:
        self.group: Final = group
        self.tests: Final[dict[str, Traced]] = {}
        self._digests: Final = {module: _digest(module) for module in modules_of(group)}
        self._path: Final = KEPT / f"reach-{group}.json"
        if self._path.exists():
            kept = json.loads(self._path.read_text("utf-8"))
            changed = {
                m for m, digest in self._digests.items() if kept.get("digests", {}).get(m) != digest
            }
            tests = {name: _read(fields) for name, fields in kept["tests"].items()}
            self.tests.update(
                {n: test for n, test in tests.items() if changed.isdisjoint(test.lines)}
            )

    def keep(self, traced: dict[str, Traced]) -> None:
        """Add tests to the record and write it."""
        self.tests.update(traced)
        KEPT.mkdir(parents=True, exist_ok=True)
        tests = {name: _written(test) for name, test in self.tests.items()}
        self._path.write_text(json.dumps({"digests": self._digests, "tests": tests}), "utf-8")

    def reaching(self, module: str, lines: Iterable[int] | None) -> list[str]:
        """Return the tests that execute one of the lines (None: any of the module), quick first."""
        wanted = None if lines is None else frozenset(lines)
        found = [
            (test.seconds, name)
            for name, test in self.tests.items()
            if test.passed
            and (reached := test.lines.get(module))
            and (wanted is None or not wanted.isdisjoint(reached))
        ]
        return [name for _, name in sorted(found)]


class Tracer:
    """Watches the lines of a group's modules, test by test."""

    def __init__(self, group: str) -> None:
        import coverage

        self._watch: Final = coverage.Coverage
        self._files: Final = {str(path_of(module)): module for module in modules_of(group)}
        self._caches: Final = caches()

    def traced(self, names: Iterable[str], run: Callable[[str], bool]) -> dict[str, Traced]:
        """Run each test by its name, in a fork, and return what it executes."""
        for cache in self._caches:
            cache.cache_clear()
        return {name: self._in_a_fork(name, run) for name in names}

    def _in_a_fork(self, name: str, run: Callable[[str], bool]) -> Traced:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(reader)
                with os.fdopen(writer, "w", encoding="utf-8") as file:
                    json.dump(_written(self._traced(name, run)), file)
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as file:
            text = file.read()
        os.waitpid(child, 0)
        return _read(json.loads(text)) if text else Traced(False, 0.0, {})

    def _traced(self, name: str, run: Callable[[str], bool]) -> Traced:
        watch = self._watch(data_file=None, config_file=False, include=list(self._files))
        # a test that only reads a table executes nothing here
        watch.set_option("run:disable_warnings", ["no-data-collected"])
        watch.start()
        started = time.process_time()
        passed = run(name)
        seconds = time.process_time() - started
        watch.stop()
        data = watch.get_data()
        lines = {self._files[file]: data.lines(file) or () for file in data.measured_files()}
        return Traced(passed, seconds, {m: frozenset(at) for m, at in lines.items()})


def caches() -> list[_lru_cache_wrapper[Any]]:
    """Return the caches that could hide a line from the tracer: all but the catalog's."""
    return [
        found
        for found in gc.get_objects()
        if isinstance(found, _lru_cache_wrapper)
        and not found.__module__.startswith(_WARM)
        and _is_ours(sys.modules.get(found.__module__))
    ]


def _is_ours(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(ROOT)


def _digest(module: str) -> str:
    return hashlib.sha256(source_of(module).encode()).hexdigest()


def _read(fields: dict[str, Any]) -> Traced:
    lines = {module: frozenset(at) for module, at in fields["lines"].items()}
    return Traced(fields["passed"], fields["seconds"], lines)


def _written(test: Traced) -> dict[str, Any]:
    return test._asdict() | {"lines": {module: sorted(at) for module, at in test.lines.items()}}
