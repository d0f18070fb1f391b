"""`whatfits need MODEL`: which machines run it, and what to add to this one."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whatfits.sizing.api import load_machine, load_model
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
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.need import NEED_RULE, NeedSearch
from whatfits.sizing.need_trials import LlamaMachines, OwnMachines
from whatfits.sizing.renting import RENT_RULE, rent_warnings
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, RUNTIMES, find_runtime
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import RuntimeEntry
    from whatfits.sizing.workload import Workload

__all__ = ["run"]

_DEFAULT_CONTEXT: Final = 8192


def _parser() -> Parser:
    parser = Parser(command="need", description="Which machines run MODEL, the cheapest first.")
    parser.add_argument("model", metavar="MODEL", help="a catalog name, a .gguf, a checkpoint")
    parser.add_argument("--file-type", metavar="TYPE", help="quantisation, as Q4_K_M")
    parser.add_argument(
        "--runtime", default=DEFAULT_RUNTIME, help="whose rules to use: llama.cpp, vllm, mlx"
    )
    parser.add_argument(
        "--users", action=parsed(_users), metavar="N", help="each with the whole context"
    )
    parser.add_argument(
        "--min-speed", action=parsed(tokens_per_s), metavar="TOKENS/S", help="write this fast"
    )
    add_machine_options(parser)
    add_device_option(parser)
    add_workload_options(parser)
    add_output_options(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0 when some machine runs it, 1 when none of the catalog does."""
    options = _parser().read(arguments)
    entry = _runtime(options.runtime)
    spec = load_model(options.model, file_type=options.file_type, runtime=entry.id)
    is_own = not entry.starts_llama_cpp
    workload = _for_users(workload_of(options), spec, options.users, is_own=is_own)
    machine = with_chosen_devices(machine_of(options), options)
    from whatfits.sizing.catalog.lookup import device_entries, rental_offers

    devices = tuple(device_entries())
    search = NeedSearch(
        spec,
        OwnMachines(entry.own(), spec, workload) if is_own else LlamaMachines(spec, workload),
        machine_of=load_machine,
        least_tokens_per_s=options.min_speed,
    )
    found = search.need(devices, here=machine)
    rented = search.rented(devices, rental_offers(), today=dt.datetime.now(tz=dt.UTC).date())
    if options.json:
        from whatfits.sizing.cli.answers import NeedAnswer
        from whatfits.sizing.estimate import ModelSummary

        answer = NeedAnswer(
            schema_version=SCHEMA_VERSION,
            model=ModelSummary.of(spec),
            workload=workload,
            rule=f"{NEED_RULE} {RENT_RULE}",
            machine=machine,
            runs_here=found.runs_here,
            cards=found.cards,
            shared=found.shared,
            ram=found.ram,
            additions=found.additions,
            rented=rented,
            runtime=entry.id,
            warnings=rent_warnings(rented),
        )
        sys.stdout.write(dump_json(answer) + "\n")
    else:
        from whatfits.sizing.cli.need_text import need_document
        from whatfits.sizing.cli.render import show

        show(
            need_document(spec, workload, machine, found, rented, entry=entry), plain=options.plain
        )
    return 0 if found.cards or found.shared or found.ram is not None or rented else 1


def _users(text: str) -> int:
    count = whole_number(text)
    if count < 1:
        raise InvalidRequestError(what="number of users", got=text, allowed="1 or more")
    return count


def _runtime(name: str) -> RuntimeEntry:
    """Return the runtime whose rules count; what starts llama.cpp itself has llama.cpp's.

    Raises:
        InvalidRequestError: there is none of that name, or it is such a program.
    """
    entry = find_runtime(name)
    if entry.starts_llama_cpp and entry.id != DEFAULT_RUNTIME:
        own = [known.id for known in RUNTIMES if not known.starts_llama_cpp]
        raise InvalidRequestError(
            what="runtime for need",
            got=name,
            allowed=", ".join((DEFAULT_RUNTIME, *own)),
            next_step=f"{entry.label} starts llama.cpp: what runs that runs it",
        )
    return entry


def _for_users(workload: Workload, spec: ModelSpec, users: int | None, *, is_own: bool) -> Workload:
    """Return the workload with a sequence a user, each with the context that was asked for.

    `is_own`: the runtime counts the context of one sequence, not that of all together.

    Raises:
        InvalidRequestError: the number of sequences was given too.
    """
    context = workload.context_tokens
    if context is None:
        context = min(_DEFAULT_CONTEXT, spec.hparams.context_train_tokens or _DEFAULT_CONTEXT)
    if users is None:
        return replace(workload, context_tokens=context)
    if workload.parallel is not None:
        raise InvalidRequestError(
            what="--users with --parallel", got=workload.parallel, allowed="one of them"
        )
    times = 1 if is_own else users
    return replace(workload, context_tokens=context * times, parallel=users)
