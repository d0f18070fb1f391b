"""`whatfits quants [MODEL]`: the table of file types: bits per weight, quality, size.

Of a repository with GGUF files it shows those that are offered. With a machine it says of each
type how the model would run there.
"""

from __future__ import annotations

import sys

from whatfits.sizing.cli.parser import Parser, add_output_options
from whatfits.sizing.document import Document, Lines, Table
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.cli.answers import QuantRow
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

__all__ = ["run"]

_THERE: Final = "there"
_NOT_JUDGED: Final = (
    "Which of these files fit is not told from a list: 'whatfits check hf:org/repo:TYPE' reads one."
)
_NOTE: Final = (
    "Bits/weight are those of the type itself, in all those of the whole model. "
    "Perplexity and divergence are against 16 bits, measured on Llama 3 8B without an importance "
    "matrix where there is such a row; other models lose more or less."
)


def run(arguments: Sequence[str]) -> int:
    """Run the command; 0."""
    parser = Parser(command="quants", description="File types, their bits, quality and size.")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="sizes for this model")
    parser.add_argument(
        "--machine", metavar="NAME|FILE", help="which of them fit it: '' is this machine"
    )
    add_output_options(parser)
    options = parser.read(arguments)
    machine = _machine(options)
    spec, rows, notes = _asked(options.model)
    is_offered = bool(rows) and rows[0].file is not None
    if machine is not None and spec is not None:
        if is_offered:
            notes = (*notes, _NOT_JUDGED)
        else:
            rows, said = _judged(rows, spec, machine)
            notes = (*notes, said)
    if options.json:
        from whatfits.sizing.cli.answers import QuantsAnswer

        name, source = (spec.name, spec.source) if spec else (None, None)
        answer = QuantsAnswer(SCHEMA_VERSION, name, _NOTE, tuple(rows), source, notes, machine)
        sys.stdout.write(dump_json(answer) + "\n")
        return 0
    from whatfits.sizing.cli.render import show

    if is_offered:
        from whatfits.sizing.cli.quants_offered import offered_document

        show(offered_document(rows, (*notes, _NOTE)), plain=options.plain)
    else:
        show(_document(rows, spec, notes), plain=options.plain)
    return 0


def _machine(options: argparse.Namespace) -> Machine | None:
    """Return the machine that was named; None where none was.

    Raises:
        InvalidRequestError: there is no model to put on it.
    """
    if options.machine is None:
        return None
    if not options.model:
        from whatfits.sizing.errors import InvalidRequestError

        raise InvalidRequestError(
            what="--machine without a model",
            got=options.machine,
            allowed="a model before it, as 'whatfits quants llama-3.1-8b --machine rtx-4090'",
        )
    from whatfits.sizing.api import load_machine

    return load_machine(options.machine)


def _judged(
    rows: Sequence[QuantRow], spec: ModelSpec, machine: Machine
) -> tuple[list[QuantRow], str]:
    """Return the rows with the verdict of `check` under its defaults, and how that is meant."""
    from whatfits.sizing.api import answer
    from whatfits.sizing.graph.index import Replays
    from whatfits.sizing.values import replace
    from whatfits.sizing.workload import PlacementRequest, Workload

    replays, judged, context = Replays(), [], None
    for row in rows:
        sized = None if row.weights_bytes is None else _sized(spec, row.file_type)
        if sized is None:
            judged.append(row)
            continue
        plan = answer(
            sized,
            machine=machine,
            workload=Workload(),
            request=PlacementRequest(),
            replays=replays,
            brief=True,
        )
        context = plan.workload.context_tokens
        judged.append(replace(row, verdict=plan.verdict))
    tokens = "" if context is None else f" with {format_tokens(context)} tokens of context"
    return judged, f"There: as 'whatfits check' says of {machine.name}{tokens}."


def _asked(model: str | None) -> tuple[ModelSpec | None, list[QuantRow], tuple[str, ...]]:
    """Return the model that was named, the rows to show, and what else is to be said of them."""
    if not model:
        return None, _rows(None), ()
    from whatfits.sizing.sources.claims import is_hub_name

    if is_hub_name(model.strip()):
        from whatfits.sizing.cli.quants_offered import offered_notes, offered_rows
        from whatfits.sizing.sources.hugging_face import load_hub_offers

        spec, offers = load_hub_offers(model.strip())
        rows = offered_rows(offers, spec)
        if rows:
            return spec, rows, offered_notes(offers, spec)
        return spec, _rows(spec), ()
    from whatfits.sizing.api import load_model

    spec = load_model(model)
    return spec, _rows(spec), ()


def _rows(spec: ModelSpec | None) -> list[QuantRow]:
    from whatfits.sizing.catalog.quality import worst_row
    from whatfits.sizing.cli.answers import QuantRow
    from whatfits.sizing.quants.file_types import FILE_TYPES

    rows = []
    for kind in FILE_TYPES.values():
        sized = _sized(spec, kind.name) if spec is not None and spec.tensors else None
        worst = worst_row(kind.name)
        weights = sized.tensor_bytes if sized is not None else None
        bits = None
        if sized is not None and sized.parameters:
            bits = round(8 * sized.tensor_bytes / sized.parameters, 3)
        rows.append(
            QuantRow(
                file_type=kind.name,
                nominal_bits_per_weight=kind.nominal_bits_per_weight,
                model_bits_per_weight=bits,
                weights_bytes=weights,
                perplexity_change=worst.perplexity_change if worst else None,
                kld_mean=worst.kld_mean if worst else None,
            )
        )
    return sorted(rows, key=lambda row: (-(row.weights_bytes or 0), -row.nominal_bits_per_weight))


def _sized(spec: ModelSpec, file_type: str) -> ModelSpec | None:
    """Return the model under a file type; None when `llama-quantize` does not make it of it."""
    from whatfits.sizing.errors import InvalidRequestError
    from whatfits.sizing.requantise import requantised

    try:
        return requantised(spec, file_type)
    except InvalidRequestError:
        return None


def _document(
    rows: Sequence[QuantRow], spec: ModelSpec | None, notes: Sequence[str] = ()
) -> Document:
    columns = ["file type", "bits/weight", "perplexity", "divergence (nats)"]
    is_judged = any(row.verdict is not None for row in rows)
    if spec is not None:
        columns[1:1] = [f"size of {spec.name}", "bits/weight in all"]
    if is_judged:
        columns.insert(2, _THERE)
    cells = []
    for row in rows:
        cell = [
            row.file_type,
            f"{row.nominal_bits_per_weight:g}",
            "not measured" if row.perplexity_change is None else f"{row.perplexity_change:+.3f}",
            "not measured" if row.kld_mean is None else f"{row.kld_mean:.4f}",
        ]
        if spec is not None:
            cell[1:1] = [
                "not made" if row.weights_bytes is None else format_bytes(row.weights_bytes),
                "not made"
                if row.model_bits_per_weight is None
                else f"{row.model_bits_per_weight:.2f}",
            ]
        if is_judged:
            cell.insert(2, row.verdict or "not made")
        cells.append(tuple(cell))
    right = tuple(name for name in columns[1:] if name != _THERE)
    table = Table(tuple(columns), tuple(cells), right=right)
    return Document((table, Lines((*notes, _NOTE), tone="dim")))
