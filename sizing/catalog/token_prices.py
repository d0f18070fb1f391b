"""What tokens cost at providers and a kWh in regions (`prices/`), each with its day and source."""

from __future__ import annotations

from whatfits.sizing.catalog.index_file import read_json
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from typing import Any, Final

__all__ = [
    "ApiOffer",
    "ElectricityPrice",
    "PriceChange",
    "PriceList",
    "PriceTier",
    "UsdPerMtok",
    "packaged_prices",
    "price_list_of",
]

ProviderKind = Literal["first-party", "open-model host", "aggregator"]
_INDEX: Final = "prices.json"


@dataclass(frozen=True, slots=True)
class UsdPerMtok:
    """Prices in USD of a million tokens; None where the provider names none.

    Attributes:
        input: read by the model.
        output: written by it.
        cached_input: read from the provider's cache.
        cache_write: read and put into that cache.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None


@dataclass(frozen=True, slots=True)
class PriceTier:
    """Prices of the whole request once its prompt is longer than the threshold."""

    above_tokens: int
    usd_per_mtok: UsdPerMtok


@dataclass(frozen=True, slots=True)
class PriceChange:
    """Announced prices, and the day (ISO 8601) from which they hold."""

    from_day: str
    usd_per_mtok: UsdPerMtok


@dataclass(frozen=True, slots=True)
class ApiOffer:
    """A model at a provider.

    Attributes:
        provider: who sells it.
        provider_id: the same as an id.
        kind: `first-party`, `open-model host` or `aggregator`.
        model: the provider's name of the model.
        usd_per_mtok: prices on the day of `as_of`, of the shortest prompts.
        as_of: day of the price as the source states it, ISO 8601.
        source: where the row was read.
        checked: day of that reading.
        same_as: the catalog's id of the model; None where it is not there, or not certain.
        tiers: prices of longer prompts, the lowest threshold first.
        changes: announced prices, the earliest first.
        context_tokens: longest prompt and answer together; None when not read.
        unverified: fields that nobody re-read at a source.
    """

    provider: str
    provider_id: str
    kind: ProviderKind
    model: str
    usd_per_mtok: UsdPerMtok
    as_of: str
    source: str
    checked: str
    same_as: str | None = None
    tiers: tuple[PriceTier, ...] = ()
    changes: tuple[PriceChange, ...] = ()
    context_tokens: int | None = None
    unverified: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The offer as it is asked for: `provider/model`."""
        return f"{self.provider_id}/{self.model}"

    def price_on(self, day: dt.date, *, prompt_tokens: int | None) -> UsdPerMtok:
        """Return the prices of a day for prompts of a length; of the shortest where it is unset.

        A longer prompt is charged whole at its tier's price, as the source of the tiers has it
        (pydantic/genai-prices, README.md: a threshold that is crossed prices all tokens).
        """
        price = self.usd_per_mtok
        for change in self.changes:
            if day.isoformat() >= change.from_day:
                price = change.usd_per_mtok
        for tier in self.tiers:
            if prompt_tokens is not None and prompt_tokens > tier.above_tokens:
                price = tier.usd_per_mtok
        return price


@dataclass(frozen=True, slots=True)
class ElectricityPrice:
    """A kWh in a region.

    Attributes:
        id: of the region, as `germany`.
        region: in words.
        kind: `household` or `commercial`.
        usd_per_kwh: price, taxes included.
        period: the time that the figure is of.
        as_of: last day of that time, ISO 8601.
        source: where the row was read.
        checked: day of that reading.
        unverified: fields that nobody re-read at a source.
    """

    id: str
    region: str
    kind: str
    usd_per_kwh: float
    period: str
    as_of: str
    source: str
    checked: str
    unverified: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices of tokens and of electricity."""

    offers: tuple[ApiOffer, ...]
    electricity: tuple[ElectricityPrice, ...]

    def with_own(self, own: PriceList) -> PriceList:
        """Return these prices with a user's own in the place of those of the same name."""
        offers = {offer.name: offer for offer in (*self.offers, *own.offers)}
        regions = {row.id: row for row in (*self.electricity, *own.electricity)}
        return PriceList(tuple(offers.values()), tuple(regions.values()))


def packaged_prices() -> PriceList:
    """Return the prices of the catalog.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    return price_list_of(read_json(_INDEX))


def price_list_of(record: Mapping[str, Any]) -> PriceList:
    """Return the prices of an object that has the form of a price file."""
    return PriceList(
        tuple(_offer(row) for row in record.get("offers", ())),
        tuple(
            ElectricityPrice(**{**row, "unverified": tuple(row.get("unverified", ()))})
            for row in record.get("electricity", ())
        ),
    )


def _offer(row: Mapping[str, Any]) -> ApiOffer:
    read = {
        "usd_per_mtok": UsdPerMtok(**row["usd_per_mtok"]),
        "tiers": tuple(
            PriceTier(tier["above_tokens"], UsdPerMtok(**tier["usd_per_mtok"]))
            for tier in row.get("tiers", ())
        ),
        "changes": tuple(
            PriceChange(change["from_day"], UsdPerMtok(**change["usd_per_mtok"]))
            for change in row.get("changes", ())
        ),
        "unverified": tuple(row.get("unverified", ())),
    }
    return ApiOffer(**{**row, **read})
