"""The table of bugs reported of other tools: what, by whom, and where it would be noticed here."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["BUGS", "Bug"]

_TABLE: Final = Path(__file__).with_name("bugs.toml")


class Bug(NamedTuple):
    """One mistake, its reports, and the tests, cases and recordings that hold it."""

    what: str
    reports: tuple[str, ...]
    places: tuple[str, ...]


def _read() -> tuple[Bug, ...]:
    rows = tomllib.loads(_TABLE.read_text("utf-8"))["bug"]
    return tuple(Bug(row["what"], tuple(row["reports"]), tuple(row["places"])) for row in rows)


BUGS: Final = _read()
