"""What a long command is at: one line on standard error, on a terminal only."""

from __future__ import annotations

import sys
from contextlib import contextmanager

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["progress_shown"]


@contextmanager
def progress_shown(
    *, quiet: bool, first: str = "starting", before: str = ""
) -> Iterator[Callable[[str], None] | None]:
    """Yield what shows a stage, `before` put before it; None where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(first) as status:
        yield lambda stage: status.update(f"{before}{stage}")
