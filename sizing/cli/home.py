"""`whatfits` alone: this machine, the biggest models that fit, what to do next."""

from __future__ import annotations

import sys

from whatfits.sizing.cli.list_models import rows_table
from whatfits.sizing.cli.machine_options import add_machine_options, machine_of, machine_words
from whatfits.sizing.cli.parser import Parser, add_output_options
from whatfits.sizing.document import Document, Facts, Lines, Verbatim
from whatfits.sizing.explain import free_text, machine_sentence
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.ranking.newest import FAMILY_RULE, QUICK_RULE, NewestOfLines, is_quick
from whatfits.sizing.ranking.ranker import Ranker
from whatfits.sizing.ranking.rows import FILE_TYPE_RULE
from whatfits.sizing.settings import DEFAULT_CONTEXT_TOKENS
from whatfits.sizing.sources.catalog_model import load_entry
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens
from whatfits.sizing.unsized import nothing_is_sized, unsized_hint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.document import Block
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.ranking.rows import RankedModel

__all__ = ["run"]

_SHOWN: Final = 8
_QUICK_SHOWN: Final = 4


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0."""
    parser = Parser(command="", description="What this machine can run, and what to do next.")
    add_machine_options(parser)
    add_output_options(parser)
    options = parser.read(arguments)
    machine = machine_of(options)
    from whatfits.sizing.catalog.lookup import model_entries
    from whatfits.sizing.catalog.shares import stored_model

    entries = (entry for entry in model_entries() if entry.kind != "embedding")
    newest = NewestOfLines(entries, Ranker(machine, load_entry, stored=stored_model))
    rows, quick = newest.rows(), newest.rows(is_quick)
    if options.json:
        from whatfits.sizing.cli.list_answers import HomeAnswer
        from whatfits.sizing.version import SCHEMA_VERSION

        rule = f"{FAMILY_RULE}; {FILE_TYPE_RULE}"
        answer = HomeAnswer(SCHEMA_VERSION, machine, rule, tuple(rows), QUICK_RULE, tuple(quick))
        sys.stdout.write(dump_json(answer) + "\n")
    else:
        from whatfits.sizing.cli.render import show

        show(_document(machine, rows[:_SHOWN], quick, machine_words(options)), plain=options.plain)
    return 0


def _machine_facts(machine: Machine) -> Facts:
    """Return the machine in at most four lines."""
    facts = [("Machine", f"{machine.name}: {machine_sentence(machine)}")]
    if machine.host is not None and machine.host.name != "CPU":  # an expression names none
        facts.append(("CPU", machine.host.name))
    free = [
        f"{pool.id} {free_text(pool)} of {format_bytes(pool.total_bytes)}"
        + (" for the GPU" if pool.limit_scope == "accelerators" else "")
        for pool in machine.pools
        if pool.free_bytes is not None and pool.total_bytes is not None
    ]
    if free:
        facts.append(("Free now", ", ".join(free)))
    kept = [
        f"{pool.id} {format_bytes(pool.reserve_bytes)}"
        for pool in machine.pools
        if pool.reserve_bytes
    ]
    if kept:
        facts.append(("Kept for the system", ", ".join(kept)))
    return Facts(tuple(facts))


def _document(
    machine: Machine,
    rows: Sequence[RankedModel],
    quick: Sequence[RankedModel],
    machine_option: str,
) -> Document:
    from whatfits.sizing.catalog.lookup import catalog_date

    blocks: list[Block] = [_machine_facts(machine)]
    if rows:
        tokens = format_tokens(rows[0].context_tokens)
        blocks.append(rows_table(rows, title=f"The biggest that fit, with {tokens} tokens"))
        age = f"Catalog as of {catalog_date()}."
        blocks.append(Lines((f"Rule: {FAMILY_RULE}.", age), tone="dim"))
        example = rows[0].model
        shown = {row.model for row in rows if is_quick(row)}
        further = [row for row in quick if row.model not in shown][:_QUICK_SHOWN]
        if further and len(shown) < len(rows):
            title = "Smaller, but faster than you read"
            blocks.append(rows_table(further, title=title))
            example = quick[0].model
    else:
        tokens = format_tokens(DEFAULT_CONTEXT_TOKENS)
        said = f"No model of the catalog fits here with {tokens} tokens."
        if nothing_is_sized(machine):
            said = f"What fits cannot be told. {unsized_hint(machine)}"
        blocks.append(Lines((said,), tone="warn"))
        example = "llama-3.2-1b"
    blocks.append(
        Verbatim(
            (
                f"whatfits check {example}{machine_option}",
                f"whatfits list{machine_option}",
                "whatfits explain 'kv cache'",
            ),
            title="Next",
        )
    )
    return Document(tuple(blocks))
