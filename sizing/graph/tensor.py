"""A tensor of the graph: just what memory depends on."""

from __future__ import annotations

from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "F32_SOURCE",
    "INPUT",
    "NONE",
    "OUTPUT",
    "VIEWS",
    "Shape",
    "Tensor",
    "contiguous_strides",
    "is_contiguous",
]

Shape = tuple[int, int, int, int]

NONE: Final = "NONE"
INPUT: Final = 1
OUTPUT: Final = 2
F32_SOURCE: Final = 4
"""A product whose activations have to stay in F32, which some back ends cannot do."""
VIEWS: Final = frozenset({NONE, "VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE"})
"""Operations that do no work."""

_BLOCKS: Final = {name: (t.block_bytes, t.block_elements) for name, t in GGML_TYPES.items()}


class Tensor:
    """One tensor: a leaf (input, weight, cache) or the result of an operation.

    Attributes:
        op: operation; `NONE` for leaves.
        type: ggml type name.
        ne: elements a dimension.
        nb: bytes between neighbours a dimension.
        srcs: sources, in the operation's order.
        view_of: tensor whose memory it looks at; None when it has its own.
        flags: INPUT, OUTPUT and F32_SOURCE.
        home: device that holds it beforehand (index of a back end); None for what the graph makes.
        is_weight: a model weight; decides where operations on it run.
        layer: the layer that a weight belongs to.
        wants: back end it is pinned to; None when the scheduler may choose.
        place: back end that runs it or holds it; None until the scheduler has chosen.
        is_taken: whether a graph has it already.
        children: users to come, as the allocator counts them.
        views: views of it to come, likewise.
        held: whether it holds memory; in which arena, in which slot and how much is known then.
    """

    arena: int
    children: int
    flags: int
    held: bool
    home: int | None
    is_taken: bool
    is_weight: bool
    layer: int | None
    name: str
    nb: Shape
    ne: Shape
    op: str
    place: int | None
    room: int
    slot: int
    srcs: tuple[Tensor, ...]
    type: str
    view_of: Tensor | None
    views: int
    wants: int | None

    __slots__ = (
        "arena",
        "children",
        "flags",
        "held",
        "home",
        "is_taken",
        "is_weight",
        "layer",
        "name",
        "nb",
        "ne",
        "op",
        "place",
        "room",
        "slot",
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
        srcs: tuple[Tensor, ...] = (),
        view_of: Tensor | None = None,
        flags: int = 0,
        home: int | None = None,
        is_weight: bool = False,
        layer: int | None = None,
        name: str = "",
    ) -> None:
        """Make a tensor; strides are contiguous unless given."""
        self.op = op
        self.type = kind
        self.ne = ne
        if nb is None:  # contiguous_strides, without the call
            first, block_elements = _BLOCKS[kind]
            second = first * (ne[0] // block_elements)
            third = second * ne[1]
            nb = (first, second, third, third * ne[2])
        self.nb = nb
        self.srcs = srcs
        self.view_of = view_of
        if view_of is not None and view_of.view_of is not None:
            self.view_of = view_of.view_of
        self.flags = flags
        self.home = home
        self.is_weight = is_weight
        self.layer = layer
        self.wants = None
        self.place = None
        self.name = name
        self.is_taken = False
        # the allocator's notes: users and views to come, and whether it holds memory
        self.children = self.views = 0
        self.held = False

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
        block_bytes, block_elements = _BLOCKS[self.type]
        a, b, c, d = self.ne
        first, second, third, fourth = self.nb
        if a <= 0 or b <= 0 or c <= 0 or d <= 0:
            return 0
        row = block_bytes + (a - 1) * first if block_elements == 1 else a * first // block_elements
        return row + (b - 1) * second + (c - 1) * third + (d - 1) * fourth

    def same_layout(self, other: Tensor) -> bool:
        """Whether two tensors have the same type, shape and strides."""
        return self.type == other.type and self.ne == other.ne and self.nb == other.nb


def contiguous_strides(kind: str, ne: Shape) -> Shape:
    """Return the strides of a tensor without gaps."""
    first, block_elements = _BLOCKS[kind]
    second = first * (ne[0] // block_elements)
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
