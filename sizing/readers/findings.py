"""What a reader found odd but harmless, in a bounded number of printable lines."""

from __future__ import annotations

from whatfits.sizing.errors import printable
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["MISSING_DATA", "Findings"]

MISSING_DATA: Final = "tensor data incomplete"


class Findings:
    """What is odd but harmless, one line a rule however often it is broken."""

    __slots__ = ("_count", "_example")

    def __init__(self) -> None:
        self._count: dict[str, int] = {}
        self._example: dict[str, str] = {}

    def add(self, rule: str, example: object = None) -> None:
        """Record that `rule` was broken; the first example is shown."""
        self._count[rule] = self._count.get(rule, 0) + 1
        if rule not in self._example:
            self._example[rule] = "" if example is None else f": {printable(example)!r}"

    def lines(self) -> tuple[str, ...]:
        """Return one printable line a rule."""
        return tuple(
            f"{rule}{self._example[rule]}" + (f" and {count - 1:,} more" if count > 1 else "")
            for rule, count in self._count.items()
        )
