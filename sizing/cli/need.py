"""`whatfits need MODEL`: which machines run it, and what to add to this one."""

from __future__ import annotations

import datetime as dt
import sys

from whatfits.sizing.api import load_model, need
from whatfits.sizing.cli.machine_options import (
    add_device_option,
    add_machine_options,
    machine_of,
    with_chosen_devices,
)
from whatfits.sizing.cli.options import add_workload_options, workload_of
from whatfits.sizing.cli.parser import (
    Parser,
    add_output_options,
    parsed,
    tokens_per_s,
    whole_number,
)
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.needing.question import need_runtime
from whatfits.sizing.needing.renting import RENT_RULE, rent_warnings
from whatfits.sizing.needing.search import NEED_RULE
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.trained import beyond_training
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.unsized import nothing_is_sized, unsized_hint
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.cli.answers import NeedAnswer
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.needing.rows import Need
    from whatfits.sizing.runtimes import RuntimeEntry

__all__ = ["run"]


def _parser() -> Parser:
    parser = Parser(command="need", description="Which machines run MODEL, the cheapest first.")
    parser.add_argument("model", metavar="MODEL", help="a catalog name, a .gguf, a checkpoint")
    parser.add_argument("--file-type", metavar="TYPE", help="quantisation, as Q4_K_M")
    parser.add_argument(
        "--runtime",
        action=parsed(str.casefold),
        default=DEFAULT_RUNTIME,
        help="whose rules to use: llama.cpp, vllm, mlx",
    )
    parser.add_argument(
        "--users", action=parsed(whole_number), metavar="N", help="each with the whole context"
    )
    parser.add_argument(
        "--min-speed",
        action=parsed(tokens_per_s),
        metavar="TOKENS/S",
        help="write this fast, after the prompt",
    )
    add_machine_options(parser)
    add_device_option(parser)
    add_workload_options(parser)
    add_output_options(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when some machine runs it, 1 when none of the catalog does."""
    options = _parser().read(arguments)
    entry = need_runtime(options.runtime)
    spec = load_model(options.model, file_type=options.file_type, runtime=entry.id)
    machine = with_chosen_devices(machine_of(options), options)
    found = need(
        spec,
        runtime=entry.id,
        machine=machine,
        workload=workload_of(options),
        users=options.users,
        least_tokens_per_s=options.min_speed,
        today=dt.datetime.now(tz=dt.UTC).date(),
    )
    if options.json:
        sys.stdout.write(dump_json(_answer(spec, machine, found, entry)) + "\n")
    else:
        from whatfits.sizing.cli.need_text import need_document
        from whatfits.sizing.cli.render import show

        document = need_document(
            spec, machine, found, entry=entry, least_tokens_per_s=options.min_speed
        )
        show(document, plain=options.plain)
    return 0 if found.cards or found.shared or found.ram is not None or found.rented else 1


def _answer(spec: ModelSpec, machine: Machine, found: Need, entry: RuntimeEntry) -> NeedAnswer:
    from whatfits.sizing.cli.answers import NeedAnswer
    from whatfits.sizing.cli.need_text import tokens_each
    from whatfits.sizing.estimate import ModelSummary

    return NeedAnswer(
        schema_version=SCHEMA_VERSION,
        model=ModelSummary.of(spec),
        workload=found.workload,
        rule=f"{NEED_RULE} {RENT_RULE}",
        machine=machine,
        runs_here=found.runs_here,
        cards=found.cards,
        shared=found.shared,
        ram=found.ram,
        additions=found.additions,
        rented=found.rented,
        runtime=entry.id,
        warnings=(
            *beyond_training(spec, tokens_each(found.workload, entry)),
            *rent_warnings(found.rented),
            *((unsized_hint(machine),) if nothing_is_sized(machine) else ()),
        ),
    )
