"""The nodes of a graph, a line each: this engine's, and those that llama.cpp reserves memory for.

A line is operation, type, shape, strides, flags, the back end that runs it, the one it is pinned to
(nothing beside a host alone), what it is a view of and its sources.
A node is named by how many nodes before it stands, a leaf by its type, shape, strides and flags.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from comparison import asked_for

from whatfits.sizing.graph import buffers
from whatfits.sizing.graph.tensor import INPUT, NONE, OUTPUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest
    from comparison import Box

    from whatfits.bench.run_settings import RunSettings
    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.graph.scheduler import Backends
    from whatfits.sizing.graph.tensor import Tensor
    from whatfits.sizing.model import ModelSpec

_FLAGS: Final = INPUT | OUTPUT
_DIGITS: Final = 12


@dataclass(frozen=True)
class Digest:
    """How many nodes a graph has, and the start of the SHA-256 of their lines."""

    nodes: int
    sha256: str


class _Built(Exception):  # noqa: N818 - no error
    def __init__(self, nodes: Sequence[Tensor], *, has_pins: bool) -> None:
        super().__init__()
        self.nodes = nodes
        self.has_pins = has_pins


def digest(lines: Sequence[str]) -> Digest:
    """Return what stands for a graph in a record."""
    text = "\n".join(lines).encode()
    return Digest(len(lines), hashlib.sha256(text).hexdigest()[:_DIGITS])


def own_graph(
    spec: ModelSpec, box: Box, settings: RunSettings, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Return the lines of the graph that this engine replays, with every layer.

    Raises:
        InvalidRequestError: llama.cpp would refuse the settings.
    """
    resolved, placement = asked_for(spec, box, settings)

    class Watched(buffers.Graph):
        """Ends with the nodes of a full micro-batch, before anything is laid out."""

        def __init__(self, context: GraphContext, backends: Backends, kinds: Sequence[str]) -> None:
            super().__init__(context, backends, kinds)
            if context.settings.graph_tokens == resolved.graph_tokens:
                self.places_of(NONE, pinned=False)  # a plan forgets what was pinned
                raise _Built(context.nodes, has_pins=len(kinds) > 0)

    with monkeypatch.context() as patch:
        patch.setattr(buffers, "Graph", Watched)
        try:
            buffers.graph_buffers(spec, resolved, placement, whole=True)
        except _Built as built:
            return _lines(built.nodes, has_pins=built.has_pins)
    return []


def _lines(nodes: Sequence[Tensor], *, has_pins: bool) -> list[str]:
    numbers = {id(node): number for number, node in enumerate(nodes)}
    leaves: dict[int, str] = {}

    def named(tensor: Tensor, reader: int) -> str:
        number = numbers.get(id(tensor))
        if number is not None:
            return str(reader - number)
        found = leaves.get(id(tensor))
        if found is None:
            found = leaves[id(tensor)] = _leaf(tensor.type, tensor.ne, tensor.nb, tensor.flags)
        return found

    return [
        _line(
            (
                *(node.op, node.type, node.ne, node.nb, node.flags & _FLAGS),
                *(node.place, node.wants if has_pins else None),
            ),
            "" if node.view_of is None else named(node.view_of, at),
            (named(src, at) for src in node.srcs),
        )
        for at, node in enumerate(nodes)
    ]


def _leaf(kind: str, ne: Sequence[int], nb: Sequence[int], flags: int) -> str:
    return f"{kind} {tuple(ne)} {tuple(nb)} {flags & _FLAGS}"


def _line(fields: Iterable[object], view_of: str, srcs: Iterable[str]) -> str:
    return f"{' '.join(map(str, fields))} of {view_of} from {' + '.join(srcs)}"


def planned_graph(text: str, *, has_pins: bool) -> list[str]:
    """Return the lines of a graph as graph_spy.c writes it."""
    rows = [line.split() for line in text.splitlines()]
    places = {row[1]: int(row[2]) for row in rows if row[0] == "p"}
    pins = {row[1]: int(row[2]) for row in rows if has_pins and row[0] == "w"}
    leaves = {row[1]: row for row in rows if row[0] == "l"}
    nodes = [row for row in rows if row[0] == "n"]
    numbers = {row[1]: number for number, row in enumerate(nodes)}

    def named(address: str, reader: int) -> str:
        if address in numbers:
            return str(reader - numbers[address])
        _, _, _, kind, *rest = leaves[address]
        figures = [int(text) for text in rest[:9]]
        return _leaf(kind.upper(), figures[:4], figures[4:8], figures[8])

    found = []
    for at, (_, address, op, kind, *rest) in enumerate(nodes):
        figures = [int(text) for text in rest[:9]]
        view_of, *srcs = rest[9:]
        shape = (tuple(figures[:4]), tuple(figures[4:8]), figures[8] & _FLAGS)
        found.append(
            _line(
                (op, kind.upper(), *shape, places[address], pins.get(address)),
                "" if view_of == "(nil)" else named(view_of, at),
                (named(src, at) for src in srcs),
            )
        )
    return found
