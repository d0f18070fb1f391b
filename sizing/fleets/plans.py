"""One way to run a model on a fleet, as it is answered."""

from __future__ import annotations

from whatfits.sizing.estimate import Memory, Speed, Verdict
from whatfits.sizing.fleets.inventory import at_node
from whatfits.sizing.fleets.network import Traffic  # noqa: TC001 - read by pydantic
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass, replace
from whatfits.sizing.verdict import MAY_RUN, VERDICT_ORDER
from whatfits.sizing.workload import Workload  # noqa: TC001 - read by pydantic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.fleets.inventory import Node

__all__ = [
    "NOT_ALONE",
    "FleetFile",
    "FleetPlan",
    "NodeCommands",
    "NodeShare",
    "Strategy",
    "mid_rate",
    "named_rows",
    "preference",
    "shares_of",
    "together",
]

Strategy = Literal["single", "replicas", "pipeline"]
NOT_ALONE: Final = "no single one holds the model in its fastest memory"
_STRATEGIES: Final[tuple[Strategy, ...]] = ("single", "replicas", "pipeline")
_RUNTIMES: Final = ("llama.cpp", "vllm", "mlx", "exo")


@dataclass(frozen=True, slots=True)
class NodeShare:
    """What one node takes of a model.

    Attributes:
        node: its name.
        layers: how many of the model's layers.
        total_bytes: middle of its need.
        high_bytes: upper end of its need.
        free_bytes: what is surely free in the pools it uses, RAM and cards together; None when
            that is not known.
    """

    node: str
    layers: int
    total_bytes: int
    high_bytes: int
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class NodeCommands:
    """What to type on one node, in this order.

    Attributes:
        node: its name; `router` for what stands in front of all.
        way: which way of starting it belongs to, where there are several.
        commands: one line each.
    """

    node: str
    way: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FleetFile:
    """A file that starts or connects a fleet.

    Attributes:
        name: of the file.
        purpose: what to do with it, one sentence.
        text: what is in it.
    """

    name: str
    purpose: str
    text: str


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """One way to run a model on a fleet.

    Attributes:
        strategy: `single` (all of it on one node), `replicas` (a whole copy on each, behind a
            router) or `pipeline` (every node has layers of its own).
        runtime: `llama.cpp`, `vllm`, `mlx` or `exo`.
        nodes: those that take part, in the order of the layers.
        file_type: quantisation.
        verdict: by the rules of one machine, pool by pool.
        verdict_reason: one sentence with its numbers.
        reasons: why it is cut that way.
        workload: with the runtime's defaults filled in; of replicas, that of one copy.
        ranks: devices that share each layer.
        stages: devices, or groups of ranks, with layers of their own.
        memory: of all nodes; devices and pools have the node's name before theirs.
        shares: the same by node.
        largest_context_tokens: longest that fits; of replicas, on the smallest. None where none
            does, and where it was not looked for: exo, and layers that spill.
        speed: with the time on the network; None when unknown.
        traffic: what crosses the network; None when nothing does.
        commands: what to type on each node; none for what does not run.
        files: manifests and configurations; none for what does not run.
        notes: what else has to be known.
    """

    strategy: Strategy
    runtime: str
    nodes: tuple[str, ...]
    file_type: str | None
    verdict: Verdict
    verdict_reason: str
    reasons: tuple[str, ...]
    workload: Workload
    ranks: int
    stages: int
    memory: Memory
    shares: tuple[NodeShare, ...]
    largest_context_tokens: int | None
    speed: Speed | None
    traffic: Traffic | None = None
    commands: tuple[NodeCommands, ...] = ()
    files: tuple[FleetFile, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def may_run(self) -> bool:
        """Whether it runs, or perhaps does."""
        return self.verdict in MAY_RUN


def mid_rate(speed: Speed | None) -> float:
    """Return the middle of the speed of writing, or of reading where a model writes nothing.

    0 where it is not known.
    """
    if speed is None:
        return 0.0
    rate = speed.prefill_tokens_per_s if speed.reads_alone else speed.decode_tokens_per_s
    return 0.0 if rate is None else rate.mid


def preference(plan: FleetPlan) -> tuple[int, float, int, int, int, float]:
    """Return what plans are ordered by, the best first.

    The verdict; of those that are slow, speed; then one node before copies, and copies before a
    cut, which waits for the network; then the runtime that asks least of a machine; then fewer
    nodes; then speed.
    """
    rate = mid_rate(plan.speed)
    return (
        VERDICT_ORDER[plan.verdict],
        -rate if plan.verdict == "slow" else 0.0,
        _STRATEGIES.index(plan.strategy),
        _RUNTIMES.index(plan.runtime),
        len(plan.nodes) if plan.strategy == "pipeline" else 0,
        -rate,
    )


def shares_of(
    memory: Memory, nodes: Sequence[Node], layers: Sequence[int]
) -> tuple[NodeShare, ...]:
    """Return a bill by node: its rows are named after the nodes."""
    found = []
    for node, count in zip(nodes, layers, strict=True):
        rows = [row for row in memory.devices if row.device.startswith(at_node(node.node, ""))]
        pools = {row.pool for row in rows}
        rooms = [
            pool.whole.free_low_bytes
            for pool in node.machine.pools
            if at_node(node.node, pool.id) in pools
        ]
        free = [room for room in rooms if room is not None]
        found.append(
            NodeShare(
                node=node.node,
                layers=count,
                total_bytes=sum(row.total_bytes for row in rows),
                high_bytes=sum(row.high_bytes for row in rows),
                free_bytes=sum(free) if len(free) == len(rooms) else None,
            )
        )
    return tuple(found)


def named_rows(memory: Memory, node: str) -> Memory:
    """Return a bill whose devices and pools have the node's name before theirs."""
    rows = tuple(
        replace(row, device=at_node(node, row.device), pool=at_node(node, row.pool))
        for row in memory.devices
    )
    return replace(memory, devices=rows)


def together(memories: Sequence[Memory], nodes: Sequence[Node]) -> Memory:
    """Return the bills of all nodes as one, its rows named after the nodes."""
    return Memory.of(
        [
            row
            for memory, node in zip(memories, nodes, strict=True)
            for row in named_rows(memory, node.node).devices
        ],
        mapped_bytes=sum(memory.mapped_bytes for memory in memories),
        growth_limit_bytes=sum(memory.growth_limit_bytes for memory in memories),
    )
