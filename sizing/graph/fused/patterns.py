"""Sequences of steps that back ends look for, and what they ask of them.

Source: llama.cpp (0c1e57098) ggml/src/ggml.c (ggml_can_fuse_subgraph_ext).
"""

from __future__ import annotations

from whatfits.sizing.graph.tensor import OUTPUT, VIEWS, Tensor
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Final

__all__ = [
    "NORMALISED",
    "Part",
    "is_alone",
    "is_contiguous_from",
    "is_empty",
    "keep_outer",
    "keep_until",
    "reads",
    "same_ops",
]

NORMALISED: Final = ("RESHAPE", "SUM_ROWS", "CLAMP", "DIV", "RESHAPE")
"""How the shares of chosen experts are made to sum to one."""


class Part(NamedTuple):
    """One back end's part of a graph.

    Attributes:
        nodes: of the whole graph.
        start: the part's first node.
        end: the first one after it.
        uses: how often the graph reads a tensor, by identity.
        kept: what is to be kept until a node has run, by the node's identity; added to.
    """

    nodes: Sequence[Tensor]
    start: int
    end: int
    uses: Mapping[int, int]
    kept: dict[int, list[Tensor]]


def same_ops(part: Part, at: int, ops: Sequence[str]) -> bool:
    """Return whether nodes from `at` on, all of the part, have these operations."""
    return at + len(ops) <= part.end and all(
        node.op == op for node, op in zip(part.nodes[at : at + len(ops)], ops, strict=True)
    )


def is_alone(part: Part, group: Sequence[Tensor], outputs: Iterable[Tensor]) -> bool:
    """Return whether nobody outside a group reads anything of it but its outputs."""
    members = {id(node) for node in group}
    handed_out = {id(node) for node in outputs}
    for at, node in enumerate(group):
        if id(node) in handed_out:
            continue
        if node.flags & OUTPUT:
            return False
        inside = sum(src is node for later in group[at + 1 :] for src in later.srcs)
        if inside != part.uses.get(id(node), 0):
            return False
        root = node.view_of
        if root is not None and id(root) not in members and not root.is_weight:
            return False
    return True


def keep_until(part: Part, last: Tensor, tensors: Iterable[Tensor]) -> None:
    """Note that tensors are kept until a node has run, each once."""
    kept = part.kept.setdefault(id(last), [])
    known = {id(tensor) for tensor in kept}
    for tensor in tensors:
        if id(tensor) not in known:
            known.add(id(tensor))
            kept.append(tensor)


def keep_outer(part: Part, last: Tensor, group: Iterable[Tensor]) -> None:
    """Note that what a group of nodes reads and has not made is kept until a node has run."""
    made: set[int] = set()
    for node in group:
        keep_until(part, last, [src for src in node.srcs if id(src) not in made])
        made.add(id(node))


def reads(node: Tensor, which: int, source: Tensor) -> bool:
    """Return whether a node's source of that number is a tensor."""
    return len(node.srcs) > which and node.srcs[which] is source


def is_contiguous_from(tensor: Tensor, axis: int) -> bool:
    """Return whether there are no gaps but along axes up to that one (ggml_is_contiguous_n)."""
    info = GGML_TYPES[tensor.type]
    if tensor.ne[0] != info.block_elements and tensor.nb[0] != info.block_bytes:
        return False
    expected = info.block_bytes * tensor.ne[0] // info.block_elements
    for at in range(1, len(tensor.ne)):
        if at <= axis:
            expected = tensor.ne[at] * tensor.nb[at]
            continue
        if tensor.ne[at] != 1 and tensor.nb[at] != expected:
            return False
        expected *= tensor.ne[at]
    return True


def is_empty(node: Tensor) -> bool:
    """Return whether a node does no work."""
    return node.op in VIEWS
