"""CUDA and ROCm: what the routing of experts and the sum of their outputs read is kept.

Source: llama.cpp (0c1e57098) ggml/src/ggml-cuda/ggml-cuda.cu (ggml_backend_cuda_graph_optimize,
ggml_cuda_topk_moe_fusion, ggml_cuda_match_moe_weighted_reduction), topk-moe.cu
(ggml_cuda_should_use_topk_moe).
"""

from __future__ import annotations

from whatfits.sizing.graph.fused.patterns import (
    NORMALISED,
    is_alone,
    keep_until,
    reads,
    same_ops,
)
from whatfits.sizing.graph.tensor import is_contiguous
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.graph.fused.patterns import Part
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["fuse"]

_F32: Final = "F32"
_FEWEST_EXPERTS: Final = 2
_MOST_EXPERTS_USED: Final = 15
_MOST_EXPERTS: Final = 512
_OTHER_COUNTS: Final = frozenset({288, 576})  # of experts, beside the powers of two
_GATES: Final = (("UNARY", "SQRT"), ("UNARY",), ("SOFT_MAX",))
_FIRST: Final = frozenset(ops[0] for ops in _GATES)


def fuse(part: Part) -> Sequence[Tensor]:
    """Return the part's nodes as they are; what its fused steps read is noted."""
    nodes = part.nodes
    at = part.start
    while at < part.end:
        summed = _weighted_sum(part, at)
        if summed is not None:
            at, read = summed
            keep_until(part, nodes[at], read)
        behind = _routing(part, at)
        # the step behind them is where they end
        if behind is not None and behind < len(nodes):
            for node in nodes[at:behind]:
                keep_until(part, nodes[behind], (node, *node.srcs))
        at += 1
    return nodes[part.start : part.end]


def _routing(part: Part, at: int) -> int | None:
    """Return what follows the steps from `at` on that choose experts, where one can do it."""
    nodes = part.nodes
    if nodes[at].op not in _FIRST:
        return None
    gate = next((ops for ops in _GATES if same_ops(part, at, ops)), None)
    if gate is None or (len(gate) > 1 and not reads(nodes[at + 1], 0, nodes[at])):
        return None
    scores = nodes[at + len(gate) - 1]
    place = at + len(gate)
    if not (same_ops(part, place, ("RESHAPE",)) and reads(nodes[place], 0, scores)):
        return None
    reshaped = nodes[place]
    place += 1
    biased = same_ops(part, place, ("ADD",)) and reads(nodes[place], 0, scores)
    if biased:
        scores = nodes[place]
        place += 1
    if not same_ops(part, place, ("ARGSORT", "VIEW", "GET_ROWS")):
        return None
    order, ids, rows = nodes[place : place + 3]
    is_chain = reads(order, 0, scores) and reads(ids, 0, order)
    if not (is_chain and reads(rows, 0, reshaped) and reads(rows, 1, ids)):
        return None
    place += 3
    if _is_normalised(part, place):
        place += len(NORMALISED)
    if same_ops(part, place, ("SCALE",)) and reads(nodes[place], 0, nodes[place - 1]):
        place += 1
    shares, logits = nodes[place - 1], nodes[at].srcs[0]
    group = nodes[at:place]
    if _has_kernel(nodes[at], logits, shares, ids) and is_alone(part, group, (ids, shares)):
        return place
    return None


def _is_normalised(part: Part, at: int) -> bool:
    if not same_ops(part, at, NORMALISED):
        return False
    before, reshaped, total, clamped, shares, end = part.nodes[at - 1 : at + len(NORMALISED)]
    chain = ((reshaped, before), (total, reshaped), (clamped, total), (shares, reshaped))
    return (
        all(reads(node, 0, source) for node, source in chain)
        and reads(shares, 1, clamped)
        and reads(end, 0, shares)
    )


def _has_kernel(gate: Tensor, logits: Tensor, shares: Tensor, ids: Tensor) -> bool:
    """Return whether there is a kernel for so many experts, laid out in this way."""
    count = ids.nb[1] // ids.nb[0]
    is_power = count & (count - 1) == 0 and count <= _MOST_EXPERTS
    if not (is_power or count in _OTHER_COUNTS):
        return False
    # a softmax of attention has a mask
    return len(gate.srcs) == 1 and is_contiguous(logits) and is_contiguous(shares)


def _weighted_sum(part: Part, at: int) -> tuple[int, list[Tensor]] | None:
    """Return the last step of a weighted sum of experts from `at` on, and what it reads."""
    nodes = part.nodes
    first = nodes[at]
    if first.op != "MUL" or first.type != _F32 or not is_contiguous(first):
        return None
    second = nodes[at + 1] if at + 1 < part.end else None
    outer = None
    if second is not None and second.op == "MUL" and second.type == _F32 and is_contiguous(second):
        outer = _split(second)
    inner = _split(first)
    if inner is None:
        return None
    weighted, n_products, read = first, 1, [*inner]
    if outer is not None and outer[0] is first:
        # scaled by expert, then by share
        weighted, n_products, read = nodes[at + 1], 2, [inner[0], outer[1], inner[1]]
    count, n_tokens = weighted.ne[1], weighted.ne[2] * weighted.ne[3]
    if not _FEWEST_EXPERTS <= count <= _MOST_EXPERTS_USED:
        return None
    length = 2 * count + n_products - 1
    group = nodes[at : at + length]
    if at + length > part.end or not _is_sum(group[n_products:], weighted, n_tokens):
        return None
    last = group[-1]
    if not is_contiguous(last) or last.ne != (weighted.ne[0], n_tokens, 1, 1):
        return None
    return (at + length - 1, read) if is_alone(part, group, (last,)) else None


def _split(product: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return a product's full factor and the one that has a number for each row."""
    for full, share in (product.srcs, product.srcs[::-1]):
        if (
            full.type == share.type == _F32
            and is_contiguous(full)
            and is_contiguous(share)
            and full.ne == product.ne
            and share.ne == (1, *product.ne[1:])
        ):
            return full, share
    return None


def _is_sum(group: Sequence[Tensor], weighted: Tensor, n_tokens: int) -> bool:
    """Return whether nodes look at each expert's rows in turn and add them up."""
    views: list[Tensor] = []
    total: Tensor | None = None
    n_added = 0
    for node in group:
        if node.op == "VIEW":
            views.append(node)
            if not (
                reads(node, 0, weighted)
                and node.type == _F32
                and node.ne == (weighted.ne[0], n_tokens, 1, 1)
                and node.nb[:2] == (weighted.nb[0], weighted.nb[2])
            ):
                return False
            continue
        if node.op != "ADD" or node.type != _F32 or n_added + 1 >= len(views):
            return False
        left = views[0] if total is None else total
        if not (reads(node, 0, left) and reads(node, 1, views[n_added + 1])):
            return False
        total = node
        n_added += 1
    # of as many steps as a sum of all experts has: the others have added them
    return len(views) == weighted.ne[1]
