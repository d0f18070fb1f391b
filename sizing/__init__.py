"""The model of memory, speed and cost; pure.

from whatfits.sizing import check
plan = check("llama-3.1-8b", machine="rtx-4090 + 64gb", workload={"context_tokens": 32768})
plan.verdict, plan.memory.total_bytes, plan.largest_context_tokens

Importing this package loads nothing: a public name is fetched from its module when it is used.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.api import (
        check,
        cost,
        find_models,
        fleet,
        hardware,
        load_machine,
        load_model,
        need,
        plan,
        serve,
        together,
    )
    from whatfits.sizing.errors import BadInputError, WhatfitsError
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = [
    "BadInputError",
    "Machine",
    "ModelSpec",
    "PlacementRequest",
    "Plan",
    "WhatfitsError",
    "Workload",
    "check",
    "cost",
    "find_models",
    "fleet",
    "hardware",
    "load_machine",
    "load_model",
    "need",
    "plan",
    "serve",
    "together",
]

_MODULES: Final = {
    "BadInputError": "errors",
    "Machine": "machine",
    "ModelSpec": "model",
    "PlacementRequest": "workload",
    "Plan": "estimate",
    "WhatfitsError": "errors",
    "Workload": "workload",
    "check": "api",
    "cost": "api",
    "find_models": "api",
    "fleet": "api",
    "hardware": "api",
    "load_machine": "api",
    "load_model": "api",
    "need": "api",
    "plan": "api",
    "serve": "api",
    "together": "api",
}


def __getattr__(name: str) -> object:
    """Return a public name from the module it lives in."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when a name is used

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
