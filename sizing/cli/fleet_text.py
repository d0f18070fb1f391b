"""`whatfits fleet` in words: the machines, then each way to run the model on them."""

from __future__ import annotations

from whatfits.sizing.document import Document, Facts, Lines, Table, Verbatim
from whatfits.sizing.explain import TONES, machine_sentence, rate_text
from whatfits.sizing.fleets.inventory import free_bytes
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.document import Block
    from whatfits.sizing.fleets.answer import FleetAnswer
    from whatfits.sizing.fleets.plans import FleetPlan

__all__ = ["fleet_document"]

_FREE: Final = "surely free on the GPU, else in RAM"
_STRATEGIES: Final = {
    "single": "one node",
    "replicas": "copies behind a router",
    "pipeline": "cut over nodes",
}


def fleet_document(answer: FleetAnswer) -> Document:
    """Return the machines and the plans."""
    blocks: list[Block] = [_nodes(answer)]
    if answer.warnings:
        blocks.append(Lines(answer.warnings, tone="warn"))
    told = [plan for plan in answer.plans if plan.may_run]
    for plan in told:
        blocks += _plan(plan, answer.model or "")
    if answer.model is not None and not told:
        blocks.append(Lines((f"{answer.model} does not run on these machines.",), tone="bad"))
    others = [_why_not(plan) for plan in answer.plans if not plan.may_run]
    if others or answer.refused:
        lines = (*others, *answer.refused)
        blocks.append(Lines(lines, title="What does not run", tone="dim"))
    if answer.rule is not None:
        blocks.append(Lines((answer.rule,), tone="dim"))
    return Document(tuple(blocks))


def _nodes(answer: FleetAnswer) -> Table:
    columns = ("node", "machine", _FREE, "network")
    rows = tuple(
        (
            node.node,
            machine_sentence(node.machine),
            format_bytes(free_bytes(node.machine)),
            node.network or "unknown",
        )
        for node in answer.nodes
    )
    return Table(columns, rows, title=f"{len(rows)} machine{'s' * (len(rows) > 1)}", right=(_FREE,))


def _why_not(plan: FleetPlan) -> str:
    name = f"{plan.runtime}, {plan.file_type or 'unknown file type'}, {_STRATEGIES[plan.strategy]}"
    return f"{name} ({', '.join(plan.nodes)}): {plan.verdict}: {plan.verdict_reason}"


def _plan(plan: FleetPlan, model: str) -> Iterator[Block]:
    name = f"{model} {plan.file_type or ''}".strip()
    on = ", ".join(plan.nodes)
    title = f"{name}: {_STRATEGIES[plan.strategy]} ({on}), {plan.runtime}"
    yield Lines(
        (f"{plan.verdict}: {plan.verdict_reason}", *plan.reasons),
        title=title,
        tone=TONES[plan.verdict],
    )
    yield Facts(tuple(_facts(plan)))
    if len(plan.shares) > 1:
        yield _shares(plan)
    for entry in plan.commands:
        yield Verbatim(entry.commands, title=f"On {entry.node} ({entry.way})")
    if plan.files:
        yield Lines(
            tuple(f"{file.name}: {file.purpose}" for file in plan.files),
            title="Files (--write FOLDER)",
        )
    if plan.notes:
        yield Lines(plan.notes, tone="dim")


def _facts(plan: FleetPlan) -> Iterator[tuple[str, str]]:
    everywhere = " on all nodes together" if len(plan.nodes) > 1 else ""
    yield "needs", f"{format_bytes(plan.memory.total_bytes)}{everywhere}"
    if plan.largest_context_tokens is not None:
        yield "largest context", f"{format_tokens(plan.largest_context_tokens)} tokens"
    speed = plan.speed
    if speed is not None:
        if speed.reads_alone:
            yield "reads", rate_text(speed.prefill_tokens_per_s, "tokens/s")
        else:
            yield "writes", rate_text(speed.decode_tokens_per_s, "tokens/s")
        if speed.throughput_tokens_per_s is not None:
            yield "all together", rate_text(speed.throughput_tokens_per_s, "tokens/s")
        if speed.time_to_first_token_s is not None:
            yield "first token after", rate_text(speed.time_to_first_token_s, "s")
        if speed.reason is not None:
            yield "of the speed", speed.reason
    if plan.traffic is not None:
        token, messages = plan.traffic.token_bytes, plan.traffic.messages
        yield "network", f"{token:,} bytes a token, {messages} messages a step"


def _shares(plan: FleetPlan) -> Table:
    columns = ("node", "layers", "needs", "at most", "surely free, cards and RAM together")
    rows = tuple(
        (
            share.node,
            str(share.layers),
            format_bytes(share.total_bytes),
            format_bytes(share.high_bytes),
            size_text(share.free_bytes),
        )
        for share in plan.shares
    )
    return Table(columns, rows, right=columns[1:])
