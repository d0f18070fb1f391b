"""Which test executes which lines, and how long it takes: a mutant is shown to no other test.

The record is kept in `build/mutation`; tests that are not in it are traced and added, and a
changed module starts it anew.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
from functools import _lru_cache_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from groups import ROOT, modules_of, path_of, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
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
        sources = "".join(source_of(module) for module in modules_of(group))
        self._digest = hashlib.sha256(sources.encode()).hexdigest()
        self._path: Final = KEPT / f"reach-{group}.json"
        if self._path.exists():
            kept = json.loads(self._path.read_text("utf-8"))
            if kept["digest"] == self._digest:
                self.tests.update({name: _read(fields) for name, fields in kept["tests"].items()})

    def keep(self, traced: dict[str, Traced]) -> None:
        """Add tests to the record and write it."""
        self.tests.update(traced)
        KEPT.mkdir(parents=True, exist_ok=True)
        tests = {name: _written(test) for name, test in self.tests.items()}
        self._path.write_text(json.dumps({"digest": self._digest, "tests": tests}), "utf-8")

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

        self._files: Final = {str(path_of(module)): module for module in modules_of(group)}
        self._caches: Final = caches()
        self._coverage: Final = coverage.Coverage(
            data_file=None, config_file=False, include=list(self._files)
        )

    def traced(self, names: Iterable[str], run: Callable[[str], bool]) -> dict[str, Traced]:
        """Run each test by its name and return what it executes."""
        found: dict[str, tuple[bool, float]] = {}
        for name in names:
            for cache in self._caches:
                cache.cache_clear()
            self._coverage.start()
            self._coverage.switch_context(name)
            started = time.process_time()
            passed = run(name)
            found[name] = passed, time.process_time() - started
            self._coverage.stop()
        lines: dict[str, dict[str, set[int]]] = {name: {} for name in found}
        for name, module, line in self._executed():
            if name in lines:
                lines[name].setdefault(module, set()).add(line)
        return {
            name: Traced(passed, seconds, {m: frozenset(at) for m, at in lines[name].items()})
            for name, (passed, seconds) in found.items()
        }

    def _executed(self) -> Iterator[tuple[str, str, int]]:
        data = self._coverage.get_data()
        for file in data.measured_files():
            for line, names in data.contexts_by_lineno(file).items():
                for name in names:
                    yield name, self._files[file], line


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


def _read(fields: dict[str, Any]) -> Traced:
    lines = {module: frozenset(at) for module, at in fields["lines"].items()}
    return Traced(fields["passed"], fields["seconds"], lines)


def _written(test: Traced) -> dict[str, Any]:
    return test._asdict() | {"lines": {module: sorted(at) for module, at in test.lines.items()}}
