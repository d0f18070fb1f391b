"""The JSON answers of `list` and of `whatfits` alone: what brings more with it is in `answers`."""

from __future__ import annotations

from whatfits.sizing.machine import Machine
from whatfits.sizing.ranking.rows import RankedModel
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from whatfits.sizing.errors import InvalidRequestError

__all__ = ["HomeAnswer", "ListAnswer", "RefusedModels", "refused_models"]


@dataclass(frozen=True, slots=True)
class RefusedModels:
    """Models that have no row because the request is none for them.

    Attributes:
        what: of the request, and the value given.
        allowed: what these models take instead, or why they take nothing.
        models: their names.
    """

    what: str
    allowed: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListAnswer:
    """`whatfits list`, and `whatfits` alone: models on a machine, and the rule they came by."""

    schema_version: str
    machine: Machine
    rule: str
    models: tuple[RankedModel, ...]
    refused: tuple[RefusedModels, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class HomeAnswer(ListAnswer):
    """`whatfits` alone: the biggest models, and the biggest that write faster than people read."""

    quick_rule: str
    quick_models: tuple[RankedModel, ...]


def refused_models(refused: Mapping[str, InvalidRequestError]) -> tuple[RefusedModels, ...]:
    """Return models by the reason they are refused for, the commonest first; names as given."""
    named: dict[tuple[str, str], list[str]] = {}
    for name, error in refused.items():
        what = error.what if error.got is None else f"{error.what} {error.got!r}"
        named.setdefault((what, error.allowed), []).append(name)
    groups = sorted(named.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(RefusedModels(what, allowed, (*names,)) for (what, allowed), names in groups)
