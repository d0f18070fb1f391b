"""What a file type costs in quality: measured figures, each with the model it was measured on."""

from __future__ import annotations

from functools import cache

from whatfits.sizing.catalog.index_file import read_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Any, Final

__all__ = [
    "QualityRow",
    "loss_text",
    "perplexity_loss",
    "quality_cost",
    "quality_rows",
    "worst_row",
]

_MEASURED_ON: Final = "Llama 3 8B"
_NOT_MEASURED: Final = "not measured by a source of the catalog"
_INDEX: Final = "quants.json"


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One measurement of a file type against 16 bits.

    Attributes:
        file_type: the file type.
        measured_on: the model; other models lose more or less.
        imatrix: importance matrix used; None without one.
        size_gib: size of the file in GiB.
        perplexity_change: perplexity on wikitext-2, minus that of the 16-bit file.
        kld_mean: mean divergence from the 16-bit file's probabilities, nats a token.
        source: where it was read.
    """

    file_type: str
    measured_on: str
    imatrix: str | None
    size_gib: float
    perplexity_change: float
    kld_mean: float
    source: str

    @property
    def sentence(self) -> str:
        """The measurement in words."""
        matrix = f" with an importance matrix ({self.imatrix})" if self.imatrix else ""
        return (
            f"On {self.measured_on}{matrix}: perplexity {self.perplexity_change:+.3f}, divergence "
            f"{self.kld_mean:.4f} nats a token, {self.size_gib:.2f} GiB. Source: {self.source}."
        )


@cache
def _rows() -> dict[str, tuple[QualityRow, ...]]:
    table: dict[str, Any] = read_json(_INDEX)
    rows: dict[str, list[QualityRow]] = {}
    for row in table["quality_llama_3_8b"]:
        rows.setdefault(row["file_type"].upper(), []).append(
            QualityRow(
                file_type=row["file_type"],
                measured_on=_MEASURED_ON,
                imatrix=row.get("importance_matrix"),
                size_gib=row["size_gib"],
                perplexity_change=row["perplexity_change"],
                kld_mean=row["kld_mean"],
                source=table["quality_source"],
            )
        )
    return {name: tuple(found) for name, found in rows.items()}


def quality_rows(file_type: str) -> tuple[QualityRow, ...]:
    """Return every measurement of a file type; empty when there is none."""
    return _rows().get(file_type.upper(), ())


def worst_row(file_type: str) -> QualityRow | None:
    """Return the measurement that lost most perplexity; None where there is none.

    Of a type that was measured both ways it is the one without an importance matrix.
    """
    return max(quality_rows(file_type), key=lambda row: row.perplexity_change, default=None)


def perplexity_loss(file_type: str) -> float | None:
    """Return the most perplexity that a measurement lost against 16 bits; None without one."""
    worst = worst_row(file_type)
    return None if worst is None else worst.perplexity_change


def loss_text(file_type: str) -> str:
    """Return that loss as a short text for a table: `+0.18`, or `?` without a measurement."""
    loss = perplexity_loss(file_type)
    return "?" if loss is None else f"{loss:+.2f}"


def quality_cost(file_type: str) -> str:
    """Return what a file type costs, in words: measured, or said not to be."""
    worst = worst_row(file_type)
    if worst is None:
        return f"quality: {_NOT_MEASURED}"
    return (
        f"quality: perplexity {worst.perplexity_change:+.2f} against 16 bits, "
        f"measured on {worst.measured_on}"
    )
