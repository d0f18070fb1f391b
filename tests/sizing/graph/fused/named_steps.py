"""Small graphs whose steps have names, of the shapes that back ends look for.

Steps stand in the order in which they were added; `next` is the first one behind a shape.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from whatfits.sizing.graph.builder import GraphBuilder
from whatfits.sizing.graph.fused.metal_groups import length_of_group
from whatfits.sizing.graph.fused.patterns import Part
from whatfits.sizing.graph.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Change = Callable[["Named"], None]

N_EXPERTS, N_TOKENS, WIDTH = 8, 3, 4


class Named(GraphBuilder):
    """A graph whose steps are found by name."""

    def add(self, name: str, tensor: Tensor) -> Tensor:
        tensor.name = name
        self.nodes.append(tensor)
        return tensor

    def leaf(self, name: str, *ne: int, kind: str = "F32") -> Tensor:
        return self.input(kind, *ne, name=name)

    def __getitem__(self, name: str) -> Tensor:
        return self.nodes[self.at(name)]

    def at(self, name: str) -> int:
        return next(at for at, node in enumerate(self.nodes) if node.name == name)

    def put_before(self, name: str, tensor: Tensor) -> None:
        tensor.name = "put"
        self.nodes.insert(self.at(name), tensor)

    def read(self, name: str, which: int, tensor: Tensor) -> None:
        """Have a step read something else."""
        srcs = list(self[name].srcs)
        srcs[which] = tensor
        self[name].srcs = tuple(srcs)

    def other(self, name: str) -> Tensor:
        """Return a leaf of the same form as a step."""
        step = self[name]
        return Tensor("NONE", step.type, step.ne, nb=step.nb, name="other")

    def part(self, start: str | None = None, end: str | None = None) -> Part:
        """Return the graph's part from one step to the one before another."""
        low = 0 if start is None else self.at(start)
        high = len(self.nodes) if end is None else self.at(end)
        uses = Counter(id(src) for node in self.nodes for src in node.srcs)
        return Part(self.nodes, low, high, uses, {})

    def kept(self, part: Part) -> dict[str, list[str]]:
        """Return the names of what a part has kept, by the step until which it is."""
        names = {id(node): node.name for node in self.nodes}
        return {names[last]: [one.name for one in held] for last, held in part.kept.items()}


def each_once(g: Named, part: Part, fuse: Callable[[Part], Sequence[Tensor]]) -> list[str]:
    """Return the names of a part's steps in the order that a back end gives them."""
    steps = [node.name for node in fuse(part)]
    assert sorted(steps) == sorted(node.name for node in part.nodes[part.start : part.end])
    return steps


def chains(*names: str, op: str = "CLAMP") -> Named:
    """Return steps that each read the one before with the same letter, or a leaf."""
    g = Named()
    last: dict[str, Tensor] = {}
    for name in names:
        source = last[name[0]] if name[0] in last else g.leaf(f"leaf {name}", WIDTH, N_TOKENS)
        last[name[0]] = g.add(name, g.like(op, source))
    return g


def together(g: Named, name: str, start: str | None = None, end: str | None = None) -> list[str]:
    """Return the names of what stays together from a step on, for Metal."""
    at = g.at(name)
    length = length_of_group(g.part(start, end), at)
    return [node.name for node in g.nodes[at : at + length]]


def routing(
    gating: str = "softmax",
    *,
    biased: bool = False,
    normalised: bool = False,
    scaled: bool = False,
    n_experts: int = N_EXPERTS,
) -> Named:
    """Return a graph that chooses two experts: by `softmax`, `sigmoid` or `sqrt_softplus`."""
    g = Named()
    logits = g.add("logits", g.unary(g.leaf("x", n_experts, N_TOKENS)))
    match gating:
        case "softmax":
            gate = g.add("gate", g.like("SOFT_MAX", logits))
        case "sigmoid":
            gate = g.add("gate", g.unary(logits))
        case _:
            gate = g.add("plus", g.unary(logits))
            gate = g.add("gate", g.like("SQRT", gate))
    shown = g.add("shown", g.reshape(gate, 1, n_experts, N_TOKENS))
    scores = g.add("scores", g.like("ADD", gate, g.leaf("bias", n_experts))) if biased else gate
    ids, rows = choice(g, scores, shown)
    if normalised:
        flat = g.add("flat", g.reshape(rows, 2, N_TOKENS))
        clamped = g.like("CLAMP", g.add("total", g.sum_rows(flat)))
        g.add("clamped", clamped)
        divided = g.add("divided", g.like("DIV", flat, clamped))
        rows = g.add("shares", g.reshape(divided, 1, 2, N_TOKENS))
    if scaled:
        rows = g.add("scaled", g.like("SCALE", rows))
    weights = g.plain("F32", WIDTH, WIDTH, n_experts)
    y = g.add("next", g.mul_mat_id(weights, g.leaf("y", WIDTH, 1, N_TOKENS), ids))
    g.add("weighted", g.like("MUL", y, rows))
    return g


