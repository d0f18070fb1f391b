"""What Vulkan brings along behind a step, so that both run as one.

Source: llama.cpp (0c1e57098) ggml/src/ggml-vulkan/ggml-vulkan.cpp (ggml_vk_graph_optimize,
ggml_vk_can_fuse_unary_mul).
"""

from __future__ import annotations

from whatfits.sizing.graph.fused.patterns import is_alone, is_contiguous_from, reads
from whatfits.sizing.graph.fused.vulkan_table import THIRDS
from whatfits.sizing.graph.tensor import NONE
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.graph.fused.vulkan_steps import Steps
    from whatfits.sizing.graph.tensor import Tensor

__all__ = ["pull"]

_PULLS_FROM: Final = 15
_ACTIVATED: Final = ("F32", "F16")


def pull(steps: Steps, at: int, chosen: list[int]) -> None:
    """Add to the chosen nodes those that a node is to run with as one step."""
    nodes = steps.nodes
    rope = at
    pair = (nodes[at - 1].op, nodes[at].op)
    if pair == ("RMS_NORM", "MUL"):
        found = next((k for k in _ahead(steps, at) if _turns(steps, k, at)), None)
        if found is not None:
            rope = found
            _add(steps, chosen, found)
    if nodes[rope].op in ("ROPE", "RMS_NORM"):
        _pull_store(steps, rope, chosen)
    third = THIRDS.get(pair)
    if third is not None:
        found = next((k for k in _ahead(steps, at) if _follows(steps, k, at, third)), None)
        if found is not None:
            _add(steps, chosen, found)
    if nodes[at].op == "UNARY":
        _pull_product(steps, at, chosen)


def _add(steps: Steps, chosen: list[int], at: int) -> None:
    chosen.append(at)
    steps.used[at] = True


def _ahead(steps: Steps, at: int) -> range:
    return range(at + 1, min(at + _PULLS_FROM, len(steps.nodes)))


def _turns(steps: Steps, at: int, source: int) -> bool:
    node = steps.nodes[at]
    return (
        node.op == "ROPE"
        and reads(node, 0, steps.nodes[source])
        and all(src.op == NONE for src in node.srcs[1:])
    )


def _follows(steps: Steps, at: int, source: int, op: str) -> bool:
    node = steps.nodes[at]
    if node.op != op or not reads(node, 0, steps.nodes[source]):
        return False
    return op == "UNARY" or steps.is_there(node.srcs[1])


def _pull_store(steps: Steps, at: int, chosen: list[int]) -> None:
    """Bring along the view of a result and the step that stores it in the cache."""
    nodes = steps.nodes
    view: int | None = None
    for k in _ahead(steps, at):
        if steps.used[k]:
            continue
        if view is None:
            if nodes[k].op == "VIEW" and reads(nodes[k], 0, nodes[at]):
                view = k
        elif nodes[k].op == "SET_ROWS" and reads(nodes[k], 0, nodes[view]):
            group = (nodes[at], nodes[view], nodes[k])
            if is_alone(steps.part, group, (nodes[k],)) and not any(
                not steps.used[c] and not steps.empty[c] and steps.waits(k, c)
                for c in range(at + 1, k)
            ):
                _add(steps, chosen, view)
                _add(steps, chosen, k)
            return


def _pull_product(steps: Steps, at: int, chosen: list[int]) -> None:
    """Bring along the product of an activation with something that is there."""
    activation = steps.nodes[at]
    for k in _ahead(steps, at):
        product = steps.nodes[k]
        if product.op != "MUL" or all(src is not activation for src in product.srcs):
            continue
        first = product.srcs[0] is activation
        other = product.srcs[1 if first else 0]
        if steps.is_there(other) and _multiplies(activation, product, other, first=first):
            _add(steps, chosen, k)
            return


def _multiplies(activation: Tensor, product: Tensor, other: Tensor, *, first: bool) -> bool:
    """Return whether one kernel activates and multiplies."""
    kinds = {activation.type, product.type, other.type}
    if len(kinds) > 1 or activation.type not in _ACTIVATED:
        return False
    if not (is_contiguous_from(other, 1) and is_contiguous_from(activation.srcs[0], 1)):
        return False
    small, large = (other, activation) if first else (activation, other)
    return all(n % part == 0 for n, part in zip(large.ne, small.ne, strict=True))
