"""What is kept for steps that run as one, as the allocator is told of it.

Source: llama.cpp (0c1e57098) ggml/src/ggml-backend.cpp (ggml_backend_sched_split_graph).
"""

from __future__ import annotations

from collections import Counter

from whatfits.sizing.graph.tensor import NONE, Tensor
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Final

__all__ = ["uses_of", "with_kept"]

_MAX_SOURCES: Final = 10  # GGML_MAX_SRC


def uses_of(nodes: Iterable[Tensor]) -> Mapping[int, int]:
    """Return how often a graph reads a tensor, by identity; before copies take its place."""
    return Counter(id(src) for node in nodes for src in node.srcs)


def with_kept(nodes: Iterable[Tensor], kept: Mapping[int, Sequence[Tensor]]) -> Iterator[Tensor]:
    """Yield nodes, and behind each the tensors kept until it has run: as sources of idle nodes.

    `kept` is by the node's identity. An idle node looks at the first tensor it keeps.
    """
    for node in nodes:
        yield node
        tensors = kept.get(id(node), ())
        for at in range(0, len(tensors), _MAX_SOURCES):
            some = tuple(tensors[at : at + _MAX_SOURCES])
            first = some[0]
            held = Tensor(NONE, first.type, first.ne, nb=first.nb, srcs=some, view_of=first)
            held.place = node.place
            yield held
