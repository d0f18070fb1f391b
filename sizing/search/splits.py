"""Splits of layers over accelerators: how many each gets, in order, the output layer last.

llama.cpp shares layers out by index, in proportion to numbers of any size (`-ts`). The layer counts
themselves are such numbers, and the split by them is exact: an index reaches a device's end where
both are the same fraction in 32 bits (see `whatfits.sizing.placement.layer_devices`).
"""

from __future__ import annotations

from itertools import accumulate, pairwise

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["left_bytes", "moved_layers", "nearest_split"]


def nearest_split(
    layer_bytes: Sequence[Sequence[int]], room_bytes: Sequence[int], own: Sequence[int]
) -> tuple[int, ...] | None:
    """Return the layers of each device in the split that moves fewest away from `own`.

    `layer_bytes` has a row for each device: what each layer would take there. A device without
    layers needs no room. Of splits that move as few, the one with more layers on the last device
    is returned, then on the one before it. None when no split leaves every other device its room.
    """
    n_layers = sum(own)
    own_end = 0
    # of the layers that the devices so far hold: how many moved, and how many are on each
    reached: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
    for device, (column, room) in enumerate(zip(layer_bytes, room_bytes, strict=True)):
        sums = [0, *accumulate(column)]
        own_start, own_end = own_end, own_end + own[device]
        is_last = device == len(room_bytes) - 1
        found: dict[int, tuple[int, tuple[int, ...]]] = {}
        for start, (moved, counts) in reached.items():
            for end in (n_layers,) if is_last else range(start, n_layers + 1):
                if end > start and sums[end] - sums[start] > room:
                    break
                stay = max(0, min(end, own_end) - max(start, own_start))
                total = moved + end - start - stay
                if end not in found or total < found[end][0]:
                    found[end] = (total, (*counts, end - start))
        reached = found
    return reached[n_layers][1] if n_layers in reached else None


def moved_layers(counts: Sequence[int], own: Sequence[int]) -> int:
    """Return how many layers lie on another device than under a split of as many."""
    ends, own_ends = ([0, *accumulate(split)] for split in (counts, own))
    stay = (
        min(end, own_end) - max(start, own_start)
        for (start, end), (own_start, own_end) in zip(
            pairwise(ends), pairwise(own_ends), strict=True
        )
    )
    return sum(own) - sum(max(0, n_layers) for n_layers in stay)


def left_bytes(layer_bytes: Sequence[Sequence[int]], room_bytes: Sequence[int]) -> int:
    """Return the room left over all devices, each filled in turn with as many layers as it holds.

    Negative when no split leaves each its room: then by what found no place.
    """
    held, left = 0, 0
    for column, room in zip(layer_bytes, room_bytes, strict=True):
        taken = 0
        while held < len(column) and taken + column[held] <= room:
            taken += column[held]
            held += 1
        left += max(0, room) - taken
    unplaced = layer_bytes[-1][held:]
    return -sum(unplaced) if unplaced else left
