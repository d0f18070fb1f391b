"""`whatfits` alone: this machine, the biggest models that fit, what to do next."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from whatfits.sizing.cli.list_models import answer_of, load_entry, rows_table
from whatfits.sizing.cli.options import Parser, add_machine_options, add_output_options, machine_of
from whatfits.sizing.document import Document, Facts, Lines, Verbatim
from whatfits.sizing.explain import machine_sentence
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.ranking import FAMILY_RULE, FILE_TYPE_RULE, newest_of_families, rank
from whatfits.sizing.units import format_bytes, format_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.document import Block
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.ranking import RankedModel

__all__ = ["run"]

_SHOWN: Final = 8


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0."""
    parser = Parser(command="", description="What this machine can run, and what to do next.")
    add_machine_options(parser)
    add_output_options(parser)
    options = parser.read(arguments)
    machine = machine_of(options)
    from whatfits.sizing.catalog.lookup import model_entries

    entries = (entry for entry in model_entries() if entry.kind != "embedding")
    rows = newest_of_families(rank(entries, machine, load=load_entry))
    if options.json:
        sys.stdout.write(
            dump_json(answer_of(machine, f"{FAMILY_RULE}; {FILE_TYPE_RULE}", rows)) + "\n"
        )
    else:
        from whatfits.sizing.cli.render import show

        name = f" --machine '{options.machine}'" if options.machine else ""
        show(_document(machine, rows[:_SHOWN], name), plain=options.plain)
    return 0


def _document(machine: Machine, rows: Sequence[RankedModel], machine_option: str) -> Document:
    facts = [("Machine", f"{machine.name}: {machine_sentence(machine)}")]
    cpu = machine.host
    if cpu is not None:
        facts.append(("CPU", cpu.name))
    facts += [
        (
            f"Free in {pool.id}",
            f"{format_bytes(pool.free_bytes)} of {format_bytes(pool.total_bytes)}",
        )
        for pool in machine.pools
        if pool.free_bytes is not None and pool.total_bytes is not None
    ]
    blocks: list[Block] = [Facts(tuple(facts))]
    if rows:
        tokens = format_tokens(rows[0].context_tokens)
        blocks.append(rows_table(rows, title=f"The biggest that fit, with {tokens} tokens"))
        blocks.append(Lines((f"Rule: {FAMILY_RULE}.",), tone="dim"))
        example = rows[0].model
    else:
        blocks.append(Lines(("No model of the catalog fits here with 8,192 tokens.",), tone="warn"))
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
