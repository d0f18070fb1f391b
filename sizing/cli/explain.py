"""`whatfits explain TERM|MODEL`: a label, a term, or every number of an answer."""

from __future__ import annotations

import sys

from whatfits.sizing.api import answer, load_machine, load_model
from whatfits.sizing.basis.words import reason
from whatfits.sizing.cli.parser import Parser, add_output_options
from whatfits.sizing.document import Document, Facts, Lines, Verbatim
from whatfits.sizing.errors import (
    InvalidRequestError,
    UnknownFileTypeError,
    UnknownModelError,
    UnknownTermError,
)
from whatfits.sizing.glossary.figures import fast_memory
from whatfits.sizing.glossary.terms import find_term
from whatfits.sizing.json_values import dump_json, to_json_value
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.version import SCHEMA_VERSION
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from whatfits.sizing.document import Block
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.quants.labels import LabelParts

__all__ = ["run"]

_EXAMPLE: Final = "llama-3.1-8b"


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
        return _label(text, load_machine(machine_name))
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


def _label(text: str, machine: Machine) -> tuple[dict[str, Any], Document]:
    from whatfits.sizing.catalog.quality import NOT_MEASURED, quality_rows
    from whatfits.sizing.quants.labels import explain_label

    parts = explain_label(text)
    quality = quality_rows(parts.label)
    here = _label_here(parts, machine)
    shown = to_json_value(parts) | {"file_type": parts.file_type or "no published rule to follow"}
    facts = Facts(
        tuple((key.replace("_", " "), str(value)) for key, value in shown.items()),
        title=parts.label,
    )
    blocks: list[Block] = [facts]
    if here:
        blocks.append(Lines(here))
    measured = tuple(row.sentence for row in quality) or (f"None: {NOT_MEASURED}.",)
    blocks.append(Lines(measured, title="Measured quality"))
    body = {"kind": "label", "label": parts, "here": here, "quality": quality}
    return body, Document(tuple(blocks))


def _label_here(parts: LabelParts, machine: Machine) -> tuple[str, ...]:
    """Return what a file type makes of a model everyone knows, beside what is free here."""
    fast = fast_memory(machine)
    if parts.file_type is None or fast is None:
        return ()
    try:
        spec = load_model(_EXAMPLE, file_type=parts.label)
    except InvalidRequestError:  # llama-quantize does not make it: it comes with the checkpoint
        return ()
    bits = 8 * spec.tensor_bytes / (spec.parameters or 1)
    sentence = (
        f"Here: {_EXAMPLE} takes {format_bytes(spec.tensor_bytes)} of weights in "
        f"{parts.label}, {bits:.2f} bits a weight over all its tensors; "
        f"{fast.words}."
    )
    return (sentence,)


def _model(text: str, machine: Machine) -> tuple[dict[str, Any], Document]:
    plan = answer(
        load_model(text), machine=machine, workload=Workload(), request=PlacementRequest()
    )
    blocks = tuple(reason(basis, plan) for basis in plan.basis)
    return {"kind": "model", "plan": plan}, Document(blocks)
