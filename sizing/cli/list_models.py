"""`whatfits list`: ranked models for this machine."""

from __future__ import annotations

import sys

from whatfits.sizing.catalog.lookup import MODEL_KINDS
from whatfits.sizing.cli.machine_options import add_machine_options, machine_of
from whatfits.sizing.cli.options import add_workload_options, workload_of
from whatfits.sizing.cli.parser import Parser, add_output_options, parsed, whole_number
from whatfits.sizing.document import Document, Lines, Table
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.explain import machine_sentence, rate_cell
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.ranking.ranker import Ranker, rows_of
from whatfits.sizing.ranking.rows import FILE_TYPE_RULE, sort_rows, trained_for_less
from whatfits.sizing.sources.catalog_model import load_entry
from whatfits.sizing.speed import DEFAULT_PROMPT_TOKENS
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_count, format_tokens
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.cli.list_answers import ListAnswer, RefusedModels
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.ranking.rows import RankedModel

__all__ = ["answer_of", "rows_table", "run"]

_DEFAULT_SHOWN: Final = 25
_SORTS: Final = ("size", "memory", "released", "name", "disk")
_REASONS: Final = 3
_NAMED: Final = 5
_VERDICTS: Final = ("fits", "slow", "tight", "no")


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0."""
    options = _parser().read(arguments)
    machine = machine_of(options)
    if options.local:
        from whatfits.sizing.cli.list_local import run_local

        return run_local(options, machine, workload_of(options))
    if options.sort == "disk":
        raise InvalidRequestError(
            what="--sort without --local", got=options.sort, allowed=", ".join(_SORTS[:-1])
        )
    return _run_catalog(options, machine)


def _parser() -> Parser:
    parser = Parser(command="list", description="Models on this machine, one row each.")
    parser.add_argument("--local", action="store_true", help="those on this disk, not the catalog")
    parser.add_argument("--file-type", metavar="TYPE", help="one file type for all")
    parser.add_argument("--family", metavar="TEXT", help="families that begin with TEXT")
    parser.add_argument("--kind", choices=MODEL_KINDS, help="only this kind")
    parser.add_argument("--verdict", choices=_VERDICTS, help="only this verdict")
    parser.add_argument("--sort", choices=_SORTS, default="size", help="disk: only with --local")
    parser.add_argument("--limit", action=parsed(_limit), metavar="N", help="rows (0: all)")
    add_machine_options(parser)
    add_workload_options(parser)
    add_output_options(parser)
    return parser


def _run_catalog(options: argparse.Namespace, machine: Machine) -> int:
    from whatfits.sizing.catalog.shares import stored_model
    from whatfits.sizing.cli.list_answers import refused_models

    workload = workload_of(options)
    ranker = Ranker(
        machine,
        load_entry,
        workload=workload,
        file_type=options.file_type,
        stored=stored_model,
        larger_too=options.verdict == "no",
    )
    entries = {entry.id: entry for entry in _entries(options)}
    limit = options.limit
    if limit is None:
        limit = 0 if options.json else _DEFAULT_SHOWN
    why: dict[str, InvalidRequestError] = {}
    rows, left = _first_rows(ranker, list(entries.values()), options, limit, why)
    refused = refused_models(why)
    shown = [ranker.with_speed(row, entries[row.model]) for row in rows]
    rule = FILE_TYPE_RULE if options.file_type is None else "file type: as given"
    if options.json:
        sys.stdout.write(dump_json(answer_of(machine, rule, shown, refused)) + "\n")
    else:
        from whatfits.sizing.cli.render import show
        from whatfits.sizing.left_out import left_out_notes
        from whatfits.sizing.unsized import nothing_is_sized, unsized_hint

        notes = [f"{rule[:1].upper()}{rule[1:]}."]
        if left:
            notes.append(f"{left} more rows: --limit 0 shows all.")
        larger = sum(map(ranker.is_left_out, entries.values()))
        if larger and options.verdict is None:
            known = "known memory" if unsized_hint(machine) else "memory"
            notes.append(f"{larger} models exceed all {known} here: --verdict no lists them.")
        notes += _trained_for_less([r.model for r in shown if trained_for_less(r, workload)])
        notes += _refusals(refused)
        notes += left_out_notes(machine)
        if nothing_is_sized(machine):
            notes.append(unsized_hint(machine))
        show(_document(machine, shown, notes), plain=options.plain)
    return 0


def _first_rows(
    ranker: Ranker,
    entries: Sequence[ModelEntry],
    options: argparse.Namespace,
    limit: int,
    refused: dict[str, InvalidRequestError],
) -> tuple[list[RankedModel], int]:
    """Return the first rows, all with a limit of 0, and how many more there are.

    Speeds are still missing: nothing is sorted by them. What spills comes after all that fits, so
    that it is only worked out when it is to be shown. `refused` gets why models have no row.
    """
    wanted = options.verdict
    later = []
    if limit and wanted in (None, "fits"):
        later = [entry for entry in entries if ranker.is_known_to_spill(entry)]
    known = {entry.id for entry in later}
    rows = rows_of(
        (e for e in entries if e.id not in known), ranker.outline_if_any, refused=refused
    )
    left = 0 if wanted else len(later)
    if sum(row.verdict == "fits" for row in rows) < limit and not wanted:
        rows += rows_of(later, ranker.outline_if_any, refused=refused)
        left = 0
    rows = [row for row in sort_rows(rows, options.sort) if wanted in (None, row.verdict)]
    shown = rows[:limit] if limit else rows
    return shown, left + len(rows) - len(shown)


def _refusals(refused: Sequence[RefusedModels]) -> Iterator[str]:
    """Yield how many models a setting is none for, and why: the commonest reasons."""
    for group in refused[:_REASONS]:
        count, first = len(group.models), group.models[0]
        named = first if count == 1 else f"{count} models ({first} first)"
        yield f"Without a row: {named}: {group.what}; allowed: {group.allowed}."
    more = sum(len(group.models) for group in refused[_REASONS:])
    if more:
        yield f"Without a row, for other reasons: {more} more; --json names them."


def _trained_for_less(models: Sequence[str]) -> Iterator[str]:
    """Yield which models were trained for less context than they were sized for."""
    if models:
        more = ", …" if len(models) > _NAMED else ""
        yield (
            f"{len(models)} of these were trained for fewer tokens than asked for, and make no "
            f"good use of more: {', '.join(models[:_NAMED])}{more}."
        )


def _limit(text: str) -> int:
    limit = whole_number(text)
    if limit < 0:
        raise InvalidRequestError(what="number of rows", got=text, allowed="0 (all) or more")
    return limit


def _entries(options: argparse.Namespace) -> Iterator[ModelEntry]:
    from whatfits.sizing.catalog.lookup import model_entries

    for entry in model_entries():
        if options.family and not entry.family.startswith(options.family.lower()):
            continue
        if options.kind is None or entry.kind == options.kind:
            yield entry


def answer_of(
    machine: Machine,
    rule: str,
    rows: Sequence[RankedModel],
    refused: Sequence[RefusedModels] = (),
) -> ListAnswer:
    """Return ranked models as their JSON answer."""
    from whatfits.sizing.cli.list_answers import ListAnswer

    return ListAnswer(SCHEMA_VERSION, machine, rule, tuple(rows), refused=tuple(refused))


def rows_table(rows: Sequence[RankedModel], *, title: str = "") -> Table:
    """Return ranked models as a table."""
    columns = (
        "model",
        "size",
        "type",
        "verdict",
        "needs",
        "spare",
        "tokens/s",
    )
    cells = tuple(
        (
            row.model,
            _size(row),
            row.file_type + ("*" if row.approximate else ""),
            row.verdict,
            format_bytes(row.total_bytes),
            "?" if row.headroom_bytes is None else format_bytes(row.headroom_bytes),
            _rate(row),
        )
        for row in rows
    )
    return Table(columns, cells, title=title, right=("size", "needs", "spare", "tokens/s"))


def _rate(row: RankedModel) -> str:
    """Return how fast a model writes; a dash too for what turns text into numbers alone."""
    return rate_cell(row.verdict, row.decode_tokens_per_s, writes=row.kind != "embedding")


def _size(row: RankedModel) -> str:
    if row.parameters is None:
        return "unknown"
    text = format_count(row.parameters)
    if row.active_parameters and row.active_parameters != row.parameters:
        text += f"/{format_count(row.active_parameters)}"
    return text


def _document(machine: Machine, shown: Sequence[RankedModel], notes: Sequence[str]) -> Document:
    from whatfits.sizing.catalog.lookup import catalog_date

    place = Lines((f"{machine.name}: {machine_sentence(machine)}",))
    if not shown:
        nothing = "No catalog model answers to these filters on this machine."
        return Document((place, Lines((nothing,), tone="dim")))
    # a model trained for less has its default at that
    tokens = format_tokens(max(row.context_tokens for row in shown))
    depth = f"tokens/s: writing, after {DEFAULT_PROMPT_TOKENS} tokens or those of --prompt."
    said = [*notes, depth, f"Catalog as of {catalog_date()}."]
    if any(row.approximate for row in shown):
        said.append("* weights from parameters and bits: an interval, see 'whatfits check MODEL'.")
    title = f"Models with {tokens} tokens of context"
    return Document((place, rows_table(shown, title=title), Lines(tuple(said), tone="dim")))
