"""One file a family: the graph of each architecture.

A family's module is imported when one of its models is asked for. An architecture that is not
listed has no graph yet: its compute buffer comes from the closed form, with an interval.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

from whatfits.sizing.graph.reduce import LEAST_LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.model import ModelSpec

__all__ = ["FAMILIES", "Traits", "graph_of", "has_graph", "traits_of"]

_PACKAGE: Final = "whatfits.sizing.graph.models"

FAMILIES: Final = (
    ("plain", ("llama", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3")),
    (
        "mamba",
        (
            "mamba",
            "mamba2",
            "jamba",
            "granitehybrid",
            "nemotron_h",
            "nemotron_h_moe",
            "falcon-h1",
        ),
    ),
    ("lfm", ("lfm2", "lfm2moe")),
    ("plamo2", ("plamo2",)),
    ("rwkv", ("rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7")),
    ("deepseek", ("deepseek2", "mistral4")),
    ("gated_delta", ("qwen3next", "qwen35", "qwen35moe")),
    ("glm", ("chatglm", "glm4", "glm4moe")),
    ("layer_norm", ("falcon", "starcoder2", "stablelm", "nemotron")),
    ("minimax", ("minimax-m2",)),
    ("encoder", ("bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2")),
    ("qwen_vl", ("qwen2moe", "qwen2vl", "qwen3vl", "qwen3vlmoe")),
    ("llama_like", ("arcee", "baichuan", "internlm2", "mistral3", "seed_oss", "smollm3")),
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


class Traits(NamedTuple):
    """What the reduction to decisive layers has to know of a graph.

    Attributes:
        mark: what tells a layer from others beside its weights, from its index.
        cycle: after how many equal layers the state of the memory repeats.
        periods: how many periods of the layers' pattern it takes to settle.
        least: how many layers of a stretch it takes before the state repeats at all.
    """

    mark: Callable[[ModelSpec, int], Hashable] | None = None
    cycle: int = 2
    periods: int = 2
    least: int = LEAST_LAYERS


_PLAIN: Final = Traits()


def traits_of(architecture: str) -> Traits:
    """Return what is special about an architecture's layers."""
    module = import_module(f"{_PACKAGE}.{_MODULES[architecture]}")
    known: Mapping[str, Traits] = getattr(module, "TRAITS", {})
    return known.get(architecture, _PLAIN)
