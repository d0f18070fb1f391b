"""The library's front door: one call a question, the same engine as every other surface.

from whatfits.sizing import check
plan = check("llama-3.1-8b", machine="rtx-4090 + 64gb", workload={"context_tokens": 32768})
plan.verdict, plan.memory.total_bytes, plan.largest_context_tokens
"""

from __future__ import annotations

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
