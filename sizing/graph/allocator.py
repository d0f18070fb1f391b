"""Where ggml's graph allocator puts things: best-fit, joined again when freed.

Source: llama.cpp ggml/src/ggml-alloc.c (ggml_dyn_tallocr_alloc, ggml_dyn_tallocr_free_bytes).
"""

from __future__ import annotations

from operator import itemgetter

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from typing import Final

    from whatfits.sizing.graph.repeat import Repeat
    from whatfits.sizing.graph.steps import Step, Steps

__all__ = ["Arena", "peaks_of"]

_ENDLESS: Final = 2**62


class Arena:
    """Free memory of one buffer: blocks (offset, size) in order; the last one has no end."""

    def __init__(self) -> None:
        """Start with one endless block."""
        self.blocks: list[list[int]] = [[0, _ENDLESS]]
        self.peak = 0

    def take(self, size: int) -> int:
        """Return the offset of `size` bytes: the tightest hole, else the end."""
        blocks = self.blocks
        best = blocks[-1]
        best_size = _ENDLESS
        for block in blocks:
            room = block[1]
            if size <= room <= best_size and block is not blocks[-1]:
                best, best_size = block, room
        offset = best[0]
        best[0] = end = offset + size
        best[1] -= size
        if best[1] == 0:
            del blocks[next(at for at, block in enumerate(blocks) if block is best)]
        self.peak = max(self.peak, end)
        return offset

    def give_back(self, offset: int, size: int) -> None:
        """Free bytes, joined with the free blocks they touch."""
        blocks = self.blocks
        for index, block in enumerate(blocks):
            if block[0] + block[1] == offset:
                block[1] += size
                if index + 1 < len(blocks) and block[0] + block[1] == blocks[index + 1][0]:
                    block[1] += blocks.pop(index + 1)[1]
                return
            if offset + size == block[0]:
                block[0] = offset
                block[1] += size
                return  # one that ends here would have taken it up before
        place = 0  # nothing at all may have lain behind what is free by now without an end
        while place < len(blocks) and blocks[place][0] < offset:
            place += 1
        blocks.insert(place, [offset, size])


def peaks_of(steps: Steps, n_arenas: int, repeats: Sequence[Repeat] = ()) -> tuple[int, ...]:
    """Return how far each arena is used by a graph whose `repeats` are in order."""
    arenas = [Arena() for _ in range(n_arenas)]
    offsets, further = _fixed_offsets(steps, arenas, repeats)
    pauses = [
        (at, brought, one, own)
        for one, own in zip(repeats, further, strict=True)
        for at, brought in (*one.early, (one.at, None))
    ]
    done = 0
    for at, brought, one, own in sorted(pauses, key=itemgetter(0)):
        _follow(steps.steps[done:at], offsets, arenas)
        done = at
        if brought is None:
            _repeat(one, offsets, own, arenas)
        else:
            for copy in own:
                _follow(brought, copy, arenas)
    _follow(steps.steps[done:], offsets, arenas)
    return tuple(arena.peak for arena in arenas)


def _fixed_offsets(
    steps: Steps, arenas: Sequence[Arena], repeats: Sequence[Repeat]
) -> tuple[list[int], list[list[list[int]]]]:
    """Return the offsets of the fixed slots, and for each copy of each repeat those of its own."""
    offsets: list[int] = []
    further: list[list[list[int]]] = [[[] for _ in range(one.copies)] for one in repeats]
    runs = {run[0]: (at, run) for at, one in enumerate(repeats) for run in one.own_runs}
    done = 0
    for slot, (at, run) in sorted(runs.items()):
        _follow(steps.fixed[done:slot], offsets, arenas)
        done = slot
        for copy in further[at]:
            _follow((steps.fixed[one] for one in run), copy, arenas)
    _follow(steps.fixed[done:], offsets, arenas)
    return offsets, further


def _repeat(
    repeat: Repeat, offsets: list[int], further: list[list[int]], arenas: Sequence[Arena]
) -> None:
    """Go through the copies of a period; what enters it lies where the last one left it.

    Where the memory is as it was before an earlier copy, what lies between is left out as often as
    it would come again.
    """
    entering = [offsets[slot] for slot in repeat.enters]
    seen: dict[Hashable, int] = {}
    at, copies = 0, repeat.copies
    while at < copies:
        if not further[at]:
            free = tuple(tuple(map(tuple, arena.blocks)) for arena in arenas)
            before = seen.setdefault((free, tuple(entering)), at)
            if before != at:
                copies = at + (copies - at) % (at - before)
                seen.clear()
                if at == copies:
                    break
        window = [*entering, *further[at]]
        known = len(window)
        _follow(repeat.steps, window, arenas)
        entering = [window[known + slot] for slot in repeat.leaves]
        at += 1
    for slot, offset in zip(repeat.enters, entering, strict=True):
        offsets[slot] = offset


def _follow(steps: Iterable[Step], offsets: list[int], arenas: Sequence[Arena]) -> None:
    """Take and give back; offsets of what is taken are added in order."""
    for step in steps:
        if len(step) == 2:  # noqa: PLR2004 - takes memory
            offsets.append(arenas[step[0]].take(step[1]))
        else:
            arena, slot, behind, size = step
            arenas[arena].give_back(offsets[slot] + behind, size)
