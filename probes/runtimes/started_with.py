"""What a server's own command line names, where its API does not tell it."""

from __future__ import annotations

from whatfits.probes.runtimes.answers import text
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["option"]


def option(command: Sequence[str], name: str) -> str | None:
    """Return the value of an option, as `--model PATH` or `--model=PATH`; the last one counts."""
    found = None
    for word, following in zip(command, (*command[1:], None), strict=True):
        if word == name:
            found = following
        elif word.startswith(f"{name}="):
            found = word.partition("=")[2]
    return text(found)
