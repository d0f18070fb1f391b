"""The rows of `whatfits quants hf:org/repo`: the file types that a repository offers."""

from __future__ import annotations

from whatfits.sizing.document import Document, Lines, Table
from whatfits.sizing.errors import printable
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.cli.answers import QuantRow
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.sources.hub.offers import Offer, Offers

__all__ = ["offered_document", "offered_notes", "offered_rows"]

_FILES_SHOWN: Final = 3
_COLUMNS: Final = (
    *("file type", "to download", "bits/weight", "bits/weight in all"),
    *("perplexity", "divergence (nats)", "file"),
)


def offered_rows(offers: Offers, spec: ModelSpec) -> list[QuantRow]:
    """Return one row an offer whose name says its file type, largest first.

    `spec` is one of them, the only one whose header was read. The others have the same tensors
    and nearly the same header, so that its length tells their bits a weight.
    """
    from whatfits.sizing.cli.answers import QuantRow

    tensor_bytes = sum(tensor.n_bytes for tensor in spec.tensors)
    header_bytes = max((spec.file_bytes or tensor_bytes) - tensor_bytes, 0)
    rows = []
    for offer in offers.complete:
        bits = offer.nominal_bits_per_weight
        if offer.label is None or bits is None:
            continue
        in_all = None
        if offer.size_bytes is not None and spec.parameters:
            in_all = round(8 * max(offer.size_bytes - header_bytes, 0) / spec.parameters, 3)
        is_read = spec.source.endswith(f":{offer.paths[0]}")
        perplexity, divergence = _measured(offer)
        rows.append(
            QuantRow(
                file_type=offer.label,
                nominal_bits_per_weight=bits,
                model_bits_per_weight=in_all,
                weights_bytes=tensor_bytes if is_read else None,
                perplexity_change=perplexity,
                kld_mean=divergence,
                file=offer.paths[0],
                n_files=len(offer.paths),
                file_bytes=offer.size_bytes,
            )
        )
    return rows


def _measured(offer: Offer) -> tuple[float | None, float | None]:
    """Return what a file type is known to cost; nothing for mixes of no published rule."""
    from whatfits.sizing.catalog.quality import worst_row

    worst = worst_row(offer.file_type) if offer.file_type else None
    return (None, None) if worst is None else (worst.perplexity_change, worst.kld_mean)


def offered_notes(offers: Offers, spec: ModelSpec) -> tuple[str, ...]:
    """Return what the rows leave out, and where they come from."""
    return (*_left_out(offers), *(note for note in spec.notes if " commit " in note))


def _left_out(offers: Offers) -> Iterator[str]:
    unnamed = [o.paths[0] for o in offers.complete if o.nominal_bits_per_weight is None]
    missing = [offer.paths[0] for offer in offers.models if offer.missing]
    for paths, what in (
        (unnamed, "Files whose names say no file type"),
        (missing, "Split models of which files are missing"),
        ([file.path for file in offers.projectors], "Projectors for images or sound"),
        ([file.path for file in offers.adapters], "Adapters (LoRA)"),
    ):
        if paths:
            more = ", …" if len(paths) > _FILES_SHOWN else ""
            yield f"{what}: {', '.join(printable(path) for path in paths[:_FILES_SHOWN])}{more}."


def offered_document(rows: Sequence[QuantRow], notes: Sequence[str]) -> Document:
    """Return the table for people."""
    cells = []
    for row in rows:
        files = "" if row.n_files == 1 else f" and {(row.n_files or 1) - 1:,} more"
        cells.append(
            (
                row.file_type,
                "not said" if row.file_bytes is None else format_bytes(row.file_bytes),
                f"{row.nominal_bits_per_weight:g}",
                "" if row.model_bits_per_weight is None else f"{row.model_bits_per_weight:.2f}",
                "not measured"
                if row.perplexity_change is None
                else f"{row.perplexity_change:+.3f}",
                "not measured" if row.kld_mean is None else f"{row.kld_mean:.4f}",
                f"{row.file}{files}",
            )
        )
    table = Table(_COLUMNS, tuple(cells), right=_COLUMNS[1:-1])
    return Document((table, Lines(tuple(notes), tone="dim")))