def choice(g: Named, scores: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Add the choice of the two best experts, and their rows of what is shown."""
    ids = g.top_k(scores, 2)
    g.add("order", ids.srcs[0])
    g.add("ids", ids)
    return ids, g.add("rows", g.get_rows(shown, ids))


def weighted_sum(n_used: int = 2, *, scaled: bool = False, in_turn: bool = False) -> Named:
    """Return a graph that adds up experts by their shares: as soon as it can when `in_turn`."""
    g = Named()
    experts = g.add("experts", g.unary(g.leaf("x", WIDTH, n_used, N_TOKENS)))
    if scaled:
        experts = g.add("scaled", g.like("MUL", experts, g.leaf("scale", 1, n_used, N_TOKENS)))
    product = g.add("product", g.like("MUL", experts, g.leaf("shares", 1, n_used, N_TOKENS)))
    views = [g.view(product, (WIDTH, N_TOKENS), (product.nb[2],)) for _ in range(n_used)]
    total = views[0]
    g.add("view0", total)
    for at in range(1, n_used):
        if not in_turn:
            g.add(f"view{at}", views[at])
    for at in range(1, n_used):
        if in_turn:
            g.add(f"view{at}", views[at])
        total = g.add(f"sum{at}", g.like("ADD", total, views[at]))
    g.add("next", g.unary(total))
    return g


def norm(op: str = "RMS_NORM", *rest: str, width: int = WIDTH) -> Named:
    """Return a graph of a norm and what multiplies or adds to it, or scales it."""
    g = Named()
    y = g.add("norm", g.like(op, g.leaf("x", width, N_TOKENS)))
    for step in rest:
        weight = () if step == "SCALE" else (g.leaf(f"of_{step.lower()}", width),)
        y = g.add(step.lower(), g.like(step, y, *weight))
    g.add("next", g.like("ROPE", y, g.leaf("positions", N_TOKENS, kind="I32")))
    return g


def sums(count: int) -> Named:
    """Return a graph that adds to something `count` times."""
    g = Named()
    y = g.leaf("x", WIDTH, N_TOKENS)
    for at in range(count):
        y = g.add(f"sum{at}", g.like("ADD", y, g.leaf(f"part{at}", WIDTH, N_TOKENS)))
    g.add("next", g.like("ROPE", y, g.leaf("positions", N_TOKENS, kind="I32")))
    return g


def convolution() -> Named:
    """Return a graph of a short convolution and its activation."""
    g = Named()
    conv = g.like("SSM_CONV", g.leaf("x", WIDTH, N_TOKENS), g.leaf("kernel", WIDTH, WIDTH))
    g.add("conv", conv)
    g.add("active", g.unary(conv))
    g.add("next", g.like("ROPE", g["active"], g.leaf("positions", N_TOKENS, kind="I32")))
    return g


def states() -> Named:
    """Return a graph of a gated delta rule whose states are copied into their cache."""
    g = Named()
    width, n_heads = 4, 2
    state = width * width * n_heads
    values = g.leaf("values", width, n_heads, N_TOKENS)
    queries, keys = g.leaf("queries", *values.ne), g.leaf("keys", *values.ne)
    ne = (width * n_heads, N_TOKENS + width, 1, 1)
    made = g.add("made", Tensor("GATED_DELTA_NET", "F32", ne, srcs=(queries, keys, values)))
    view = g.add("view", g.view(made, (state,)))
    target = g.add("target", g.view(g.leaf("cache", state, 4), (state,)))
    g.add("stored", g.copy(view, target))
    g.add("next", g.like("ROPE", made))
    return g


def stored(*before: str) -> Named:
    """Return a graph whose turned rows go into a cache; `before` are steps ahead of the turning."""
    g = Named()
    y = g.leaf("x", WIDTH, N_TOKENS)
    for op in before:
        weight = (g.leaf("weight", WIDTH),) if op == "MUL" else ()
        y = g.add(op.lower(), g.like(op, y, *weight))
    rope = g.add("rope", g.like("ROPE", y, g.leaf("positions", N_TOKENS, kind="I32")))
    view = g.add("view", g.view(rope, (WIDTH, N_TOKENS)))
    cache, rows = g.leaf("cache", WIDTH, 9, kind="F16"), g.leaf("rows", N_TOKENS, kind="I64")
    g.add("store", g.set_rows(cache, view, rows))
    return g
