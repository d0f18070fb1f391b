"""What is missing to tell what a machine costs, in words."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.costing.answer import CostAnswer

__all__ = ["unknown_speed", "unknowns"]

_UNKNOWNS: Final = {
    "ownership.purchase_usd": "what it costs to buy",
    "ownership.usd_per_kwh": "the price of a kWh",
    "ownership.load_watts": "what it draws at work",
}


def unknowns(answer: CostAnswer) -> tuple[tuple[str, str], ...]:
    """Return what is missing for a cost of this machine: the field, and what it is.

    Nothing where the model does not run on it.
    """
    if answer.local is None:
        return ()
    missing = {row.key for row in answer.assumptions if row.value is None}
    return tuple((key, what) for key, what in _UNKNOWNS.items() if key in missing)


def unknown_speed(answer: CostAnswer) -> str | None:
    """Return what gives the speed of this machine where it is missing; None where it is not."""
    if answer.local is None or answer.local.can_do_it is not None:
        return None
    why = answer.speed and answer.speed.reason
    return f"its speed{f' ({why})' if why else ''}: 'whatfits bench' measures it"
