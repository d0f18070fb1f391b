"""Processors by name: cores, clock and kernels, as their makers tell (`processors/*.toml`)."""

from __future__ import annotations

import re

from whatfits.sizing.catalog.index_file import read_json
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["ProcessorFacts", "processor_facts", "processor_key", "processor_named"]

_INDEX: Final = "processors.json"
_BRANDS: Final = frozenset({"amd", "intel", "core", "cpu", "processor"})
_WITH_A_LETTER: Final = re.compile(r"\d{3,5}[a-z]\w*")


class ProcessorFacts(NamedTuple):
    """What is known of one socket; None is unknown.

    Attributes:
        name: as its maker writes it, with the kinds of ARM's cores, or how many of a hybrid PC's
            are fast.
        cores: threads that llama.cpp starts: one a core, of a hybrid PC's one a fast core.
        fast_cores: what those are worth in the fastest; None where they are alike.
        clock_hz: highest clock of a core.
        features: instruction sets of its kernels.
    """

    name: str
    cores: int
    fast_cores: float | None
    clock_hz: int | None
    features: tuple[str, ...]


def processor_key(name: str) -> str:
    """Return how a processor is looked up, from its name without other words."""
    return " ".join(name.casefold().split())


def processor_named(text: str) -> str | None:
    """Return the only processor whose name has these words, as `5600x` or `i7 13700k`; else None.

    A number with a letter behind it must be among them, for cards are named by bare ones.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    typed = _words(text) - _BRANDS
    if not any(_WITH_A_LETTER.fullmatch(word) for word in typed):
        return None
    found = [name for name in read_json(_INDEX)["cpus"] if typed <= _words(name)]
    found.sort(key=_length)
    # the shortest, for a PRO is one that says so
    alone = len(found) == 1 or (len(found) > 1 and _length(found[0]) < _length(found[1]))
    return found[0] if alone else None


def _words(name: str) -> set[str]:
    return set(name.casefold().replace("-", " ").split())


def _length(name: str) -> int:
    return len(_words(name))


def processor_facts(name: str) -> ProcessorFacts | None:
    """Return what is known of a processor by what `named_cpu` returns as its name; None for others.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    index = read_json(_INDEX)
    key = processor_key(name)
    # a plus at the end (Platinum 8480+) is lost where a machine's parts are added with it
    row = index["cpus"].get(key) or index["cpus"].get(f"{key}+")
    if row is None:
        return None
    shown, cores, fast_cores, clock_hz, features = row
    return ProcessorFacts(shown, cores, fast_cores, clock_hz, tuple(index["features"][features]))
