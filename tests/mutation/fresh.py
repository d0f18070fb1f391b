"""Judges a mutant in a process of its own, which imports it in place of its module."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from groups import PACKAGE, ROOT, source_of
from mutants import changed_tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from mutants import Mutant

NO_TESTS = 5  # what pytest answers then, or 4 for a name it does not know


class _InPlace(importlib.abc.MetaPathFinder):
    """Finds one module in another file than its own."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the mutant lies, for its module alone."""
        if fullname != self.name:
            return None
        own = importlib.machinery.PathFinder.find_spec(fullname, path)
        return importlib.util.spec_from_file_location(
            fullname,
            self.path,
            submodule_search_locations=own.submodule_search_locations if own else None,
        )


def noticed(mutant: Mutant, tests: Sequence[str], seconds: float) -> bool:
    """Run tests against a mutant; one that takes too long is ended, and that counts as noticed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.py"
        path.write_text(ast.unparse(changed_tree(source_of(mutant.module), mutant.number)), "utf-8")
        command = [sys.executable, __file__, f"{PACKAGE}.{mutant.module}", str(path), *tests]
        try:
            done = subprocess.run(
                command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return True
    if done.returncode == NO_TESTS:
        raise RuntimeError(f"no tests for {mutant.module}: {done.stdout[-500:]}")
    return done.returncode != 0


def main(name: str, path: str, *tests: str) -> int:
    """Run tests with a file in place of a module; return pytest's status."""
    import pytest
    from held import OPTIONS

    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, _InPlace(name, Path(path)))
    return int(pytest.main([*tests, *OPTIONS, f"--basetemp={Path(path).parent / 'tests'}"]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
