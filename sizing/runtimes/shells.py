"""Commands as the shell of a system reads them: sh, and on Windows PowerShell.

Words without `$` and quotes are written so that the older prompt of Windows reads them as well.
Source: Microsoft Learn, about_Quoting_Rules, about_Environment_Variables, about_Arrays (a bare
comma makes two arguments of one); POSIX.1-2017, Shell Command Language, 2.2 Quoting.
"""

from __future__ import annotations

import shlex

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

__all__ = ["command_line", "file_lines", "is_windows", "with_settings"]

_WINDOWS: Final = "windows"


def is_windows(os: str | None) -> bool:
    """Return whether commands for a system are written for PowerShell."""
    return os == _WINDOWS


def command_line(words: Iterable[str], *, os: str | None) -> str:
    """Return one line that starts a program with these words as its arguments."""
    if not is_windows(os):
        return shlex.join(words)
    from whatfits.sizing.runtimes.powershell import powershell_word  # noqa: PLC0415 - Windows alone

    return " ".join(map(powershell_word, words))


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
