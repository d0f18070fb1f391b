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
from whatfits.sizing.document import Document, Lines, Table
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.explain import short_rate
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.need import NEED_RULE, NeedSearch
from whatfits.sizing.renting import (
    RENT_RULE,
    cheapest_of_each,
    old_price_warning,
)
from whatfits.sizing.units import format_bytes, format_tokens
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.document import Block
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.need import Need, RunsOn
    from whatfits.sizing.renting import Rented
    from whatfits.sizing.workload import Workload

__all__ = ["run"]

_SHOWN: Final = 8
_DEFAULT_CONTEXT: Final = 8192


def _parser() -> Parser:
    parser = Parser(command="need", description="Which machines run MODEL, the cheapest first.")
    parser.add_argument("model", metavar="MODEL", help="a catalog name, a .gguf, a checkpoint")
    parser.add_argument("--file-type", metavar="TYPE", help="quantisation, as Q4_K_M")
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
    spec = load_model(options.model, file_type=options.file_type)
    workload = _for_users(workload_of(options), spec, options.users)
    machine = with_chosen_devices(machine_of(options), options)
    from whatfits.sizing.catalog.lookup import device_entries, rental_offers

    devices = tuple(device_entries())
    search = NeedSearch(
        spec, workload, machine_of=load_machine, least_tokens_per_s=options.min_speed
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
            warnings=_warnings(rented),
        )
        sys.stdout.write(dump_json(answer) + "\n")
    else:
        from whatfits.sizing.cli.render import show

        show(_document(spec, workload, machine, found, rented), plain=options.plain)
    return 0 if found.cards or found.shared or found.ram is not None or rented else 1


def _warnings(rented: Sequence[Rented]) -> tuple[str, ...]:
    old = old_price_warning(rented)
    return () if old is None else (old,)


def _users(text: str) -> int:
    count = whole_number(text)
    if count < 1:
        raise InvalidRequestError(what="number of users", got=text, allowed="1 or more")
    return count


def _for_users(workload: Workload, spec: ModelSpec, users: int | None) -> Workload:
    """Return the workload with a sequence a user, each with the context that was asked for.

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
    return replace(workload, context_tokens=context * users, parallel=users)


def _document(
    spec: ModelSpec,
    workload: Workload,
    machine: Machine,
    found: Need,
    rented: Sequence[Rented],
) -> Document:
    slots = workload.parallel or 1
    each = format_tokens((workload.context_tokens or 0) // slots)
    users = f"{slots} users with {each} tokens each" if slots > 1 else f"{each} tokens"
    here = "runs" if found.runs_here else "does not run entirely in the fastest memory"
    blocks: list[Block] = [
        Lines(
            (
                f"{spec.name} {spec.file_type or ''} for {users}.",
                f"{machine.name}: it {here} here.",
            )
        )
    ]
    blocks += _tables(found)
    offers = cheapest_of_each(rented)
    if offers:
        blocks.append(_rents(offers, of=len(rented)))
    if len(blocks) == 1:
        blocks.append(Lines(("No machine of the catalog runs it.",), tone="bad"))
    blocks.append(Lines((NEED_RULE, *((RENT_RULE,) if rented else ())), tone="dim"))
    warnings = _warnings(offers[:_SHOWN])
    if warnings:
        blocks.append(Lines(warnings))
    return Document(tuple(blocks))


def _tables(found: Need) -> list[Block]:
    ram = () if found.ram is None else (found.ram,)
    titled = (
        ("Add to this machine", found.additions),
        ("A PC with cards", found.cards),
        ("CPU and GPU on one memory", found.shared),
        ("RAM alone", ram),
    )
    return [_table(rows, title=title) for title, rows in titled if rows]


def _table(rows: Sequence[RunsOn], *, title: str) -> Table:
    columns = ("--machine", "memory", "needs", "tokens/s", "at launch", "from", "watts")
    cells = tuple(
        (
            row.machine,
            f"{row.memory_gib} GiB",
            format_bytes(row.high_bytes),
            short_rate(row.decode_tokens_per_s),
            _price(row),
            row.released or "unknown",
            "unknown" if row.power_watts is None else str(row.power_watts),
        )
        for row in rows[:_SHOWN]
    )
    more = f" ({len(rows) - _SHOWN} more with --json)" if len(rows) > _SHOWN else ""
    return Table(columns, cells, title=title + more, right=columns[1:])


def _rents(offers: Sequence[Rented], *, of: int) -> Table:
    """Return the cheapest offer of each device; the others stand in the JSON answer."""
    columns = ("--machine", "memory", "needs", "tokens/s", "an hour", "on", "from", "terms")
    shown = offers[:_SHOWN]
    cells = tuple(
        (
            row.machine,
            f"{row.memory_gib} GiB",
            format_bytes(row.high_bytes),
            short_rate(row.decode_tokens_per_s),
            f"${row.usd_per_hour:,.2f}",
            row.as_of,
            row.provider,
            row.terms,
        )
        for row in shown
    )
    more = f" ({of - len(shown)} more with --json)" if of > len(shown) else ""
    return Table(columns, cells, title=f"Rented by the hour{more}", right=columns[1:6])


def _price(row: RunsOn) -> str:
    if row.launch_price_usd is None:
        return "unknown"
    unsure = "?" if "unverified" in (row.price_basis or "") else ""
    return f"${row.launch_price_usd:,}{unsure}"
