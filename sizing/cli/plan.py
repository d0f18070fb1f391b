"""`whatfits plan MODEL`: the best file type, context and placement, and each runtime's commands."""

from __future__ import annotations

import sys

from whatfits.sizing.api import choice_for, load_model, plan_of
from whatfits.sizing.cli.machine_options import (
    add_disk_option,
    add_machine_options,
    machine_of,
    with_disk,
)
from whatfits.sizing.cli.options import (
    add_placement_options,
    add_workload_options,
    placement_of,
    workload_of,
)
from whatfits.sizing.cli.parser import Parser, add_output_options, parsed, tokens_per_s
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.verdict import MAY_RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["run"]


def _parser() -> Parser:
    parser = Parser(command="plan", description="The best way to run MODEL, and what to type.")
    parser.add_argument("model", metavar="MODEL", help="a catalog name, a .gguf, a checkpoint")
    parser.add_argument("--file-type", metavar="TYPE", help="only this quantisation, as Q4_K_M")
    parser.add_argument(
        "--min-speed",
        action=parsed(tokens_per_s),
        metavar="TOKENS/S",
        help="write at least this fast, after the prompt",
    )
    parser.add_argument("--longest", action="store_true", help="the longest context that runs")
    parser.add_argument("--force", action="store_true", help="print the commands in any case")
    add_machine_options(parser)
    add_disk_option(parser)
    add_workload_options(parser)
    add_placement_options(parser)
    add_output_options(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when it fits, is tight or slow, 1 when it does not fit or is unknown."""
    options = _parser().read(arguments)
    workload, request = workload_of(options), placement_of(options)
    spec = load_model(options.model, file_type=options.file_type)
    choice = choice_for(
        spec,
        machine=with_disk(machine_of(options), options),
        workload=workload,
        request=request,
        fixed_file_type=options.file_type is not None,
        least_tokens_per_s=options.min_speed,
        longest=options.longest,
        force=options.force,
    )
    plan = plan_of(choice, name=options.model)
    if options.json:
        sys.stdout.write(dump_json(plan) + "\n")
    else:
        from whatfits.sizing.cli.plan_text import plan_with_choices
        from whatfits.sizing.cli.render import show

        show(plan_with_choices(plan), plain=options.plain)
    return 0 if plan.verdict in MAY_RUN else 1
