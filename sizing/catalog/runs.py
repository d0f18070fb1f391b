"""Lists in short form: `(sliding_attention*5 full_attention)*10 sliding_attention*2`.

`value*n` stands for n equal values, `(…)*n` for n repeats of a group.
"""

from __future__ import annotations

import re

from whatfits.sizing.errors import CatalogError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["expand_runs"]

_PART: Final = re.compile(r"\s*(\(|\)(?:\*(\d+))?|([\w.\-]+)(?:\*(\d+))?)")
_MAX_ITEMS: Final = 4096


def expand_runs(text: str) -> list[str | int | float]:
    """Return the list that a run-length text stands for; numbers become numbers.

    Raises:
        CatalogError: the text is not of that form, or the list would be longer than 4,096.
    """
    groups: list[list[str | int | float]] = [[]]
    position = 0
    end = len(text.rstrip())
    while position < end:
        part = _PART.match(text, position)
        if part is None:
            raise CatalogError(f"catalog: cannot read the list {text!r} at {position}")
        position = part.end()
        if part[1] == "(":
            groups.append([])
        elif part[3] is not None:
            groups[-1] += [_value(part[3])] * int(part[4] or 1)
        elif len(groups) > 1:
            group = groups.pop()
            groups[-1] += group * int(part[2] or 1)
        else:
            raise CatalogError(f"catalog: the list {text!r} closes a group that is not open")
        if len(groups[-1]) > _MAX_ITEMS:
            raise CatalogError(f"catalog: the list {text[:40]!r} is longer than {_MAX_ITEMS:,}")
    if len(groups) > 1:
        raise CatalogError(f"catalog: the list {text!r} has a group that is never closed")
    return groups[0]


def _value(text: str) -> str | int | float:
    if text[0].isalpha():
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)
