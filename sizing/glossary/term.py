"""What a term of the glossary is."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.machine import Machine

__all__ = ["Term"]


@dataclass(frozen=True, slots=True)
class Term:
    """A term, other names for it, what it means, and what it means here.

    Attributes:
        name: the term as it is shown.
        aliases: other ways to ask for it, lower case.
        meaning: plain sentences.
        here: returns sentences with figures for a machine; None when there are none to give.
        see: commands that go further.
    """

    name: str
    aliases: tuple[str, ...]
    meaning: str
    here: Callable[[Machine], tuple[str, ...]] | None = None
    see: tuple[str, ...] = ()
