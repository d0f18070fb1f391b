"""`whatfits plan` in words: the plan, what else there was, and each runtime's commands."""

from __future__ import annotations

from whatfits.sizing.document import Document, Lines, Table, Verbatim
from whatfits.sizing.explain import context_cell, plan_document, rate_cell, remedy_text
from whatfits.sizing.runtimes import find_runtime
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from whatfits.sizing.document import Block
    from whatfits.sizing.estimate import RuntimeAnswer
    from whatfits.sizing.planning import BestPlan

__all__ = ["plan_with_choices"]


def plan_with_choices(plan: BestPlan) -> Document:
    """Return a plan as a document: verdict first, then the choices, then what to type."""
    bare = replace(plan, commands={}, notes=())
    blocks: list[Block] = [*plan_document(bare).blocks]
    if len(plan.file_types) > 1:
        blocks.append(_types_table(plan))
    costs = {option.file_type: option.quality_cost for option in plan.file_types}
    cost = costs.get(plan.model.file_type or "")
    quality = (f"{plan.model.file_type}: {cost}.",) if cost else ()
    blocks.append(Lines((*plan.rules, *quality), tone="dim"))
    blocks += [
        Verbatim(answer.commands, title=_title(answer))
        for answer in plan.runtimes
        if answer.commands
    ]
    others = tuple(
        line
        for answer in plan.runtimes
        if not answer.commands and plan.verdict != "no"
        for line in _refusal(answer)
    )
    if others:
        blocks.append(Lines(others, title="Not with", tone="dim"))
    said = tuple(
        f"{find_runtime(answer.runtime).label}: {note}"
        for answer in plan.runtimes
        if answer.commands
        for note in answer.notes
    )
    if said or plan.notes:
        blocks.append(Lines((*plan.notes, *said), title="Notes", tone="dim"))
    return Document(tuple(blocks))


def _refusal(answer: RuntimeAnswer) -> tuple[str, ...]:
    """Return why a runtime does not run it, and what would make it."""
    label = find_runtime(answer.runtime).label
    helps = (f"{label}, to make it fit: {remedy_text(remedy)}" for remedy in answer.remedies)
    return (f"{label}: {answer.reason}.", *helps)


def _title(answer: RuntimeAnswer) -> str:
    needs = "" if answer.high_bytes is None else f", up to {format_bytes(answer.high_bytes)}"
    return f"{find_runtime(answer.runtime).label}: {answer.verdict}{needs}"


def _types_table(plan: BestPlan) -> Table:
    writes = plan.speed is None or not plan.speed.reads_alone
    columns = ("file type", "weights", "verdict", "needs", "largest context", "tokens/s")
    rows = tuple(
        (
            option.file_type + (" <-" if option.file_type == plan.model.file_type else ""),
            format_bytes(option.weights_bytes),
            option.verdict,
            format_bytes(option.total_bytes),
            context_cell(option.verdict, option.largest_context_tokens),
            rate_cell(option.verdict, option.decode_tokens_per_s, writes=writes),
        )
        for option in plan.file_types
    )
    return Table(
        columns,
        rows,
        title="File types to choose from",
        right=("weights", "needs", "largest context", "tokens/s"),
    )
