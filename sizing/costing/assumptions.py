"""What an answer rests on besides the model and the machine, each with where it comes from."""

from __future__ import annotations

from whatfits.sizing.costing.moving import Spreads
from whatfits.sizing.costing.ownership import Ownership
from whatfits.sizing.costing.usage import Usage
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, field_names

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

    from whatfits.sizing.costing.facts import Fact

__all__ = ["Assumption", "assumptions_of"]

_YOURS: Final = "a place to start from, yours to set"
_GIVEN: Final = "given"


@dataclass(frozen=True, slots=True)
class Assumption:
    """One value that an answer rests on.

    Attributes:
        key: the field, as `usage.cached_share`.
        value: the value; None where it is unknown.
        source: `given`, where it was read, or that it is the user's to set.
        as_of: day of the source, ISO 8601; None where it has none.
    """

    key: str
    value: float | None
    source: str
    as_of: str | None = None


def assumptions_of(
    usage: Usage,
    ownership: Ownership,
    spreads: Spreads,
    *,
    read: dict[str, Fact],
    given: Collection[str] = (),
) -> tuple[Assumption, ...]:
    """Return every value with its source.

    `read` holds those that were looked up, by key; `given` the keys of those that were asked for,
    which may be what the default is.
    """
    held: tuple[tuple[str, object, object], ...] = (
        ("usage", usage, Usage()),
        ("ownership", ownership, Ownership()),
        ("spreads", spreads, Spreads()),
    )
    rows = []
    for group, value, default in held:
        for name in field_names(value) or ():
            key = f"{group}.{name}"
            amount: float | None = getattr(value, name)
            fact = read.get(key)
            if fact is not None:
                rows.append(Assumption(key, amount, fact.source, fact.as_of))
            elif amount is None:
                rows.append(Assumption(key, None, "unknown: yours to give"))
            else:
                is_default = key not in given and amount == getattr(default, name)
                rows.append(Assumption(key, amount, _YOURS if is_default else _GIVEN))
    return tuple(rows)
