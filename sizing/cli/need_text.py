"""`whatfits need` in words: a table of each kind of machine, the cheapest of each."""

from __future__ import annotations

from whatfits.sizing.document import Document, Lines, Table
from whatfits.sizing.explain import rate_cell
from whatfits.sizing.needing.renting import RENT_RULE, cheapest_of_each, rent_warnings
from whatfits.sizing.needing.search import NEED_RULE
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.trained import beyond_training
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens
from whatfits.sizing.unsized import nothing_is_sized, unsized_hint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.document import Block
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.needing.renting import Rented
    from whatfits.sizing.needing.rows import Need, RunsOn
    from whatfits.sizing.runtimes import RuntimeEntry
    from whatfits.sizing.workload import Workload

__all__ = ["need_document", "tokens_each"]

_SHOWN: Final = 8


def need_document(
    spec: ModelSpec,
    machine: Machine,
    found: Need,
    *,
    entry: RuntimeEntry,
    least_tokens_per_s: float | None = None,
) -> Document:
    """Return what runs a model by the rules of `entry`."""
    workload, rented = found.workload, found.rented
    slots = workload.parallel or 1
    tokens = tokens_each(workload, entry)
    each = format_tokens(tokens)
    users = f"{slots} users with {each} tokens each" if slots > 1 else f"{each} tokens"
    under = "" if entry.id == DEFAULT_RUNTIME else f" under {entry.label}"
    floor = ""
    if least_tokens_per_s is not None:
        floor = f" at {least_tokens_per_s:,.6g} tokens/s or more (the middle of the estimate)"
    here = "runs" if found.runs_here else "does not run entirely in the fastest memory"
    judged = f"it {here} here{floor}."
    if nothing_is_sized(machine):
        judged = f"whether it runs here cannot be told. {unsized_hint(machine)}"
    asked = f"{spec.name} {spec.file_type or ''} for {users}{under}."
    blocks: list[Block] = [Lines((asked, f"{machine.name}: {judged}"))]
    blocks += _tables(found, writes=not spec.embeds)
    offers = cheapest_of_each(rented)
    if offers:
        blocks.append(_rents(offers, of=len(rented), writes=not spec.embeds))
    if len(blocks) == 1:
        blocks.append(Lines((f"No machine of the catalog runs it{floor}.",), tone="bad"))
    blocks.append(Lines((NEED_RULE, *((RENT_RULE,) if rented else ())), tone="dim"))
    warnings = (*beyond_training(spec, tokens), *rent_warnings(offers[:_SHOWN]))
    if warnings:
        blocks.append(Lines(warnings))
    return Document(tuple(blocks))


def tokens_each(workload: Workload, entry: RuntimeEntry) -> int:
    """Return the tokens of context that each user gets; llama.cpp shares a context out."""
    times = (workload.parallel or 1) if entry.starts_llama_cpp else 1
    return (workload.context_tokens or 0) // times


def _tables(found: Need, *, writes: bool) -> list[Block]:
    ram = () if found.ram is None else (found.ram,)
    titled = (
        ("Add to this machine", found.additions),
        ("A PC with cards", found.cards),
        ("CPU and GPU on one memory", found.shared),
        ("RAM alone", ram),
    )
    return [_table(rows, title=title, writes=writes) for title, rows in titled if rows]


def _table(rows: Sequence[RunsOn], *, title: str, writes: bool) -> Table:
    columns = ("--machine", "memory", "needs", "tokens/s", "at launch", "from", "watts")
    cells = tuple(
        (
            row.machine,
            f"{row.memory_gib} GiB",
            format_bytes(row.high_bytes),
            rate_cell("fits", row.decode_tokens_per_s, writes=writes),
            _price(row),
            row.released or "unknown",
            "unknown" if row.power_watts is None else str(row.power_watts),
        )
        for row in rows[:_SHOWN]
    )
    more = f" ({len(rows) - _SHOWN} more with --json)" if len(rows) > _SHOWN else ""
    return Table(columns, cells, title=title + more, right=columns[1:])


def _rents(offers: Sequence[Rented], *, of: int, writes: bool) -> Table:
    """Return the cheapest offer of each device; the others stand in the JSON answer."""
    columns = ("--machine", "memory", "needs", "tokens/s", "an hour", "on", "from", "terms")
    shown = offers[:_SHOWN]
    cells = tuple(
        (
            row.machine,
            f"{row.memory_gib} GiB",
            format_bytes(row.high_bytes),
            rate_cell("fits", row.decode_tokens_per_s, writes=writes),
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
