"""Which steps Metal runs as one: its table of sequences, and what it asks of each.

Source: llama.cpp (0c1e57098) ggml/src/ggml-metal/ggml-metal-fusion.cpp. Left out is the snake
activation, which no language model here has; activations after a convolution are SiLU in all.
"""

from __future__ import annotations

from itertools import pairwise

from whatfits.sizing.graph.fused.patterns import (
    NORMALISED,
    Part,
    is_alone,
    is_empty,
    keep_outer,
    reads,
    same_ops,
)
from whatfits.sizing.graph.tensor import OUTPUT, VIEWS, is_contiguous
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["keep_sources", "length_of_group"]

_MOST_TOGETHER: Final = 16  # GGML_METAL_FUSION_MAX
_MOST_EXPERTS: Final = 1024
_F32: Final = "F32"
_F32_BYTES: Final = 4

_NORMS: Final = tuple(
    (norm, *rest)
    for norm in ("NORM", "RMS_NORM")
    for rest in (("MUL",), ("MUL", "ADD"), ("SCALE",))
)
_SUMS: Final = tuple(("ADD",) * count for count in range(2, 8))
_STATES: Final = ("GATED_DELTA_NET", "CPY")
_CHOICE: Final = ("SOFT_MAX", "RESHAPE", "ARGSORT", "VIEW", "GET_ROWS")
_ROUTING: Final = (
    _CHOICE,
    (*_CHOICE, "SCALE"),
    (*_CHOICE, *NORMALISED),
    (*_CHOICE, *NORMALISED, "SCALE"),
)
_EXPERTS: Final = tuple(("MUL", *("VIEW",) * n, *("ADD",) * (n - 1)) for n in range(2, 9))
_CONVOLUTION: Final = ("SSM_CONV", "UNARY")
_TABLE: Final = (*_NORMS, *_SUMS, _STATES, *_ROUTING, *_EXPERTS, _CONVOLUTION)
_BY_FIRST: Final = {
    first: tuple(
        (raw, tuple(op for op in raw if op not in VIEWS)) for raw in _TABLE if raw[0] == first
    )
    for first in {raw[0] for raw in _TABLE}
}
"""The table by a sequence's first operation: each as it stands, and without what does no work."""


def keep_sources(part: Part) -> None:
    """Note that what a sequence of the table reads from outside is kept until its last step."""
    at = part.start
    while at < part.end:
        rows = _BY_FIRST.get(part.nodes[at].op, ())
        ops = max((raw for raw, _ in rows if same_ops(part, at, raw)), key=len, default=())
        if ops:
            group = part.nodes[at : at + len(ops)]
            keep_outer(part, group[-1], group)
        at += len(ops) or 1


def length_of_group(part: Part, at: int) -> int:
    """Return how many nodes from `at` on stay together: sequences of the table, end to end."""
    if part.nodes[at].op not in _BY_FIRST:
        return 1
    working: list[int] = []
    for place in range(at, part.end):
        if not is_empty(part.nodes[place]):
            working.append(place)
            if len(working) == _MOST_TOGETHER:
                break
    done = 0
    while (length := _longest_at(part, working, done)) > 1:
        done += length
    return min(_MOST_TOGETHER, working[done - 1] - at + 1) if done else 1


def _longest_at(part: Part, working: Sequence[int], first: int) -> int:
    best = 1
    rows = _BY_FIRST.get(part.nodes[working[first]].op, ()) if first < len(working) else ()
    for raw, ops in rows:
        if len(ops) <= best or first + len(ops) > len(working):
            continue
        group = [part.nodes[place] for place in working[first : first + len(ops)]]
        if all(node.op == op for node, op in zip(group, ops, strict=True)) and _holds(
            part, group, raw, working[first]
        ):
            best = len(ops)
    return best


def _holds(part: Part, group: Sequence[Tensor], raw: Sequence[str], start: int) -> bool:
    """Return whether the steps of a sequence, whose first node is given, run as one."""
    if raw in _ROUTING:
        return _is_routing(part, raw, start)
    if raw in _EXPERTS:
        return _is_sum_of_experts(part, raw, start)
    if raw == _STATES:
        return _stores_states(*group)
    for before, node in pairwise(group):
        if not any(src is before for src in node.srcs[:2]) or node.ne != before.ne:
            return False
    if not is_alone(part, group, group[-1:]):
        return False
    if raw == _CONVOLUTION:
        return group[1].type == _F32 and _has_rows(group[1])
    if raw in _SUMS:
        return all(
            reads(node, 0, before) and node.srcs[1].same_layout(before.srcs[1])
            for before, node in pairwise(group)
        )
    return _is_norm(group)


