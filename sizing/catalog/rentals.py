"""What GPUs cost by the hour (`rental_prices.toml`), each offer with its day and its source."""

from __future__ import annotations

from whatfits.sizing.catalog.index_file import read_json
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

__all__ = ["RentalOffer", "rental_offers"]

_INDEX: Final = "rental_prices.json"


@dataclass(frozen=True, slots=True)
class RentalOffer:
    """A GPU that a provider lets by the hour.

    Attributes:
        provider: who lets it.
        device: the catalog's id of the GPU.
        offered_as: the provider's name of it.
        terms: the provider's words for the kind of lease: `on-demand`, `spot`, ….
        usd_per_gpu_hour: price of one GPU; what comes with it differs between providers.
        least_gpus: fewest that are let together.
        as_of: day of the price as the source states it, ISO 8601.
        source: where the row was read.
        checked: day of that reading.
        unverified: fields that were filled from memory and not re-read at a source.
        note: what a reader must know; None when there is nothing.
    """

    provider: str
    device: str
    offered_as: str
    terms: str
    usd_per_gpu_hour: float
    least_gpus: int
    as_of: str
    source: str
    checked: str
    unverified: tuple[str, ...] = ()
    note: str | None = None


def rental_offers() -> Iterator[RentalOffer]:
    """Yield every offer of the catalog.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    for row in read_json(_INDEX)["offers"]:
        yield RentalOffer(**{**row, "unverified": tuple(row.get("unverified", ()))})
