"""What an input of the pages is."""

from __future__ import annotations

from typing import Any

from whatfits.sizing.glossary.terms import find_term
from whatfits.sizing.values import dataclass

__all__ = ["Input", "meaning"]


@dataclass(frozen=True, slots=True)
class Input:
    """One input.

    Attributes:
        key: its name in the session and in the address.
        label: what stands beside it.
        default: its value when nobody chose; left out of the address.
        help: what it means, in a sentence or two.
        allowed: the values to choose from; empty where the catalog or a range says.
        most: largest number; None where there is none to give.
        least: smallest number.
    """

    key: str
    label: str
    default: Any
    help: str
    allowed: tuple[Any, ...] = ()
    most: int | None = None
    least: int = 0


def meaning(term: str) -> str:
    """Return what a term of the glossary means, as help beside what it names."""
    return find_term(term).meaning