def _is_norm(group: Sequence[Tensor]) -> bool:
    norm = group[0]
    if group[1].op == "SCALE":
        return group[1].type == _F32
    return all(
        reads(node, 0, before)
        and node.srcs[1].ne[0] == norm.ne[0]
        and _has_rows(node.srcs[1])
        and node.type == _F32
        for before, node in pairwise(group)
    )


def _has_rows(tensor: Tensor) -> bool:
    """Return whether each row lies without gaps (ggml_is_contiguous_rows)."""
    info = GGML_TYPES[tensor.type]
    return tensor.ne[0] == info.block_elements or tensor.nb[0] == info.block_bytes


def _stores_states(made: Tensor, stored: Tensor) -> bool:
    """Return whether a copy puts the states that a delta rule made into their cache."""
    if made.type != _F32 or (made.flags | stored.flags) & OUTPUT:
        return False
    width, n_heads, _, n_sequences = made.srcs[2].ne
    view, target = stored.srcs
    if view.op != "VIEW" or view.view_of is not made or not is_contiguous(view):
        return False
    state = width * width * n_heads
    return (
        target.type == _F32
        and target.ne[:2] == (state, n_sequences)
        and target.ne[3] == 1
        and target.nb[:2] == (_F32_BYTES, _F32_BYTES * state)
    )


def _is_routing(part: Part, raw: Sequence[str], start: int) -> bool:
    # steps that do no work count: what is handed out may be under another shape
    if not same_ops(part, start, raw):
        return False
    group = part.nodes[start : start + len(raw)]
    gate, reshaped, order, ids, rows = group[:5]
    logits, out = gate.srcs[0], group[-1]
    n_experts, n_tokens = logits.ne[:2]
    chain = [(reshaped, gate), (order, gate), (ids, order), (rows, reshaped)]
    chain += _behind_choice(group)
    return (
        len(gate.srcs) == 1  # no mask, as attention has
        and n_experts <= _MOST_EXPERTS
        and logits.type == out.type == _F32
        and logits.ne[2:] == (1, 1)
        and ids.ne[1:] == (n_tokens, 1, 1)
        and out.ne == (1, ids.ne[0], n_tokens, 1)
        and is_contiguous(logits)
        and is_contiguous(out)
        and ids.nb[1] == ids.nb[0] * n_experts
        and reads(rows, 1, ids)
        and all(reads(node, 0, source) for node, source in chain)
        and all(reads(node, 1, before) for before, node in pairwise(group) if node.op == "DIV")
        and is_alone(part, group, (ids, out))
    )


def _behind_choice(group: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Return the steps behind the choice of experts, each with what it is to read first."""
    rest = group[len(_CHOICE) - 1 :]
    found = list(zip(rest[1:], rest, strict=False))
    for at, (node, _) in enumerate(found):
        if node.op == "DIV":
            found[at] = (node, rest[1])
    return found


def _is_sum_of_experts(part: Part, raw: Sequence[str], start: int) -> bool:
    count = len(raw) // 2
    if not same_ops(part, start, raw):
        return False
    group = part.nodes[start : start + len(raw)]
    product, last = group[0], group[-1]
    experts, shares = product.srcs
    width, _, n_tokens, _ = experts.ne
    views, sums = group[1 : count + 1], group[count + 1 :]
    total = views[0]
    for view, added in zip(views[1:], sums, strict=True):
        if not (reads(added, 0, total) and reads(added, 1, view)):
            return False
        total = added
    return (
        product.type == experts.type == shares.type == last.type == _F32
        and experts.ne == (width, count, n_tokens, 1)
        and shares.ne == (1, count, n_tokens, 1)
        and last.ne == (width, n_tokens, 1, 1)
        and all(map(is_contiguous, (experts, shares, last)))
        and all(
            reads(view, 0, product)
            and view.ne[:2] == (width, n_tokens)
            and view.nb[1] == product.nb[2]
            for view in views
        )
        and is_alone(part, group, (last,))
    )
