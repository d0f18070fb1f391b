"""What pyproject.toml asks of other projects: each package, its floor, and why it is that one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
# What a user can install: the dependencies, and the extras that need no compiler. The extra
# `bench` is pinned to one version; what developers use is pinned in constraints.txt.
EXTRAS = ("web", "fleet")
_LINE = re.compile(r'^\s*"(?P<text>[^"]+)",?\s*#\s*(?P<reason>.+)$', re.MULTILINE)


class Floor(NamedTuple):
    """One requirement of a user's install.

    Attributes:
        asked: the requirement as it stands.
        version: the lowest version that it allows.
        reason: what the comment beside it says.
    """

    asked: Requirement
    version: str
    reason: str

    @property
    def name(self) -> str:
        """The package, as the index spells it."""
        return self.asked.name


def floors() -> Iterator[Floor]:
    """Yield every requirement of a user's install; a reason that is missing is empty."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    reasons = {match["text"]: match["reason"] for match in _LINE.finditer(text)}
    groups = (project["dependencies"], *(project["optional-dependencies"][e] for e in EXTRAS))
    for asked in (line for group in groups for line in group):
        requirement = Requirement(asked)
        (version,) = (s.version for s in requirement.specifier if s.operator == ">=")
        yield Floor(requirement, version, reasons.get(asked, ""))


def lowest() -> str:
    """Return a constraints file with the lowest version of everything that has a floor."""
    return "".join(f"{floor.name}=={floor.version}\n" for floor in floors())
