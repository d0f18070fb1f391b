"""Why a number is what it is: formula, inputs, source, error; for command line and page alike."""

from __future__ import annotations

from whatfits.sizing.document import Facts
from whatfits.sizing.estimate import RateRange
from whatfits.sizing.explain import rate_text
from whatfits.sizing.speed.slowdown import slower_words
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Basis, Plan

__all__ = ["reason", "title_of"]

_TITLES: Final = {
    "memory.weights_bytes": "Weights",
    "memory.kv_cache_bytes": "Context (KV cache)",
    "memory.compute_bytes": "Compute buffers",
    "memory.output_bytes": "Output rows",
    "memory.overhead_bytes": "Runtime overhead",
    "memory.devices.free_bytes": "What is free",
    "memory.growth_limit_bytes": "What a server's caches may grow to",
    "memory.parts.draft": "Draft model",
    "memory.parts.mtp": "Prediction layers",
    "memory.parts.projector": "Projector of images or sound",
    "memory.parts.lora": "Adapter",
    "model.file_bytes": "The file",
    "largest_context_tokens": "The longest context",
    "load_from_disk_s": "Loading",
    "speed.decode_tokens_per_s": "Writing",
    "speed.times_slower": "What spilling costs",
    "speed.prefill_tokens_per_s": "Reading the prompt",
    "speed.speculative_tokens_per_s": "Writing with drafts",
    "speed.energy_per_million_tokens_kwh": "Energy",
}

_UNITS: Final = {
    "energy_per_million_tokens_kwh": "kWh a million tokens",
    "time_to_first_token_s": "seconds",
}


def title_of(basis: Basis) -> str:
    """Return what a basis is about in words, with the field of the answer; else that alone."""
    words = _TITLES.get(basis.key)
    return basis.key if words is None else f"{words} ({basis.key})"


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
        title=title_of(basis),
    )


def _figure(key: str, plan: Plan) -> str:
    """Return the figure of a plan that a reason stands behind; empty for what is one a device."""
    place, _, name = key.partition(".")
    figure = getattr(getattr(plan, place, None), name, None)
    if isinstance(figure, int):
        return f"{format_bytes(figure)} ({figure:,} bytes)"
    if isinstance(figure, float):
        return slower_words(figure)
    unit = _UNITS.get(name, "tokens/s")
    return rate_text(figure, unit) if isinstance(figure, RateRange) else ""


def _value(value: object) -> str:
    if value is None:
        return "none known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_value(item)}" for key, item in value.items())
    return str(value)
