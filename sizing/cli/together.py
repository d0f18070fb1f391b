"""`whatfits together MODEL…`: several models loaded at once, each with a server of its own."""

from __future__ import annotations

import sys

from whatfits.sizing.api import together
from whatfits.sizing.cli.machine_options import (
    add_device_option,
    add_machine_options,
    devices_of,
    machine_of,
)
from whatfits.sizing.cli.options import add_workload_options, workload_of
from whatfits.sizing.cli.parser import Parser, add_output_options, parsed, whole_number
from whatfits.sizing.document import Document, Lines, Table, Verbatim
from whatfits.sizing.explain import rate_cell
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens, size_text
from whatfits.sizing.verdict import MAY_RUN
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.document import Block, Tone
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.residents import PoolShare, TogetherPlan

__all__ = ["run"]


def _parser() -> Parser:
    parser = Parser(command="together", description="Do MODELs stay loaded at once, in this order?")
    parser.add_argument(
        "models", metavar="MODEL[:TYPE]", nargs="+", help="as in check; TYPE as Q4_K_M"
    )
    parser.add_argument(
        "--port", action=parsed(whole_number), default=8080, help="of the first server"
    )
    parser.add_argument("--force", action="store_true", help="print the commands in any case")
    add_machine_options(parser)
    add_device_option(parser)
    add_workload_options(parser)
    add_output_options(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when all run, 1 when one does not or cannot be told."""
    options = _parser().read(arguments)
    plan = together(
        options.models,
        machine=machine_of(options),
        workload=workload_of(options),
        placement=PlacementRequest(devices=devices_of(options)),
        first_port=options.port,
        force=options.force,
    )
    if options.json:
        sys.stdout.write(dump_json(plan) + "\n")
    else:
        from whatfits.sizing.cli.render import show

        show(_document(plan), plain=options.plain)
    return 0 if plan.verdict in MAY_RUN else 1


def _document(plan: TogetherPlan) -> Document:
    said = f"Together on {plan.machine.name}: {plan.verdict}; {plan.verdict_reason}."
    tone: Tone = "good" if plan.verdict == "fits" else "bad" if plan.verdict == "no" else "warn"
    blocks: list[Block] = [Lines((said,), tone=tone), _models_table(plan.models)]
    blocks.append(_pools_table(plan.pools, plan.models))
    blocks += [
        Verbatim(lines, title=f"Start {model.model.name}")
        for model in plan.models
        for lines in model.commands.values()
    ]
    if plan.remedies:
        helps = tuple(
            f"- {remedy.text} -> {remedy.verdict} ({remedy.cost})" for remedy in plan.remedies
        )
        blocks.append(Lines(helps, title="What would help"))
    notes = [f"{model.model.name}: {note}" for model in plan.models for note in model.notes]
    blocks.append(Lines((plan.rule, *plan.notes, *notes), title="Notes", tone="dim"))
    return Document(tuple(blocks))


def _models_table(models: Sequence[Plan]) -> Table:
    columns = ("model", "file type", "context", "verdict", "needs", "tokens/s")
    rows = tuple(
        (
            plan.model.name,
            plan.model.file_type or "unknown",
            format_tokens(plan.workload.context_tokens or 0),
            plan.verdict,
            format_bytes(plan.memory.total_bytes),
            _rate(plan),
        )
        for plan in models
    )
    return Table(columns, rows, right=("context", "needs", "tokens/s"))


def _rate(plan: Plan) -> str:
    """Return how fast a model writes; a dash for one that writes nothing."""
    if plan.speed is None:
        return "?"
    writes = not plan.speed.reads_alone
    return rate_cell(plan.verdict, plan.speed.decode_tokens_per_s, writes=writes)


def _pools_table(pools: Sequence[PoolShare], models: Sequence[Plan]) -> Table:
    columns = ("pool", "free", *(plan.model.name for plan in models), "left")
    rows = tuple(
        (
            share.pool,
            size_text(share.free_bytes),
            *map(format_bytes, share.high_bytes),
            size_text(share.left_bytes),
        )
        for share in pools
    )
    return Table(columns, rows, title="Most that each takes", right=columns[1:])
