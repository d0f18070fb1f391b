"""One file a family: the graph of each architecture.

A family's module is imported when one of its models is asked for. An architecture that is not
listed has no graph yet: its compute buffer comes from the closed form, with an interval.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.graph.context import GraphContext

__all__ = ["FAMILIES", "graph_of", "state_cycle_of"]

_PACKAGE: Final = "whatfits.sizing.graph.models"

FAMILIES: Final = (
    ("plain", ("llama", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3")),
    ("cohere", ("cohere2", "command-r")),
    ("exaone", ("exaone", "exaone4")),
    ("gemma", ("gemma",)),
    ("gemma3n", ("gemma3n",)),
    ("gemma4", ("gemma4",)),
    ("gpt_oss", ("gpt-oss",)),
    ("granite", ("granite", "granitemoe")),
    ("llama4", ("llama4",)),
    ("olmo", ("olmo2", "olmoe")),
    ("phi", ("phi2", "phi3", "phimoe")),
)
# With attention and feed-forward side by side, two or three tensors take turns, by settings.
_STATE_CYCLES: Final = dict.fromkeys(("cohere2", "command-r", "phi2"), 6)
_MODULES: Final = {name: module for module, names in FAMILIES for name in names}


def graph_of(architecture: str) -> Callable[[GraphContext], None] | None:
    """Return the function that adds an architecture's graph to a context; None without one."""
    module = _MODULES.get(architecture)
    if module is None:
        return None
    graphs: dict[str, Callable[[GraphContext], None]] = import_module(f"{_PACKAGE}.{module}").GRAPHS
    return graphs[architecture]


def state_cycle_of(architecture: str) -> int:
    """Return after how many equal layers the allocator is in the same state again."""
    return _STATE_CYCLES.get(architecture, 2)
