"""Commands as the shell of a system reads them: sh, and on Windows PowerShell.

Words without `$` and quotes are written so that the older prompt of Windows reads them as well.
Source: Microsoft Learn, about_Quoting_Rules, about_Environment_Variables, about_Arrays (a bare
comma makes two arguments of one); POSIX.1-2017, Shell Command Language, 2.2 Quoting.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["command_line", "file_lines", "is_windows", "with_settings"]

_WINDOWS: Final = "windows"
_BARE: Final = re.compile(r"[\w./\\:=+-]+", re.ASCII)
# PowerShell takes the marks of typography for quotes, too
_EXPANDED: Final = re.compile('[$`"\u201c\u201d\u201e]')
_SINGLE_QUOTES: Final = re.compile("(['\u2018\u2019\u201a\u201b])")


def is_windows(os: str | None) -> bool:
    """Return whether commands for a system are written for PowerShell."""
    return os == _WINDOWS


def command_line(words: Iterable[str], *, os: str | None) -> str:
    """Return one line that starts a program with these words as its arguments."""
    if not is_windows(os):
        return shlex.join(words)
    return " ".join(map(_powershell_word, words))


def with_settings(settings: Sequence[tuple[str, str]], line: str, *, os: str | None) -> str:
    """Return a line that starts a program under settings of its environment.

    In PowerShell they stay set in that window.
    """
    if not is_windows(os):
        return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in settings), line])
    return "; ".join([*(f'$env:{name} = "{value}"' for name, value in settings), line])


def file_lines(name: str, content: Sequence[str], *, os: str | None) -> tuple[str, ...]:
    """Return the lines that write a text file; no line of it may be `END` or begin with `'@`."""
    if not is_windows(os):
        return (f"cat > {name} <<'END'", *content, "END")
    return ("@'", *content, f"'@ | Set-Content -Encoding utf8 {name}")


def _powershell_word(word: str) -> str:
    if _BARE.fullmatch(word):
        return word
    if _EXPANDED.search(word):
        return "'" + _SINGLE_QUOTES.sub(r"\1\1", word) + "'"
    return f'"{word}"'
