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
    from whatfits.sizing.model import ModelSpec

__all__ = ["FAMILIES", "graph_of", "has_graph"]

_PACKAGE: Final = "whatfits.sizing.graph.models"

FAMILIES: Final = (
    ("plain", ("llama", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3")),
    ("deepseek", ("deepseek2", "mistral4")),
    ("gated_delta", ("qwen3next", "qwen35", "qwen35moe")),
)
_MODULES: Final = {name: module for module, names in FAMILIES for name in names}


def graph_of(architecture: str) -> Callable[[GraphContext], None] | None:
    """Return the function that adds an architecture's graph to a context; None without one."""
    module = _MODULES.get(architecture)
    if module is None:
        return None
    graphs: dict[str, Callable[[GraphContext], None]] = import_module(f"{_PACKAGE}.{module}").GRAPHS
    return graphs[architecture]


def has_graph(model: ModelSpec) -> bool:
    """Return whether a model's compute buffer can be replayed."""
    return model.architecture in _MODULES and bool(model.tensors)
