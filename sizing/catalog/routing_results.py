"""Published results of routing between a small and a large model (`routing_results.toml`)."""

from __future__ import annotations

from whatfits.sizing.catalog.index_file import read_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

__all__ = ["Claim", "RoutingResult", "routing_results"]

_INDEX: Final = "routing_results.json"


@dataclass(frozen=True, slots=True)
class Claim:
    """One published figure.

    Attributes:
        what: what was measured.
        value: the figure as claimed.
        unit: `%`, or `x` for a factor.
        qualifier: the authors' words about it, as `up to`; None when there are none.
        unverified: nobody re-read it at its source.
    """

    what: str
    value: float
    unit: str
    qualifier: str | None = None
    unverified: bool = False


@dataclass(frozen=True, slots=True)
class RoutingResult:
    """A published result, with the setting it was had in.

    Attributes:
        id: short name.
        title: of the paper or page.
        ref: where it was published.
        year: of the first version; prices are of that year.
        method: how it was decided which model answers.
        setting: models and data.
        claims: the figures.
        basis: what of it was read, and what was not.
        source: where it was read.
        checked: day of that reading, ISO 8601.
    """

    id: str
    title: str
    ref: str
    year: int
    method: str
    setting: str
    claims: tuple[Claim, ...]
    basis: str
    source: str
    checked: str


def routing_results() -> tuple[RoutingResult, ...]:
    """Return every result of the catalog.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    return tuple(
        RoutingResult(**{**row, "claims": tuple(Claim(**claim) for claim in row["claims"])})
        for row in read_json(_INDEX)["results"]
    )
