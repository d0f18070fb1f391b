"""What is kept until a step has run is read behind it by nodes that do nothing, ten at a time."""

from __future__ import annotations

from whatfits.sizing.graph.builder import GraphBuilder
from whatfits.sizing.graph.fused.kept import uses_of, with_kept
from whatfits.sizing.graph.tensor import NONE, Tensor


def chain(length: int) -> list[Tensor]:
    graph = GraphBuilder()
    nodes = [graph.like("SCALE", graph.input("F32", 8))]
    for _ in range(length - 1):
        nodes.append(graph.like("SCALE", nodes[-1]))
    for node in nodes:
        node.place = 1
    return nodes


def test_nodes_without_anything_to_keep_are_yielded_alone() -> None:
    nodes = chain(3)
    assert list(with_kept(nodes, {})) == nodes


def test_what_is_kept_is_read_right_behind_the_step() -> None:
    nodes = chain(4)
    laid = list(with_kept(nodes, {id(nodes[2]): [nodes[0], nodes[1]]}))
    assert laid[:3] == nodes[:3]
    assert laid[4:] == nodes[3:]
    held = laid[3]
    assert (held.op, held.srcs, held.view_of) == (NONE, (nodes[0], nodes[1]), nodes[0])
    assert (held.place, held.type, held.ne, held.nb) == (1, "F32", nodes[0].ne, nodes[0].nb)


def test_a_node_reads_ten_at_most() -> None:
    for count, split in ((10, [10]), (11, [10, 1]), (20, [10, 10]), (21, [10, 10, 1])):
        nodes = chain(count + 1)
        laid = list(with_kept(nodes, {id(nodes[-1]): nodes[:count]}))
        idle = laid[count + 1 :]
        assert [len(node.srcs) for node in idle] == split
        assert [src for node in idle for src in node.srcs] == nodes[:count]
        assert [node.view_of for node in idle] == nodes[:count:10]


def test_uses_are_counted_source_by_source() -> None:
    graph = GraphBuilder()
    a = graph.input("F32", 8)
    twice = graph.like("MUL", a, a)
    end = graph.like("ADD", twice, a)
    uses = uses_of([twice, end])
    assert (uses[id(a)], uses[id(twice)], uses.get(id(end), 0)) == (3, 1, 0)
