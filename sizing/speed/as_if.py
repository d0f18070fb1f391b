"""The speed of what does not fit: of the placement that came nearest, and said to be that.

It tells what more memory of the same kind would bring; a reader must not take it for what happens.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Plan

__all__ = ["as_if_it_fitted"]

_AS_IF: Final = "it does not fit: this is what it would do had each memory the room it lacks"


def as_if_it_fitted(plan: Plan) -> Plan:
    """Return the plan, with what its speed supposes where it does not fit."""
    speed = plan.speed
    if plan.verdict != "no" or speed is None:
        return plan
    if (speed.decode_tokens_per_s or speed.prefill_tokens_per_s) is None:
        return plan
    reason = "; ".join((_AS_IF, speed.reason) if speed.reason else (_AS_IF,))
    return replace(plan, speed=replace(speed, reason=reason))
