"""Every reported bug has a place where it would be noticed, and every place exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from bugs import BUGS, Bug

ROOT = Path(__file__).parents[2]
REPORT = re.compile(r"[\w.-]+/[\w.-]+#\d+|CVE-\d{4}-\d+")


@cache
def functions(path: str) -> dict[str, str]:
    """Return the docstring of every function of a file, those in classes included."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in found}


def own_tests() -> dict[str, str]:
    """Return the tests of this folder that name a report, and what they say of it."""
    found = {}
    for path in sorted((ROOT / "tests" / "peers").glob("test_*.py")):
        name = path.relative_to(ROOT).as_posix()
        for function, said in functions(name).items():
            if function.startswith("test_") and REPORT.search(said):
                found[f"{name}::{function}"] = said
    return found


def test_there_are_many_reports_and_none_is_empty() -> None:
    reports = {report for bug in BUGS for report in bug.reports}
    assert len(reports) >= 80
    assert all(bug.reports and bug.places for bug in BUGS)
    assert len({bug.what for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_the_places_of_a_bug_exist(bug: Bug) -> None:
    for place in bug.places:
        path, _, function = place.partition("::")
        assert (ROOT / path).is_file(), place
        assert not function or function in functions(path), place


@pytest.mark.parametrize(("test", "said"), own_tests().items())
def test_a_report_that_a_test_names_is_in_the_table(test: str, said: str) -> None:
    numbered = re.sub(r"\((?:and )?(#\d+)", r"\1", said)
    for report in REPORT.findall(numbered):
        assert any(report in bug.reports and test in bug.places for bug in BUGS), report


def test_a_place_that_is_gone_would_be_noticed() -> None:
    gone = Bug("nothing", ("nobody/nothing#1",), ("tests/peers/test_bugs.py::test_not_there",))
    with pytest.raises(AssertionError):
        test_the_places_of_a_bug_exist(gone)
