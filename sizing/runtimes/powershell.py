"""Words as PowerShell reads them.

Source: Microsoft Learn, about_Quoting_Rules, about_Arrays (a bare comma makes two of one).
"""

from __future__ import annotations

import re

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["powershell_word"]

_BARE: Final = re.compile(r"[\w./\\:=+-]+", re.ASCII)
# PowerShell takes the marks of typography for quotes, too
_EXPANDED: Final = re.compile('[$`"\u201c\u201d\u201e]')
_SINGLE_QUOTES: Final = re.compile("(['\u2018\u2019\u201a\u201b])")


def powershell_word(word: str) -> str:
    """Return a word in quotes where PowerShell would read anything else into it."""
    if _BARE.fullmatch(word):
        return word
    if _EXPANDED.search(word):
        return "'" + _SINGLE_QUOTES.sub(r"\1\1", word) + "'"
    return f'"{word}"'
