"""Which offers of APIs a model is compared with: the same model, and what was asked for by name."""

from __future__ import annotations

from difflib import get_close_matches

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from whatfits.sizing.catalog.token_prices import ApiOffer

__all__ = ["OLD_DAYS", "Chosen", "Relation", "chosen_offers", "price_warnings"]

Relation = Literal["same model", "named"]
OLD_DAYS: Final = 90


class Chosen(NamedTuple):
    """An offer, why it stands here, and whether it was asked for by name."""

    offer: ApiOffer
    relation: Relation
    is_named: bool


def chosen_offers(
    offers: Sequence[ApiOffer], *, model_id: str | None, against: Sequence[str]
) -> tuple[Chosen, ...]:
    """Return the offers that were named, then all of the same model; each once.

    A name is a provider's id or name (of which only the same model is taken), a model of any
    provider, or `provider/model`.

    Raises:
        InvalidRequestError: nothing answers to a name.
    """
    same = [offer for offer in offers if model_id is not None and offer.same_as == model_id]
    found: dict[str, Chosen] = {}
    narrowed = False
    for name in against:
        named, is_provider = _named(offers, same, name)
        narrowed = narrowed or is_provider
        for offer in named:
            found.setdefault(offer.name, Chosen(offer, _relation(offer, same), is_named=True))
    if not narrowed:
        for offer in same:
            found.setdefault(offer.name, Chosen(offer, "same model", is_named=False))
    return tuple(found.values())


def _relation(offer: ApiOffer, same: Iterable[ApiOffer]) -> Relation:
    return "same model" if offer in same else "named"


def _named(
    offers: Sequence[ApiOffer], same: Sequence[ApiOffer], name: str
) -> tuple[list[ApiOffer], bool]:
    """Return the offers of a name, and whether it is a provider's."""
    wanted = name.strip().casefold()
    if any(wanted in _provider_names(offer) for offer in offers):
        of_provider = [offer for offer in same if wanted in _provider_names(offer)]
        if of_provider:
            return of_provider, True
        models = [offer.model for offer in offers if wanted in _provider_names(offer)]
        raise InvalidRequestError(
            what="provider without this model:",
            got=name,
            allowed=f"one of its models by name, as {', '.join(models[:5])}",
        )
    found = [offer for offer in offers if wanted in (offer.model.casefold(), offer.name.casefold())]
    if found:
        return found, False
    known = [text for offer in offers for text in (offer.model, offer.name, offer.provider_id)]
    near = list(dict.fromkeys(get_close_matches(name, known, n=3, cutoff=0.6)))
    raise InvalidRequestError(
        what="price of",
        got=name,
        allowed="a provider, a model, or provider/model of the price list",
        next_step=f"did you mean {' or '.join(near)}?" if near else "give your own with --prices",
    )


def _provider_names(offer: ApiOffer) -> tuple[str, str]:
    return offer.provider_id, offer.provider.casefold()


def price_warnings(ages_days: Sequence[int]) -> tuple[str, ...]:
    """Return a sentence where prices are more than 90 days old; none where none is."""
    old = sum(age > OLD_DAYS for age in ages_days)
    if not old:
        return ()
    if len(ages_days) == 1:
        said = (
            f"Prices move: this price of tokens is {ages_days[0]} days old; look it up, and give "
            "a newer one with --prices."
        )
        return (said,)
    said = (
        f"Prices move: {old} of these {len(ages_days)} prices of tokens "
        f"{'is' if old == 1 else 'are'} more than {OLD_DAYS} days old, the oldest "
        f"{max(ages_days)}; look them up, and give newer ones with --prices."
    )
    return (said,)
