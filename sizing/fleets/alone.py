"""Nodes that hold the whole model: the best one alone, and copies on all that do."""

from __future__ import annotations

from whatfits.sizing.estimate import RateRange, Speed
from whatfits.sizing.fleets.plans import (
    FleetPlan,
    NodeCommands,
    named_rows,
    shares_of,
    together,
)
from whatfits.sizing.speed import rounded
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.fleets.looks import Look
    from whatfits.sizing.model import ModelSpec

__all__ = ["best_alone", "copies_of", "replicas"]

_CROSSES: Final = "nothing but requests and answers crosses the network"
_LEAST_SHARE: Final = 0.25  # of the fastest node's speed, for a copy to be worth its place


def copies_of(looks: Sequence[Look]) -> list[Look]:
    """Return the nodes that hold a copy each; none where that is one node or none.

    The model has to fit there, and nodes less than a quarter as fast as the fastest are left
    out: a router would keep its users waiting for them.
    """
    fitting = [look for look in looks if look.verdict == "fits"]
    fastest = max((look.rate for look in fitting), default=0.0)
    held = [look for look in fitting if look.rate >= _LEAST_SHARE * fastest]
    return held if len(held) > 1 else []


def best_alone(spec: ModelSpec, node: Node, plan: Plan, *, of: int) -> FleetPlan:
    """Return the model on one node, the best `of` so many."""
    memory = named_rows(plan.memory, node.node)
    does = "reads" if spec.embeds else "writes"
    best = f"{node.node} has the best verdict, and of those it {does} fastest"
    return FleetPlan(
        strategy="single",
        runtime=plan.runtime,
        nodes=(node.node,),
        file_type=plan.model.file_type,
        verdict=plan.verdict,
        verdict_reason=plan.verdict_reason,
        reasons=(best if of > 1 else "it is the only node",),
        workload=plan.workload,
        ranks=1,
        stages=1,
        memory=memory,
        shares=shares_of(memory, [node], [spec.n_layers]),
        largest_context_tokens=plan.largest_context_tokens,
        speed=plan.speed,
        commands=_commands(node, plan),
        notes=plan.notes,
    )


def replicas(spec: ModelSpec, held: Sequence[tuple[Node, Plan]]) -> FleetPlan:
    """Return a copy on each node.

    What one user sees lies between the slowest node and the fastest; throughput is that of all
    together.
    """
    first = held[0][1]
    nodes = [node for node, _ in held]
    memory = together([plan.memory for _, plan in held], nodes)
    contexts = [plan.largest_context_tokens for _, plan in held]
    known = [context for context in contexts if context is not None]
    return FleetPlan(
        strategy="replicas",
        runtime=first.runtime,
        nodes=tuple(node.node for node in nodes),
        file_type=first.model.file_type,
        verdict=first.verdict,
        verdict_reason=f"each of {len(held)} nodes holds a copy; {nodes[0].node}: "
        f"{first.verdict_reason}",
        reasons=(f"{len(held)} copies serve more users at once: {_CROSSES}",),
        workload=first.workload,
        ranks=1,
        stages=1,
        memory=memory,
        shares=shares_of(memory, nodes, [spec.n_layers] * len(nodes)),
        largest_context_tokens=min(known) if len(known) == len(contexts) else None,
        speed=_all_speeds([plan.speed for _, plan in held]),
        commands=tuple(entry for node, plan in held for entry in _commands(node, plan)),
        notes=tuple(dict.fromkeys(note for _, plan in held for note in plan.notes)),
    )


def _commands(node: Node, plan: Plan) -> tuple[NodeCommands, ...]:
    lines = plan.commands.get(plan.runtime)
    return (NodeCommands(node.node, plan.runtime, lines),) if lines else ()


def _all_speeds(speeds: Sequence[Speed | None]) -> Speed | None:
    """Return the speeds of copies: of one user over all of them, and of all together."""
    known = [speed for speed in speeds if speed is not None]
    if len(known) < len(speeds):
        return None
    alone = [speed.throughput_tokens_per_s or speed.decode_tokens_per_s for speed in known]
    full = _one(speed.full_depth_tokens for speed in known)
    provenance = _shared(speed.provenance for speed in known)
    read_by = _shared(speed.prefill_provenance or speed.provenance for speed in known)
    return Speed(
        prefill_tokens_per_s=_span(speed.prefill_tokens_per_s for speed in known),
        decode_tokens_per_s=_span(speed.decode_tokens_per_s for speed in known),
        time_to_first_token_s=_span(speed.time_to_first_token_s for speed in known),
        provenance=provenance,
        reason="; ".join(dict.fromkeys(s.reason for s in known if s.reason)) or None,
        throughput_tokens_per_s=_added(alone),
        depth_tokens=_one(speed.depth_tokens for speed in known),
        full_decode_tokens_per_s=None
        if full is None
        else _span(speed.full_decode_tokens_per_s for speed in known),
        full_depth_tokens=full,
        prefill_provenance=None if read_by == provenance else read_by,
    )


def _one(numbers: Iterable[int | None]) -> int | None:
    """Return the number that all of them are; None where they differ, or are not told."""
    first, *others = set(numbers)
    return None if others else first


def _shared(provenances: Iterable[str]) -> str:
    """Return where all speeds come from."""
    first, *others = set(provenances)
    return "estimated" if others else first


def _span(ranges: Iterable[RateRange | None]) -> RateRange | None:
    """Return from the lowest to the highest of several ranges, the middle that of the middles."""
    found = list(ranges)
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    return RateRange(
        min(one.low for one in known),
        rounded(sum(one.mid for one in known) / len(known)),
        max(one.high for one in known),
    )


def _added(ranges: Sequence[RateRange | None]) -> RateRange | None:
    known = [one for one in ranges if one is not None]
    if len(known) < len(ranges):
        return None
    return RateRange(
        rounded(sum(one.low for one in known)),
        rounded(sum(one.mid for one in known)),
        rounded(sum(one.high for one in known)),
    )
