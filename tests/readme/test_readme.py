"""README.md shows what the commands print today, and names what exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from whatfits.sizing.cli import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PROSE = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


@pytest.mark.slow
def test_what_readme_shows_is_what_is_printed_today() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "readme" / "generate.py", "--check"],
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, f"run 'make data'\n{done.stdout}{done.stderr}"


def test_every_shown_command_was_run() -> None:
    shown = re.findall(r"^\$ (whatfits.*)$", README, re.MULTILINE)
    assert len(shown) >= 4
    assert shown == re.findall(r"<!-- made by: (whatfits.*?) -->", README)


def test_every_command_is_in_the_list() -> None:
    for name, summary in COMMANDS:
        assert re.search(rf"^  {name} +{re.escape(summary)}$", README, re.MULTILINE)


def test_no_command_is_named_that_does_not_exist() -> None:
    named = re.findall(r"(?:^|`|'|\$ )whatfits ([a-z]+)", README, re.MULTILINE)
    assert set(named) <= {name for name, _ in COMMANDS}


def test_the_two_commands_and_what_they_need_come_first() -> None:
    top = README[:1500]
    assert top.index("make run") < top.index("make test")
    assert "Python 3.11" in top
    assert "CMake" in top


@pytest.mark.parametrize("path", PROSE, ids=[path.name for path in PROSE])
def test_every_path_and_target_that_is_linked_or_named_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    targets = {line.partition(":")[0] for line in MAKEFILE.splitlines() if ":" in line}
    assert set(re.findall(r"`make ([a-z]+)", text)) <= targets
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
    folders = ("sizing/", "probes/", "bench/", "webapp/", "tests/", "docs/", ".ci/")
    named = {word for word in re.findall(r"`([\w./-]+)`", text) if word.startswith(folders)}
    assert [word for word in sorted(named) if not (ROOT / word).exists()] == []


def test_shell_examples_can_be_split() -> None:
    for line in re.findall(r"^\$ (.*)$", README, re.MULTILINE):
        assert shlex.split(line)
