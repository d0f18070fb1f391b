"""What a day costs at an API: each kind of token at its price.

USD a day = (fresh input x input price + cached input x cached price + output x output price) / 1e6
"""

from __future__ import annotations

from whatfits.sizing.costing.usage import TOKENS_PER_MTOK
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    import datetime as dt

    from whatfits.sizing.catalog.token_prices import ApiOffer, UsdPerMtok
    from whatfits.sizing.costing.usage import Usage

__all__ = ["CloudDay", "cloud_day"]


@dataclass(frozen=True, slots=True)
class CloudDay:
    """What an average day costs at an API.

    Attributes:
        usd_per_day: on an average day.
        usd_per_mtok: the same over all tokens in and out.
        notes: which price was not known, and what was counted in its place.
    """

    usd_per_day: float
    usd_per_mtok: float
    notes: tuple[str, ...]


def cloud_day(
    offer: ApiOffer, usage: Usage, *, day: dt.date, prompt_tokens: int | None
) -> CloudDay:
    """Return what an average day costs, at the prices of `day` for prompts of that length.

    Input whose own price (cached, or stored) the provider does not name is charged as input.
    """
    price = offer.price_on(day, prompt_tokens=prompt_tokens)
    cached = usage.input_tokens_per_day * usage.cached_share
    stored = usage.fresh_tokens_per_day * usage.cache_write_share
    plain = usage.fresh_tokens_per_day - stored
    usd = (
        plain * price.input
        + cached * _or_input(price, price.cached_input)
        + stored * _or_input(price, price.cache_write)
        + usage.output_tokens_per_day * price.output
    ) / TOKENS_PER_MTOK
    notes = []
    if cached and price.cached_input is None:
        notes.append("no price of cached input is known: it is counted as other input")
    if stored and price.cache_write is None:
        notes.append("no price of storing input is known: it is counted as other input")
    if offer.tiers and prompt_tokens is None:
        above = offer.tiers[0].above_tokens
        notes.append(f"prompts longer than {above:,} tokens cost more: say how long yours are")
    return CloudDay(
        usd_per_day=usd * usage.days_share,
        usd_per_mtok=usd / usage.tokens_per_day * TOKENS_PER_MTOK,
        notes=tuple(notes),
    )


def _or_input(price: UsdPerMtok, own: float | None) -> float:
    return price.input if own is None else own
