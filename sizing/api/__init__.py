"""The library's front door: one call a question, the same engine as every other surface.

from whatfits.sizing import check
plan = check("llama-3.1-8b", machine="rtx-4090 + 64gb", workload={"context_tokens": 32768})
plan.verdict, plan.memory.total_bytes, plan.largest_context_tokens

A name is fetched from its module when it is used: a command asks one question.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.api.answering import answer, choice_for, plan_of
    from whatfits.sizing.api.costing import cost, cost_of, priced
    from whatfits.sizing.api.fleets import fleet, fleet_nodes
    from whatfits.sizing.api.loading import hardware, load_machine, load_model, replayed
    from whatfits.sizing.api.questions import check, find_models, need, plan, serve, together

__all__ = [
    "answer",
    "check",
    "choice_for",
    "cost",
    "cost_of",
    "find_models",
    "fleet",
    "fleet_nodes",
    "hardware",
    "load_machine",
    "load_model",
    "need",
    "plan",
    "plan_of",
    "priced",
    "replayed",
    "serve",
    "together",
]

_MODULES: Final = {
    "answer": "answering",
    "check": "questions",
    "choice_for": "answering",
    "cost": "costing",
    "cost_of": "costing",
    "find_models": "questions",
    "fleet": "fleets",
    "fleet_nodes": "fleets",
    "hardware": "loading",
    "load_machine": "loading",
    "load_model": "loading",
    "need": "questions",
    "plan": "questions",
    "plan_of": "answering",
    "priced": "costing",
    "replayed": "loading",
    "serve": "questions",
    "together": "questions",
}


def __getattr__(name: str) -> object:
    """Return a public name from the module it lives in."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
