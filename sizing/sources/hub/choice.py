"""Which of the models that a repository offers is meant; pure.

A file or a file type that was named, else what `check` takes of any model (Q4_K_M, or the native
quantisation), else what is nearest to that. What cannot be told apart is listed, not guessed.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError, UnknownFileTypeError, printable
from whatfits.sizing.quants.default_type import chosen_file_type
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.sources.hub.offers import label_of
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.sources.hub.names import HubName
    from whatfits.sizing.sources.hub.offers import Offer

__all__ = ["Choice", "choose", "labels_of"]

_SHOWN: Final = 12
_COMPARED: Final = 500


@dataclass(frozen=True, slots=True)
class Choice:
    """One model of a repository.

    Attributes:
        offer: what was chosen.
        planned_type: file type to size it under, when that is another than its own.
        notes: why it was chosen, when nobody named it.
    """

    offer: Offer
    planned_type: str | None = None
    notes: tuple[str, ...] = ()


def choose(
    offers: Sequence[Offer], name: HubName, *, file_type: str | None, native: str | None
) -> Choice:
    """Return the model that is meant among `offers`, of which none is empty or has files missing.

    Args:
        offers: what the repository has, at least one, largest first.
        name: what was asked for.
        file_type: file type to size it under; chooses the file when the name does not.
        native: the model's native quantisation, as the catalog knows it.

    Raises:
        InvalidRequestError: several models answer to it.
        UnknownFileTypeError: the repository has no such file or file type, or nobody has.
    """
    if name.part is not None:
        named = _only(_named(offers, name.part), name)
        if named is None:
            raise _unknown(offers, name, name.part)
        return Choice(named, planned_type=file_type)
    if file_type is not None:
        found = _only(_labelled(offers, file_type), name)
        if found is not None:
            return Choice(found)
        wanted = find_file_type(file_type).name
        base = _only([offer for offer in offers if offer.label == offers[0].label], name)
        note = f"The repository offers no {wanted}; the largest that it has is taken instead."
        return Choice(base or offers[0], planned_type=wanted, notes=(note,))
    wanted, said = chosen_file_type(None, native=native)
    found = _only([offer for offer in offers if offer.file_type == wanted], name)
    if found is not None:
        return Choice(found, notes=said)
    if len(offers) == 1:
        return Choice(offers[0])
    return _nearest(offers, name, wanted)


def labels_of(offers: Sequence[Offer]) -> str:
    """Return what can be named, for a message: labels once each, files where they say none."""
    labels = list(dict.fromkeys(printable(offer.shown) for offer in offers))
    return ", ".join(labels[:_SHOWN]) + (", …" if len(labels) > _SHOWN else "")


def _nearest(offers: Sequence[Offer], name: HubName, wanted: str) -> Choice:
    """Return what is nearest to a file type in bits a weight; of two, the one with more bytes."""
    bits = GGML_TYPES[find_file_type(wanted).default_type].bits_per_weight
    distances = {
        offer: abs(offer.nominal_bits_per_weight - bits)
        for offer in offers
        if offer.nominal_bits_per_weight is not None
    }
    if not distances:
        raise _several(offers, name)
    least = min(distances.values())
    label = next(offer.label for offer, distance in distances.items() if distance == least)
    found = _only([offer for offer in offers if offer.label == label], name) or offers[0]
    note = f"No file type was asked for, and the repository has no {wanted}: {label} is nearest."
    return Choice(found, notes=(note,))


def _named(offers: Sequence[Offer], part: str) -> Sequence[Offer]:
    """Return the models that a file, or else a file type, names."""
    for files in (
        [offer for offer in offers if part in offer.paths],
        [offer for offer in offers if any(p.rpartition("/")[2] == part for p in offer.paths)],
    ):
        if files:
            return files
    return _labelled(offers, part)


def _labelled(offers: Sequence[Offer], text: str) -> Sequence[Offer]:
    """Return the models of a file type: as labels spell it, as people do, or without UD before."""
    label = label_of(text.strip()) or text
    exact = [offer for offer in offers if offer.label == label]
    if exact:
        return exact
    try:
        known = find_file_type(text).name
    except UnknownFileTypeError:
        known = None
    return [offer for offer in offers if known is not None and offer.label == known] or [
        offer for offer in offers if offer.label == f"UD-{label}"
    ]


def _only(found: Sequence[Offer], name: HubName) -> Offer | None:
    """Return the only one, None of none.

    Raises:
        InvalidRequestError: there are several.
    """
    if len(found) > 1:
        raise _several(found, name)
    return found[0] if found else None


def _several(offers: Sequence[Offer], name: HubName) -> InvalidRequestError:
    shown = ", ".join(printable(offer.paths[0]) for offer in offers[:_SHOWN])
    return InvalidRequestError(
        what=f"{len(offers):,} models of the repository answer to",
        got=name.text(),
        allowed=shown + (", …" if len(offers) > _SHOWN else ""),
        next_step=f"name one of the files, as {name.text(printable(offers[0].paths[0]))}",
    )


def _unknown(offers: Sequence[Offer], name: HubName, part: str) -> UnknownFileTypeError:
    """Return the error that says that nothing of that name is there, and what comes near."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error

    known = {offer.shown.lower(): offer.shown for offer in offers[:_COMPARED]}
    known |= {offer.paths[0].lower(): offer.paths[0] for offer in offers[:_COMPARED]}
    near = get_close_matches(part.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean '{name.text(printable(known[near[0]]))}'?" if near else ""
    return UnknownFileTypeError(
        what=f"{name.repository} offers no", got=part, allowed=labels_of(offers), next_step=hint
    )
