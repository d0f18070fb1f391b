"""Why a number is what it is: formula, inputs, source, error; for command line and page alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.document import Facts
from whatfits.sizing.estimate import RateRange
from whatfits.sizing.explain import rate_text
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Basis, Plan

__all__ = ["reason"]

_UNITS: Final = {
    "energy_per_million_tokens_kwh": "kWh a million tokens",
    "time_to_first_token_s": "seconds",
}


def reason(basis: Basis, plan: Plan) -> Facts:
    """Return one basis of a plan as facts, the figure that it stands behind first."""
    inputs = "; ".join(f"{key} = {_value(value)}" for key, value in basis.inputs.items())
    figure = _figure(basis.key, plan)
    return Facts(
        (
            *((("value", figure),) if figure else ()),
            ("formula", basis.formula),
            *((("with numbers", basis.substituted),) if basis.substituted else ()),
            ("inputs", inputs),
            ("source", basis.source),
            ("error", basis.error),
        ),
        title=basis.key,
    )


def _figure(key: str, plan: Plan) -> str:
    """Return the figure of a plan that a reason stands behind; empty for what is one a device."""
    place, _, name = key.partition(".")
    figure = getattr(getattr(plan, place, None), name, None)
    if isinstance(figure, int):
        return f"{format_bytes(figure)} ({figure:,} bytes)"
    unit = _UNITS.get(name, "tokens/s")
    return rate_text(figure, unit) if isinstance(figure, RateRange) else ""


def _value(value: object) -> str:
    if value is None:
        return "none known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_value(item)}" for key, item in value.items())
    return str(value)
