"""`whatfits explain TERM|MODEL`: a label, a term, or every number of an answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from whatfits.sizing.api import answer, load_machine, load_model
from whatfits.sizing.cli.options import Parser, add_output_options
from whatfits.sizing.document import Document, Facts, Lines, Verbatim
from whatfits.sizing.errors import UnknownFileTypeError, UnknownModelError, UnknownTermError
from whatfits.sizing.glossary import find_term
from whatfits.sizing.json_values import dump_json, to_json_value
from whatfits.sizing.version import SCHEMA_VERSION
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.document import Block
    from whatfits.sizing.estimate import Basis
    from whatfits.sizing.machine import Machine

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0."""
    parser = Parser(command="explain", description="A label, a term, or the numbers of a model.")
    parser.add_argument("what", nargs="+", metavar="TERM|MODEL", help="Q4_K_M, 'kv cache', a model")
    parser.add_argument("--machine", metavar="NAME|FILE", help="figures for another machine")
    add_output_options(parser)
    options = parser.read(arguments)
    text = " ".join(options.what)
    explained, document = _explain(text, options.machine)
    if options.json:
        from whatfits.sizing.cli.answers import ExplainAnswer

        sys.stdout.write(dump_json(ExplainAnswer(SCHEMA_VERSION, text, **explained)) + "\n")
    else:
        from whatfits.sizing.cli.render import show

        show(document, plain=options.plain)
    return 0


def _explain(text: str, machine_name: str | None) -> tuple[dict[str, Any], Document]:
    """Try a term, then a file type, then a model: the first that answers to the name."""
    try:
        return _term(text, load_machine(machine_name))
    except UnknownTermError as error:
        unknown = error
    try:
        return _label(text)
    except UnknownFileTypeError:
        pass
    try:
        return _model(text, load_machine(machine_name))
    except UnknownModelError:
        raise unknown from None


def _term(text: str, machine: Machine) -> tuple[dict[str, Any], Document]:
    term = find_term(text)
    here = term.here(machine) if term.here else ()
    blocks: list[Block] = [Lines((term.meaning,), title=term.name)]
    if here:
        blocks.append(Lines(here))
    if term.see:
        blocks.append(Verbatim(term.see, title="Go on with"))
    body = {"kind": "term", "term": term.name, "meaning": term.meaning, "here": here}
    return body, Document(tuple(blocks))


def _label(text: str) -> tuple[dict[str, Any], Document]:
    from whatfits.sizing.catalog.quality import quality_rows
    from whatfits.sizing.quants.labels import explain_label

    parts = explain_label(text)
    quality = quality_rows(parts.file_type or parts.label)
    facts = Facts(
        tuple((key.replace("_", " "), str(value)) for key, value in to_json_value(parts).items()),
        title=parts.label,
    )
    blocks: list[Block] = [facts]
    if quality:
        blocks.append(Lines(tuple(row.sentence for row in quality), title="Measured quality"))
    return {"kind": "label", "label": parts, "quality": quality}, Document(tuple(blocks))


def _model(text: str, machine: Machine) -> tuple[dict[str, Any], Document]:
    plan = answer(
        load_model(text), machine=machine, workload=Workload(), request=PlacementRequest()
    )
    blocks = tuple(_reason(basis) for basis in plan.basis)
    return {"kind": "model", "plan": plan}, Document(blocks)


def _reason(basis: Basis) -> Facts:
    inputs = "; ".join(f"{key} = {_value(value)}" for key, value in basis.inputs.items())
    return Facts(
        (
            ("formula", basis.formula),
            ("inputs", inputs),
            ("source", basis.source),
            ("error", basis.error),
        ),
        title=basis.key,
    )


def _value(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_value(item)}" for key, item in value.items())
    return str(value)
