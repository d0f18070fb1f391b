"""Every split of some layers over devices, and how far it is from another."""

from __future__ import annotations

from itertools import combinations_with_replacement, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["elsewhere", "every_split"]


def every_split(n_layers: int, n_devices: int) -> Iterator[tuple[int, ...]]:
    """Yield the layers of each device, in every way there is."""
    for ends in combinations_with_replacement(range(n_layers + 1), n_devices - 1):
        yield tuple(end - start for start, end in pairwise((0, *ends, n_layers)))


def elsewhere(counts: tuple[int, ...], own: tuple[int, ...]) -> int:
    """Layers on another device, one by one."""
    places, own_places = (
        [device for device, count in enumerate(split) for _ in range(count)]
        for split in (counts, own)
    )
    return sum(here != there for here, there in zip(places, own_places, strict=True))
