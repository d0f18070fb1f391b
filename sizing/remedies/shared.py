"""Remedies that are worded alike whatever the runtime: a shorter context, other programs closed."""

from __future__ import annotations

from whatfits.sizing.estimate import Remedy
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Verdict

__all__ = ["closed_programs", "fewer_tokens"]


def fewer_tokens(
    context_tokens: int, *, asked_tokens: int, needs_bytes: int, verdict: Verdict
) -> Remedy:
    """Return the remedy of a shorter context than was asked for."""
    return Remedy(
        key="context",
        text=f"use {format_tokens(context_tokens)} tokens of context",
        change={"workload": {"context_tokens": context_tokens}},
        needs_bytes=needs_bytes,
        verdict=verdict,
        cost=f"{format_tokens(asked_tokens - context_tokens)} tokens less to remember",
    )


def closed_programs(held_bytes: int, *, verdict: Verdict) -> Remedy:
    """Return the remedy of memory that others hold now."""
    return Remedy(
        key="close",
        text=f"close other programs: they hold {format_bytes(held_bytes)}",
        change={},
        needs_bytes=None,
        verdict=verdict,
        cost="other programs have to be closed",
    )
