"""The tested versions: plain pins, complete, and within what pyproject.toml allows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LINES = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
PINS = [Requirement(line.partition("  #")[0]) for line in LINES if line and line[0] != "#"]
NEEDED = [
    Requirement(text) for text in (*PROJECT["dependencies"], *EXTRAS["bench"], *EXTRAS["dev"])
]


def test_every_line_pins_one_version_of_one_package() -> None:
    names = [canonicalize_name(pin.name) for pin in PINS]
    assert len(set(names)) == len(names)
    for pin in PINS:
        assert pin.url is None
        assert [specifier.operator for specifier in pin.specifier] == ["=="]


@pytest.mark.parametrize("needed", NEEDED, ids=lambda needed: str(needed.name))
def test_what_the_project_needs_was_tested_in_a_version_it_allows(needed: Requirement) -> None:
    (pin,) = (p for p in PINS if canonicalize_name(p.name) == canonicalize_name(needed.name))
    (specifier,) = pin.specifier
    assert needed.specifier.contains(specifier.version)


def test_every_requirement_has_a_lower_bound() -> None:
    every = [*NEEDED, *(Requirement(text) for name in ("web", "fleet") for text in EXTRAS[name])]
    bounds = {"==", ">="}
    assert [r.name for r in every if not bounds & {s.operator for s in r.specifier}] == []
