"""Every floor has a reason, and the versions allowed are those that were tried."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from floors import ROOT, Floor, floors, lowest
from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOORS = tuple(floors())
RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.txt"))
# What is asked for that no module imports: what another package brings, kept above an advisory.
BROUGHT = {"starlette", "python-multipart", "urllib3"}
IMPORTED_AS = {"nvidia-ml-py": "pynvml", "py-cpuinfo": "cpuinfo"}


def versions(recorded: Path) -> dict[str, Version]:
    """Return what a leg ended up with."""
    lines = recorded.read_text("utf-8").splitlines()[1:]
    pairs = (line.partition("==")[::2] for line in lines)
    return {canonicalize_name(name): Version(version) for name, version in pairs}


@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: str(floor.name))
def test_a_floor_says_why_it_is_that_one(floor: Floor) -> None:
    assert re.match(r"(CVE-\d{4}-\d{4,}|[a-zA-Z.]+ ?)", floor.reason)
    assert len(floor.reason.split()) > 1


@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: str(floor.name))
def test_what_is_asked_for_is_imported_or_brought_for_a_reason(floor: Floor) -> None:
    if floor.name in BROUGHT:
        assert floor.reason.startswith("CVE-")
        return
    assert IMPORTED_AS.get(floor.name, floor.name) in imported()


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: str(path.stem))
def test_a_leg_ran_with_what_is_allowed(recorded: Path) -> None:
    ran = versions(recorded)
    for floor in FLOORS:
        assert floor.asked.specifier.contains(ran[canonicalize_name(floor.name)]), floor.name


def test_the_lowest_leg_ran_with_every_floor() -> None:
    (recorded,) = (path for path in RECORDED if path.stem == "lowest-3.11")
    ran = versions(recorded)
    assert {f.name: ran[canonicalize_name(f.name)] for f in FLOORS} == {
        f.name: Version(f.version) for f in FLOORS
    }


def test_the_constraints_of_the_lowest_leg_are_exact() -> None:
    lines = lowest().splitlines()
    assert len(lines) == len(FLOORS)
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in lines)


@pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: str(floor.name))
def test_this_environment_has_what_is_allowed(floor: Floor) -> None:
    try:
        here = installed(floor.name)
    except PackageNotFoundError:
        pytest.skip(f"{floor.name} is not installed")
    assert floor.asked.specifier.contains(here)


@cache
def imported() -> frozenset[str]:
    """Return the packages that the modules import, those named in a string as well."""
    found: set[str] = set()
    for folder in ("sizing", "probes", "webapp", "bench"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= set(_imports(ast.parse(path.read_text("utf-8"))))
    return frozenset(name.partition(".")[0] for name in found)


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
            yield from (str(a.value) for a in node.args if isinstance(a, ast.Constant))
