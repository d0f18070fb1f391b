"""Regular expressions that place tensors by name, and which of them nobody could wait for."""

from __future__ import annotations

import re

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["compiled_pattern"]

# an escape, a set, a group's ends, a repeat (`*`, `+`, `{2,}`, `{2,5}`), anything else
_TOKENS: Final = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[()]|(?P<repeat>[*+]|\{\d*,\d*\})|.", re.DOTALL
)
# A matcher that goes back tries every way to share a name out among them: of a name with 40
# letters 40 ways for one, 100,000 for four. Those in use have three at most.
_MOST_REPEATS: Final = 4


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """Return the expression compiled.

    Raises:
        InvalidRequestError: it is none, or its matching may never end.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidRequestError(
            what="override pattern", got=pattern, allowed="a regular expression"
        ) from error
    if _may_never_end(pattern):
        raise InvalidRequestError(
            what="override pattern",
            got=pattern,
            allowed=f"at most {_MOST_REPEATS} repeats (as * and +), and none within another",
        )
    return compiled


def _may_never_end(pattern: str) -> bool:
    """Return whether repeats stand within repeats, or too many of them in a row."""
    repeats = 0
    open_groups = [False]  # whether a repeat stands in them
    just_closed = False
    for token in _TOKENS.finditer(pattern):
        if token["repeat"]:
            if just_closed:
                return True
            repeats += 1
            open_groups[-1] = True
        if token[0] == "(":
            open_groups.append(False)
        just_closed = token[0] == ")" and open_groups.pop()
        if just_closed:
            open_groups[-1] = True
    return repeats > _MOST_REPEATS
