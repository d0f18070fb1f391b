"""Vulkan: steps that do not wait for each other come together, and routing keeps what it reads.

Source: llama.cpp (0c1e57098) ggml/src/ggml-vulkan/ggml-vulkan.cpp (ggml_vk_graph_optimize).
"""

from __future__ import annotations

from whatfits.sizing.graph.fused.patterns import Part, keep_outer
from whatfits.sizing.graph.fused.vulkan_pulls import pull
from whatfits.sizing.graph.fused.vulkan_steps import Steps
from whatfits.sizing.graph.fused.vulkan_table import (
    ALL,
    APART,
    NEXT,
    ROUTING,
    SELECTION,
    STREAMS,
    TOGETHER,
)
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["fuse"]

_LOOKS_AHEAD: Final = 20


def fuse(part: Part) -> Sequence[Tensor]:
    """Return the part's nodes in the order that they run in; what is to be kept is noted."""
    steps = Steps(part)
    while steps.first < len(steps.nodes):
        together = _pattern_at_first(steps)
        steps.take(range(steps.first, steps.first + together) if together else _next_set(steps))
    return steps.order


def _pattern_at_first(steps: Steps) -> int:
    """Return how many nodes stay together from the first one on; note what they keep."""
    first = steps.first
    for ops in ROUTING:
        if steps.matches(ops, first):
            last = first + len(ops) - 1
            if last + 1 < len(steps.nodes) and steps.nodes[last + 1].op == "SCALE":
                last += 1
            _keep_sources(steps, len(ops), last)
            return len(ops)
    for ops in TOGETHER:
        if steps.matches(ops, first):
            return len(ops)
    if steps.matches(STREAMS, first):
        _keep_sources(steps, len(STREAMS), first + len(STREAMS) - 1)
        return len(STREAMS)
    return 0


def _keep_sources(steps: Steps, count: int, last: int) -> None:
    """Note that what a pattern reads from outside is kept until its last node."""
    group = steps.nodes[steps.first : steps.first + count]
    keep_outer(steps.part, steps.nodes[last], group)


def _next_set(steps: Steps) -> list[int]:
    """Return the first node and those after it that need not wait for what lies between."""
    chosen = [steps.first]
    ahead = range(steps.first + 1, min(steps.first + _LOOKS_AHEAD, len(steps.nodes)))
    for at in ahead:
        if steps.used[at] or steps.empty[at] or _begins_pattern(steps, at):
            continue
        if _is_free(steps, at, chosen[-1]):
            chosen.append(at)
            pull(steps, at, chosen)
    # what only looks at memory, unless an addition is to meet what comes next
    if steps.nodes[chosen[-1]].op != "ADD":
        for at in ahead:
            if steps.used[at] or not steps.empty[at]:
                continue
            among = set(chosen)
            if not any(
                not steps.used[before] and before not in among and steps.waits(at, before)
                for before in range(steps.first, at)
            ):
                chosen.append(at)
    return chosen


def _begins_pattern(steps: Steps, at: int) -> bool:
    """Return whether a sequence of the table begins here, or the node lies within a selection."""
    inside = range(len(SELECTION))
    return any(steps.matches(SELECTION, at - step) for step in inside) or any(
        steps.matches(ops, at) for ops in ALL
    )


def _is_free(steps: Steps, at: int, last: int) -> bool:
    """Return whether a node waits for none before it, or may run right behind the last chosen."""
    for before in range(steps.first, at):
        if steps.used[before] or not steps.waits(at, before):
            continue
        pair = (steps.nodes[before].op, steps.nodes[at].op)
        if before != last:
            return False
        if pair in APART and steps.nothing_between(before + 1, at):
            continue
        if not (at == before + 1 and pair in NEXT):
            return False
    return True
