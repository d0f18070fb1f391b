"""The form of what `cost` answers from: prices, also a user's own, and results of routing.

Unknown fields are refused; a file of prices has the same form in the catalog and on a user's disk.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - pydantic resolves it
from typing import Annotated, Literal

from pydantic import Field

from whatfits.sizing.catalog.schema import Id, Positive, PositiveFloat, Row, Text

__all__ = [
    "ApiOfferRow",
    "ElectricityRow",
    "PricesFile",
    "RoutingResultRow",
    "RoutingResultsFile",
]

_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Dated(Row):
    """Where and when a row was read: no price without both."""

    as_of: dt.date = Field(strict=False)
    source: Text
    checked: dt.date = Field(strict=False)
    unverified: tuple[Text, ...] = Field(default=(), strict=False)


class UsdPerMtokRow(Row):
    """Prices of a million tokens; left out where the provider names none."""

    input: _Price
    cached_input: _Price | None = None
    cache_write: _Price | None = None
    output: _Price


class PriceTierRow(Row):
    """What holds for the whole request once its prompt is longer."""

    above_tokens: Positive
    usd_per_mtok: UsdPerMtokRow


class PriceChangeRow(Row):
    """An announced price, and the day from which it holds."""

    from_day: dt.date = Field(strict=False)
    usd_per_mtok: UsdPerMtokRow


class ApiOfferRow(_Dated):
    """A model at a provider. `same_as` is the catalog's id of the model, where that is certain."""

    provider: Text
    provider_id: Id
    kind: Literal["first-party", "open-model host", "aggregator"]
    model: Text
    same_as: Id | None = None
    usd_per_mtok: UsdPerMtokRow
    tiers: tuple[PriceTierRow, ...] = Field(default=(), strict=False)
    changes: tuple[PriceChangeRow, ...] = Field(default=(), strict=False)
    context_tokens: Positive | None = None


class ElectricityRow(_Dated):
    """A kWh in a region; `period` is the time that the figure is of."""

    id: Id
    region: Text
    kind: Literal["household", "commercial"]
    usd_per_kwh: PositiveFloat
    period: Text


class PricesFile(Row):
    """A file of `prices/`, and what `--prices` takes, as TOML or JSON."""

    offers: list[ApiOfferRow] = Field(default_factory=list)
    electricity: list[ElectricityRow] = Field(default_factory=list)


class ClaimRow(Row):
    """One published figure."""

    what: Text
    value: PositiveFloat
    unit: Literal["%", "x"]
    qualifier: Text | None = None
    unverified: bool = False


class RoutingResultRow(Row):
    """A published result, with the setting it was had in."""

    id: Id
    title: Text
    ref: Text
    year: Annotated[int, Field(ge=2020)]
    method: Text
    setting: Text
    claims: tuple[ClaimRow, ...] = Field(strict=False)
    basis: Text
    source: Text
    checked: dt.date


class RoutingResultsFile(Row):
    """`routing_results.toml`."""

    results: list[RoutingResultRow]
