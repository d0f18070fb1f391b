"""One file a family: the graph of each architecture.

A family's module is imported when one of its models is asked for. An architecture that is not
listed has no graph yet: its compute buffer comes from the closed form, with an interval.
"""

from __future__ import annotations

from importlib import import_module

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import Final

    from whatfits.sizing.graph.context import GraphContext
    from whatfits.sizing.model import ModelSpec

__all__ = ["FAMILIES", "graph_of", "has_graph", "is_unsure_unfused", "keeps_every_layer", "mark_of"]

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
    ("deepseek4", ("deepseek4",)),
    ("gated_delta", ("qwen3next", "qwen35", "qwen35moe")),
    ("kimi_linear", ("kimi-linear",)),
    ("sparse_latent", ("deepseek32", "glm-dsa")),
    ("kimi_k3", ("kimi-k3",)),
    ("ling", ("bailingmoe3",)),
    ("glm", ("chatglm", "glm4", "glm4moe")),
    ("glm5_next", ("glm5-next",)),
    (
        "layer_norm",
        (
            "bloom",
            "codeshell",
            "falcon",
            "gpt2",
            "gptneox",
            "jais",
            "jais2",
            "mpt",
            "nemotron",
            "olmo",
            "orion",
            "plamo",
            "stablelm",
            "starcoder",
            "starcoder2",
        ),
    ),
    ("deci", ("deci",)),
    ("minimax", ("minimax-m2",)),
    ("minimax_01", ("minimax-01",)),
    ("minimax_m3", ("minimax-m3",)),
    ("encoder", ("bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3")),
    (
        "cacheless",
        (
            "dream",
            "eurobert",
            "gemma-embedding",
            "llada",
            "llada-moe",
            "llama-embed",
            "modern-bert",
            "neo-bert",
            "rnd1",
        ),
    ),
    ("qwen_vl", ("qwen2moe", "qwen2vl", "qwen3vl", "qwen3vlmoe")),
    (
        "llama_like",
        (
            "apertus",
            "arcee",
            "baichuan",
            "ernie4_5",
            "hunyuan-dense",
            "hunyuan_vl",
            "internlm2",
            "maincoder",
            "mistral3",
            "openelm",
            "paddleocr",
            "pangu-embedded",
            "plamo3",
            "qwen",
            "refact",
            "seed_oss",
            "smollm3",
            "xverse",
        ),
    ),
    (
        "mixtures",
        (
            "bailingmoe",
            "bailingmoe2",
            "dbrx",
            "deepseek",
            "dots1",
            "ernie4_5-moe",
            "exaone-moe",
            "hunyuan-moe",
            "hy_v3",
            "mellum",
            "mimo2",
        ),
    ),
    ("gated_attention", ("afmoe", "laguna", "muse-glimmer", "step35")),
    ("bitnet", ("bitnet",)),
    ("cohere", ("cohere2", "cohere2moe", "command-r")),
    ("exaone", ("exaone", "exaone4")),
    ("gemma", ("gemma",)),
    ("gemma3n", ("gemma3n",)),
    ("gemma4", ("gemma4",)),
    ("gpt_oss", ("gpt-oss",)),
    ("granite", ("granite", "granite_swa", "granitemoe", "minicpm")),
    ("llama4", ("llama4",)),
    ("olmo", ("olmo2", "olmoe")),
    ("own_mixtures", ("arctic", "grok", "grovemoe", "smallthinker")),
    ("unfolded", ("minicpm3", "plm")),
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


def keeps_every_layer(architecture: str) -> bool:
    """Return whether no layer of an architecture may be left out of its graph."""
    module = import_module(f"{_PACKAGE}.{_MODULES[architecture]}")
    return architecture in getattr(module, "WHOLE", ())


def is_unsure_unfused(architecture: str) -> bool:
    """Return whether a graph was seen to miss beside devices without fused attention."""
    module = import_module(f"{_PACKAGE}.{_MODULES[architecture]}")
    return architecture in getattr(module, "UNSURE_UNFUSED", ())


def mark_of(architecture: str) -> Callable[[ModelSpec, int], Hashable] | None:
    """Return what tells an architecture's layers apart beside their weights, from a layer's index.

    None where their weights say all there is to say.
    """
    module = import_module(f"{_PACKAGE}.{_MODULES[architecture]}")
    marks: Mapping[str, Callable[[ModelSpec, int], Hashable]] = getattr(module, "MARKS", {})
    return marks.get(architecture)
