"""A tensor of the graph: just what memory depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.quants.ggml_types import GGML_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["INPUT", "NONE", "OUTPUT", "Shape", "Tensor", "contiguous_strides", "is_contiguous"]

Shape = tuple[int, int, int, int]

NONE: Final = "NONE"
INPUT: Final = 1
OUTPUT: Final = 2
_VIEWS: Final = frozenset({NONE, "VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE"})


class Tensor:
    """One tensor: a leaf (input, weight, cache) or the result of an operation.

    Attributes:
        op: operation; `NONE` for leaves.
        type: ggml type name.
        ne: elements a dimension.
        nb: bytes between neighbours a dimension.
        srcs: sources, in the operation's order.
        view_of: tensor whose memory it looks at; None when it has its own.
        flags: INPUT and OUTPUT.
        home: device that holds it beforehand (index of a back end); None for what the graph makes.
        is_weight: a model weight; decides where operations on it run.
        wants: back end it is pinned to; None when the scheduler may choose.
    """

    __slots__ = (
        "arena",
        "children",
        "flags",
        "held",
        "home",
        "is_weight",
        "name",
        "nb",
        "ne",
        "offset",
        "op",
        "room",
        "srcs",
        "type",
        "view_of",
        "views",
        "wants",
    )

    def __init__(
        self,
        op: str,
        kind: str,
        ne: Shape,
        *,
        nb: Shape | None = None,
        srcs: Sequence[Tensor] = (),
        view_of: Tensor | None = None,
        flags: int = 0,
        home: int | None = None,
        is_weight: bool = False,
        name: str = "",
    ) -> None:
        """Make a tensor; strides are contiguous unless given."""
        self.op = op
        self.type = kind
        self.ne = ne
        self.nb = contiguous_strides(kind, ne) if nb is None else nb
        self.srcs = list(srcs)
        self.view_of: Tensor | None = view_of if view_of is None else view_of.root
        self.flags = flags
        self.home = home
        self.is_weight = is_weight
        self.wants: int | None = None
        self.name = name
        # the allocator's notes: users and views to come, and where the tensor lies
        self.children = self.views = self.arena = self.offset = self.room = 0
        self.held = False

    @property
    def is_view_op(self) -> bool:
        """Whether the operation does no work."""
        return self.op in _VIEWS

    @property
    def root(self) -> Tensor:
        """The tensor whose memory this is."""
        return self if self.view_of is None else self.view_of

    @property
    def n_elements(self) -> int:
        """Product of the dimensions."""
        a, b, c, d = self.ne
        return a * b * c * d

    @property
    def n_bytes(self) -> int:
        """Bytes from the first to the last element (ggml_nbytes)."""
        kind = GGML_TYPES[self.type]
        ne, nb = self.ne, self.nb
        if min(ne) <= 0:
            return 0
        if kind.block_elements == 1:
            size = kind.block_bytes + (ne[0] - 1) * nb[0]
        else:
            size = ne[0] * nb[0] // kind.block_elements
        return size + (ne[1] - 1) * nb[1] + (ne[2] - 1) * nb[2] + (ne[3] - 1) * nb[3]

    def same_layout(self, other: Tensor) -> bool:
        """Whether two tensors have the same type, shape and strides."""
        return self.type == other.type and self.ne == other.ne and self.nb == other.nb


def contiguous_strides(kind: str, ne: Shape) -> Shape:
    """Return the strides of a tensor without gaps."""
    info = GGML_TYPES[kind]
    first = info.block_bytes
    second = first * (ne[0] // info.block_elements)
    third = second * ne[1]
    return first, second, third, third * ne[2]


def is_contiguous(tensor: Tensor) -> bool:
    """Whether elements lie without gaps in order (dimensions of length one do not count)."""
    info = GGML_TYPES[tensor.type]
    expected = info.block_bytes
    for axis, (n, stride) in enumerate(zip(tensor.ne, tensor.nb, strict=True)):
        if n != 1:
            if stride != expected and not (axis == 0 and n == info.block_elements):
                return False
            expected = stride * (n // info.block_elements if axis == 0 else n)
        elif axis == 0:
            expected = info.block_bytes
    return True
