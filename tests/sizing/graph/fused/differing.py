"""Ways in which one thing of a made-up graph differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.graph.tensor import OUTPUT, Shape, Tensor

if TYPE_CHECKING:
    from named_steps import Change, Named

OTHER_KIND = {"F32": "I32", "I32": "F32"}  # of the same size: nothing else changes


def elsewhere(name: str, which: int = 0) -> Change:
    """Have a step read another tensor of the same form."""

    def change(g: Named) -> None:
        source = g[name].srcs[which]
        g.read(name, which, Tensor("NONE", source.type, source.ne, nb=source.nb, name="other"))

    return change


def another_op(name: str) -> Change:
    """Have a step do something that no sequence has."""

    def change(g: Named) -> None:
        g[name].op = "LOG"

    return change


def another_kind(name: str, which: int | None = None) -> Change:
    """Have a step's result, or one of its sources, be of another type."""

    def change(g: Named) -> None:
        tensor = g[name] if which is None else g[name].srcs[which]
        tensor.type = OTHER_KIND[tensor.type]

    return change


def another_shape(name: str, ne: Shape, which: int | None = None) -> Change:
    """Have a step's result, or one of its sources, be of another shape, without gaps."""

    def change(g: Named) -> None:
        tensor = g[name] if which is None else g[name].srcs[which]
        tensor.ne, tensor.nb = ne, Tensor("NONE", tensor.type, ne).nb

    return change


def gap(name: str, which: int | None = None, axis: int = 1) -> Change:
    """Leave gaps in a step's result, or in one of its sources, along an axis and those behind."""

    def change(g: Named) -> None:
        tensor = g[name] if which is None else g[name].srcs[which]
        first, second, third, fourth = [
            stride * 2 if at >= axis else stride for at, stride in enumerate(tensor.nb)
        ]
        tensor.nb = (first, second, third, fourth)

    return change


def apart(name: str, axis: int, which: int | None = None) -> Change:
    """Change what lies between neighbours along one axis, and nothing else."""

    def change(g: Named) -> None:
        tensor = g[name] if which is None else g[name].srcs[which]
        first, second, third, fourth = [
            stride * 2 if at == axis else stride for at, stride in enumerate(tensor.nb)
        ]
        tensor.nb = (first, second, third, fourth)

    return change


def a_result(name: str) -> Change:
    """Have a step be a result of the graph."""

    def change(g: Named) -> None:
        g[name].flags |= OUTPUT

    return change


def read_outside(name: str) -> Change:
    """Have a step's result be read by one at the end of the graph too."""

    def change(g: Named) -> None:
        g.add("outside", g.unary(g[name]))

    return change


def swapped(name: str) -> Change:
    """Have a step read its sources in the other order."""

    def change(g: Named) -> None:
        g[name].srcs = g[name].srcs[::-1]

    return change


def with_between(name: str) -> Change:
    """Put an unrelated step before one."""

    def change(g: Named) -> None:
        g.put_before(name, g.like("LOG", g.leaf("unrelated", 1)))

    return change
