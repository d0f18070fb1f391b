"""`whatfits list`: ranked models for this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from whatfits.sizing.cli.machine_options import add_machine_options, machine_of
from whatfits.sizing.cli.options import add_workload_options, workload_of
from whatfits.sizing.cli.parser import Parser, add_output_options, parsed, whole_number
from whatfits.sizing.document import Document, Lines, Table
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.explain import machine_sentence, short_rate
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.ranking import FILE_TYPE_RULE, rank, sort_rows
from whatfits.sizing.units import format_bytes, format_count, format_tokens
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.cli.answers import ListAnswer
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.ranking import RankedModel

__all__ = ["answer_of", "load_entry", "rows_table", "run"]

_DEFAULT_SHOWN: Final = 25
_SORTS: Final = ("size", "memory", "released", "name", "disk")
_VERDICTS: Final = ("fits", "slow", "tight", "no")


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0."""
    parser = Parser(command="list", description="Models on this machine, one row each.")
    parser.add_argument("--local", action="store_true", help="those on this disk, not the catalog")
    parser.add_argument("--file-type", metavar="TYPE", help="one file type for all")
    parser.add_argument("--family", metavar="TEXT", help="families that begin with TEXT")
    parser.add_argument("--kind", choices=("llm", "vlm", "embedding"), help="only this kind")
    parser.add_argument("--verdict", choices=_VERDICTS, help="only this verdict")
    parser.add_argument("--sort", choices=_SORTS, default="size", help="disk: only with --local")
    parser.add_argument("--limit", action=parsed(_limit), metavar="N", help="rows (0: all)")
    add_machine_options(parser)
    add_workload_options(parser)
    add_output_options(parser)
    options = parser.read(arguments)
    machine = machine_of(options)
    if options.local:
        from whatfits.sizing.cli.list_local import run_local

        return run_local(options, machine, workload_of(options))
    if options.sort == "disk":
        raise InvalidRequestError(
            what="--sort without --local", got=options.sort, allowed=", ".join(_SORTS[:-1])
        )
    rows = rank(
        _entries(options),
        machine,
        load=load_entry,
        workload=workload_of(options),
        file_type=options.file_type,
    )
    rows = [row for row in sort_rows(rows, options.sort) if options.verdict in (None, row.verdict)]
    if options.json:
        shown = rows if not options.limit else rows[: options.limit]
        sys.stdout.write(dump_json(answer_of(machine, FILE_TYPE_RULE, shown)) + "\n")
    else:
        from whatfits.sizing.cli.render import show

        limit = _DEFAULT_SHOWN if options.limit is None else options.limit or len(rows)
        show(_document(machine, rows, limit), plain=options.plain)
    return 0


def _limit(text: str) -> int:
    limit = whole_number(text)
    if limit < 0:
        raise InvalidRequestError(what="number of rows", got=text, allowed="0 (all) or more")
    return limit


def load_entry(entry: ModelEntry, file_type: str | None) -> ModelSpec:
    """Return the model of a catalog entry under a file type."""
    from whatfits.sizing.sources.catalog_model import spec_of_entry

    return spec_of_entry(entry, file_type=file_type)


def _entries(options: argparse.Namespace) -> Iterator[ModelEntry]:
    from whatfits.sizing.catalog.lookup import model_entries

    for entry in model_entries():
        if options.family and not entry.family.startswith(options.family.lower()):
            continue
        if options.kind is None or entry.kind == options.kind:
            yield entry


def answer_of(machine: Machine, rule: str, rows: Sequence[RankedModel]) -> ListAnswer:
    """Return ranked models as their JSON answer."""
    from whatfits.sizing.cli.answers import ListAnswer

    return ListAnswer(SCHEMA_VERSION, machine, rule, tuple(rows))


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
            short_rate(row.decode_tokens_per_s),
        )
        for row in rows
    )
    return Table(columns, cells, title=title, right=("size", "needs", "spare", "tokens/s"))


def _size(row: RankedModel) -> str:
    if row.parameters is None:
        return "unknown"
    text = format_count(row.parameters)
    if row.active_parameters and row.active_parameters != row.parameters:
        text += f"/{format_count(row.active_parameters)}"
    return text


def _document(machine: Machine, rows: Sequence[RankedModel], limit: int) -> Document:
    shown = rows[:limit]
    tokens = format_tokens(shown[0].context_tokens) if shown else "8,192"
    lines = [f"{machine.name}: {machine_sentence(machine)}"]
    from whatfits.sizing.catalog.lookup import catalog_date

    rule = FILE_TYPE_RULE[:1].upper() + FILE_TYPE_RULE[1:]
    notes = [f"{rule}.", f"Catalog as of {catalog_date()}."]
    if any(row.approximate for row in shown):
        notes.append("* weights from parameters and bits: an interval, see 'whatfits check MODEL'.")
    if len(rows) > limit:
        notes.append(f"{len(rows) - limit} more rows: --limit 0 shows all.")
    if not rows:
        notes = ["No catalog model answers to these filters on this machine."]
    return Document(
        (
            Lines(tuple(lines)),
            rows_table(shown, title=f"Models with {tokens} tokens of context"),
            Lines(tuple(notes), tone="dim"),
        )
    )
