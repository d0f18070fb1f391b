"""Operations that make tensors, and the order in which a graph takes them in.

Shapes and sources are those of ggml's functions of the same names; a graph takes a tensor's
sources first, left to right, each tensor once. Source: llama.cpp ggml/src/ggml.c.
"""

from __future__ import annotations

from whatfits.sizing.graph.tensor import (
    INPUT,
    NONE,
    Shape,
    Tensor,
    contiguous_strides,
    is_contiguous,
)
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

__all__ = ["GraphBuilder", "shape4"]

_F32: Final = "F32"


def shape4(ne: Sequence[int]) -> Shape:
    """Return a shape filled up with ones to four dimensions."""
    return (*ne, 1, 1, 1)[:4]  # type: ignore[return-value]


class GraphBuilder:
    """Makes tensors and collects the nodes and leaves of a graph in ggml's order."""

    def __init__(self) -> None:
        """Start with an empty graph."""
        self.nodes: list[Tensor] = []
        self.leafs: list[Tensor] = []

    def expand(self, tensor: Tensor) -> None:
        """Take a tensor and all it needs into the graph (ggml_build_forward_expand)."""
        if tensor.is_taken:
            return
        tensor.is_taken = True
        nodes, leafs = self.nodes, self.leafs
        stack = [tensor]
        while stack:
            node = stack[-1]
            for src in node.srcs:  # few: those before the next one are looked at again
                if not src.is_taken:
                    src.is_taken = True
                    stack.append(src)
                    break
            else:
                del stack[-1]
                (leafs if node.op == NONE else nodes).append(node)

    # leaves

    def input(self, kind: str, *ne: int, name: str = "") -> Tensor:
        """Return a tensor that is filled in before the graph runs."""
        return Tensor(NONE, kind, shape4(ne), flags=INPUT, name=name)

    def plain(self, kind: str, *ne: int) -> Tensor:
        """Return a tensor without an operation that is no input either."""
        return Tensor(NONE, kind, shape4(ne))

    # views

    def view(self, source: Tensor, ne: Sequence[int], nb: Sequence[int] = ()) -> Tensor:
        """Return a view; strides after the first are given, or follow from the shape.

        Those behind the last dimension follow from the shape in any case.
        """
        shape, given = shape4(ne), nb[: len(ne) - 1]
        first, second, third, fourth = contiguous_strides(source.type, shape)
        if given:
            second = given[0]
            third = given[1] if len(given) > 1 else second * shape[1]
            fourth = given[2] if len(given) > 2 else third * shape[2]  # noqa: PLR2004 - the last
        return Tensor(
            "VIEW",
            source.type,
            shape,
            nb=(first, second, third, fourth),
            srcs=(source,),
            view_of=source,
        )

    def reshape(self, source: Tensor, *ne: int) -> Tensor:
        """Return the same memory under another shape."""
        return Tensor("RESHAPE", source.type, shape4(ne), srcs=(source,), view_of=source)

    def permute(self, source: Tensor, *axes: int) -> Tensor:
        """Return a view whose axis `axes[i]` is axis `i` of the source."""
        ne, nb = [0] * 4, [0] * 4
        for old, new in enumerate(axes):
            ne[new], nb[new] = source.ne[old], source.nb[old]
        return self._view("PERMUTE", source, shape4(ne), (nb[0], nb[1], nb[2], nb[3]))

    def transpose(self, source: Tensor) -> Tensor:
        """Return a view with the first two axes exchanged."""
        a, b, c, d = source.ne
        w, x, y, z = source.nb
        return self._view("TRANSPOSE", source, (b, a, c, d), (x, w, y, z))

    def _view(self, op: str, source: Tensor, ne: Shape, nb: Shape) -> Tensor:
        return Tensor(op, source.type, ne, nb=nb, srcs=(source,), view_of=source)

    # results of their own memory

    def like(self, op: str, a: Tensor, *others: Tensor | None, kind: str | None = None) -> Tensor:
        """Return an operation whose result has the shape of its first source."""
        srcs = (a, *[src for src in others if src is not None]) if others else (a,)
        return Tensor(op, kind or a.type, a.ne, srcs=srcs)

    def unary(self, a: Tensor) -> Tensor:
        """Return an activation."""
        return self.like("UNARY", a)

    def inplace(self, op: str, a: Tensor, *others: Tensor) -> Tensor:
        """Return an operation that writes into its first source (a view of it)."""
        return Tensor(op, a.type, a.ne, nb=a.nb, srcs=(a, *others), view_of=a)

    def mul_mat(self, a: Tensor, b: Tensor) -> Tensor:
        """Return b times the transposed a: rows of a become elements of a row."""
        return Tensor("MUL_MAT", _F32, (a.ne[1], b.ne[1], b.ne[2], b.ne[3]), srcs=(a, b))

    def mul_mat_id(self, experts: Tensor, b: Tensor, ids: Tensor) -> Tensor:
        """Return b through the experts that `ids` chooses."""
        ne = (experts.ne[1], ids.ne[0], b.ne[2], 1)
        return Tensor("MUL_MAT_ID", _F32, ne, srcs=(experts, b, ids))

    def get_rows(self, a: Tensor, ids: Tensor) -> Tensor:
        """Return the rows of a that `ids` names; floats of any type come out as F32."""
        kind = a.type if a.type == "I32" else _F32
        ne = (a.ne[0], ids.ne[0], ids.ne[1], ids.ne[2])
        return Tensor("GET_ROWS", kind, ne, srcs=(a, ids))

    def set_rows(self, target: Tensor, rows: Tensor, ids: Tensor) -> Tensor:
        """Return `target` with rows written into it: a view of it."""
        return Tensor(
            "SET_ROWS",
            target.type,
            target.ne,
            nb=target.nb,
            srcs=(rows, ids, target),
            view_of=target,
        )

    def copy(self, a: Tensor, target: Tensor) -> Tensor:
        """Return a copy of a into `target`: a view of it."""
        return Tensor("CPY", target.type, target.ne, nb=target.nb, srcs=(a, target), view_of=target)

    def cast(self, a: Tensor, kind: str) -> Tensor:
        """Return a in another type."""
        result = Tensor("CPY", kind, a.ne, srcs=(a,))
        result.srcs = (a, result)  # ggml lists the result as its own target
        return result

    def cont(self, a: Tensor, *ne: int) -> Tensor:
        """Return a without gaps, under another shape when one is given."""
        return Tensor("CONT", a.type, shape4(ne) if ne else a.ne, srcs=(a,))

    def concat(self, a: Tensor, b: Tensor, axis: int) -> Tensor:
        """Return two tensors one behind the other along an axis."""
        ne = list(a.ne)
        ne[axis] += b.ne[axis]
        return Tensor("CONCAT", a.type, shape4(ne), srcs=(a, b))

    def repeat(self, a: Tensor, *ne: int) -> Tensor:
        """Return a repeated to a shape."""
        return Tensor("REPEAT", a.type, shape4(ne), srcs=(a,))

    def pad(self, a: Tensor, *more: int) -> Tensor:
        """Return a with elements added at the end of each axis."""
        ne = [n + extra for n, extra in zip(a.ne, shape4((*more, 0, 0, 0)), strict=True)]
        return Tensor("PAD", a.type, shape4(ne), srcs=(a,))

    def sum_rows(self, a: Tensor) -> Tensor:
        """Return one element a row."""
        return Tensor("SUM_ROWS", a.type, (1, *a.ne[1:]), srcs=(a,))

    def mean(self, a: Tensor) -> Tensor:
        """Return the mean of each row."""
        return Tensor("MEAN", _F32, (1, *a.ne[1:]), srcs=(a,))

    def top_k(self, a: Tensor, k: int) -> Tensor:
        """Return the first k of each row's sorted order: a view of the whole order."""
        order = Tensor("ARGSORT", "I32", a.ne, srcs=(a,))
        return self.view(order, (k, *a.ne[1:]), order.nb[1:])

    def glu(self, gate: Tensor, up: Tensor | None = None) -> Tensor:
        """Return a gated activation of two tensors, or of the two halves of one."""
        if up is None:
            ne = (gate.ne[0] // 2, *gate.ne[1:])
            return Tensor("GLU", gate.type, ne, srcs=(gate,))
        return Tensor("GLU", gate.type, gate.ne, srcs=(gate, up))

    def flash_attention(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, sinks: Tensor | None
    ) -> Tensor:
        """Return fused attention: one row of all heads a token."""
        ne = (v.ne[0], q.ne[2], q.ne[1], q.ne[3])
        srcs = tuple([src for src in (q, k, v, mask, sinks) if src is not None])
        return Tensor("FLASH_ATTN_EXT", _F32, ne, srcs=srcs)

    def rotate(self, a: Tensor, rotation: Tensor) -> Tensor:
        """Return a with each stretch of a row turned by a square matrix (Hadamard)."""
        n = rotation.ne[0]
        shape = (n, a.n_elements // n)
        flat = self.reshape(a, *shape) if is_contiguous(a) else self.cont(a, *shape)
        return self.reshape(self.mul_mat(rotation, flat), *a.ne)


def row_stride(kind: str, n_elements: int) -> int:
    """Return the bytes of `n_elements` in a row (ggml_row_size)."""
    info = GGML_TYPES[kind]
    return info.block_bytes * n_elements // info.block_elements
