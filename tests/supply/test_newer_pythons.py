"""The sources keep to Python 3.11's syntax, and use nothing that 3.12 to 3.14 took away.

Where such an interpreter is there, `make legs` runs the tests with it; this holds everywhere.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
import warnings

import pytest
from floors import ROOT
from retired import retired

FOLDERS = ("sizing", "probes", "webapp", "bench", "tests")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
OLDEST = (3, 11)
SUPPORTED = ("3.11", "3.12", "3.13")
BAD = {
    "a module": "import imp",
    "a part of a module": "from distutils.core import setup",
    "a name": "import ast\nast.Num",
    "a name under another": "import datetime as dt\ndt.datetime.utcnow()",
    "a name from": "from datetime import datetime\ndatetime.utcnow()",
    "a way to start": "import multiprocessing\nmultiprocessing.Pool()",
    "a return": "def f():\n    try:\n        pass\n    finally:\n        if 1:\n            return",
}
GOOD = {
    "a newer name": "import datetime as dt\ndt.datetime.now(dt.UTC)",
    "a context": "import multiprocessing\nmultiprocessing.get_context('spawn').Pool()",
    "a name of ours": "cgi = 1\ncgi.real",
    "a return within": "try:\n    pass\nfinally:\n    def f():\n        return 1",
}


def test_the_sources_are_of_the_oldest_python_and_warn_of_nothing() -> None:
    assert len(FILES) > 800
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as of an escape that is none
        for path in FILES:
            text = path.read_text("utf-8")
            ast.parse(text, str(path), feature_version=OLDEST)
            compile(text, str(path), "exec", dont_inherit=True)


def test_the_linter_knows_the_oldest_python() -> None:
    settings = (
        "--config",
        str(ROOT / "pyproject.toml"),
        "--no-cache",
        "--output-format",
        "concise",
    )
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *settings, "--stdin-filename", "sizing/x.py", "-"],
        capture_output=True,
        check=False,
        input="type Sizes = list[int]\n",
        text=True,
    )
    assert "invalid-syntax" in done.stdout
    assert "3.11" in done.stdout


def test_nothing_is_used_that_newer_pythons_do_not_have() -> None:
    found = {str(path): retired(path.read_text("utf-8")) for path in FILES}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("name", BAD)
def test_what_is_retired_is_caught(name: str) -> None:
    assert retired(BAD[name])


@pytest.mark.parametrize("name", GOOD)
def test_what_stays_is_let_through(name: str) -> None:
    assert retired(GOOD[name]) == []


def test_the_project_says_which_pythons_it_supports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    said = [
        line.rpartition(":: ")[2]
        for line in project["project"]["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    ]
    assert tuple(said) == SUPPORTED
    assert project["project"]["requires-python"] == f">={SUPPORTED[0]}"
    assert project["tool"]["ruff"]["target-version"] == f"py{SUPPORTED[0].replace('.', '')}"
    assert project["tool"]["pyright"]["pythonVersion"] == SUPPORTED[0]
