"""Models changed in one thing each: what else a file of their architecture may hold or say.

Older files, other converters and other members of a family take ways through a graph that the
smallest model of an architecture does not take.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import made_up
from cacheless_recipes import CACHELESS
from comparison import write_model
from made_up import EMBD
from recipes import RECIPES

from whatfits.sizing.model import TensorSpec
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.sources.gguf_model import load_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

FULLER: Final = (
    "command-r-plus",
    "falcon-40b",
    "falcon-mamba-7b",
    "falcon3-1b",
    "gemma-4-26b-a4b",
    "glm-4.5-air",
    "glm-4.7-flash",
    "granite-4.0-h-tiny",
    "llama-4-maverick",
    "mistral-small-3.2-24b-2506",
    "mixtral-8x7b",
    "nemotron-3-super-120b-a12b",
    "phi-4-mini",
)
"""Catalog models with weights or metadata that the smallest of their architecture lacks."""


def _recipe(
    architecture: str,
    path: Path,
    *,
    keys: dict[str, object] | None = None,
    without: str = "",
    more: dict[str, tuple[int, ...]] | None = None,
    ends: dict[str, tuple[int, ...]] | None = None,
) -> ModelSpec:
    """Write a made-up model with other metadata, without a key of it, or with more weights."""
    recipe, size = {**RECIPES, **CACHELESS}[architecture]
    said = {key: value for key, value in recipe.keys.items() if key != without}
    recipe = replace(
        recipe,
        keys={**said, **(keys or {})},
        more={**recipe.more, **(more or {})},
        ends={**recipe.ends, **(ends or {})},
    )
    return made_up.made_up(architecture, recipe, path, size)


def _said(
    name: str,
    path: Path,
    *,
    keys: dict[str, object],
    weights: dict[str, tuple[int, ...]] | None = None,
) -> ModelSpec:
    """Write a catalog model that says other things, with more weights."""
    spec = load_catalog_model(name, file_type="Q8_0")
    told = {f"{spec.architecture}.{key}": value for key, value in keys.items()}
    metadata = {**spec.metadata, **told}
    made = tuple(_weight(key, shape) for key, shape in (weights or {}).items())
    return _written(replace(spec, metadata=metadata, tensors=(*spec.tensors, *made)), path)


def _weight(name: str, shape: tuple[int, ...], kind: str = "F16") -> TensorSpec:
    kind = "F32" if len(shape) == 1 else kind
    return TensorSpec(name, shape, kind, tensor_bytes(kind, shape), "layer")


def _written(spec: ModelSpec, path: Path) -> ModelSpec:
    write_model(spec, path)
    return load_file(str(path))


def _one_matrix_for_keys_and_values(path: Path) -> ModelSpec:
    """Write DeepSeek V2 as files before absorbed matrices have it."""
    spec = load_catalog_model("deepseek-coder-v2-lite", file_type="Q8_0")
    absorbed = ("attn_k_b.weight", "attn_v_b.weight")
    kept = [tensor for tensor in spec.tensors if not tensor.name.endswith(absorbed)]
    made = [_weight(f"blk.{at}.attn_kv_b.weight", (512, 16 * 256)) for at in range(spec.n_layers)]
    widths = {"head_count_kv": 16, "key_length": 192, "value_length": 128}
    metadata = {key: value for key, value in spec.metadata.items() if not key.endswith("_mla")}
    metadata |= {f"deepseek2.attention.{key}": width for key, width in widths.items()}
    return _written(replace(spec, tensors=(*kept, *made), metadata=metadata), path)


def _queries_and_gates_grouped(path: Path) -> ModelSpec:
    """Write Qwen3 Next with queries, keys, values and gates of each group side by side."""
    spec = load_catalog_model("qwen3-coder-next", file_type="Q8_0")
    tensors = []
    for tensor in spec.tensors:
        if tensor.name.endswith("attn_qkv.weight"):
            name = tensor.name.replace("attn_qkv", "ssm_in")
            tensors.append(_weight(name, (2048, 8192 + 4096)))
        elif not tensor.name.endswith("attn_gate.weight"):
            tensors.append(tensor)
    return _written(replace(spec, tensors=tuple(tensors)), path)


def _experts_in_every_second_layer(path: Path) -> ModelSpec:
    """Write a Nomic encoder with experts."""
    spec = load_catalog_model("nomic-embed-text-v1.5", file_type="Q8_0")
    old, new = "nomic-bert.", "nomic-bert-moe."
    metadata = {key.replace(old, new): value for key, value in spec.metadata.items()}
    counts = {"moe_every_n_layers": 2, "expert_count": 8, "expert_used_count": 2}
    metadata |= {"general.architecture": "nomic-bert-moe"}
    metadata |= {new + key: value for key, value in counts.items()}
    up, down = (768, 3072, 8), (3072, 768, 8)
    stacks = {"ffn_gate_inp": (768, 8), "ffn_up_exps": up, "ffn_down_exps": down}
    kept = [t for t in spec.tensors if "ffn_gate." not in t.name]
    tensors = [t for t in kept if not (".ffn_" in t.name and (t.layer or 0) % 2)]
    for at in range(1, spec.n_layers, 2):
        tensors += [
            _weight(f"blk.{at}.{name}.weight", shape, "F32" if name == "ffn_gate_inp" else "F16")
            for name, shape in stacks.items()
        ]
    changed = replace(
        spec, architecture="nomic-bert-moe", metadata=metadata, tensors=tuple(tensors)
    )
    return _written(changed, path)


def _nothing_fed_forward(path: Path) -> ModelSpec:
    """Write a pruned Nemotron some of whose layers have lost their feed-forward part."""
    spec = _recipe("deci", path)
    lost = (2, 3)
    tensors = [t for t in spec.tensors if not (t.layer in lost and ".ffn_" in t.name)]
    widths = [0 if at in lost else 2816 for at in range(spec.n_layers)]
    metadata = {**spec.metadata, "deci.feed_forward_length": widths}
    return _written(replace(spec, tensors=tuple(tensors), metadata=metadata), path)


_NORMED: Final = {
    f"{name}.{end}": (EMBD,)
    for name in ("attn_q_norm", "attn_k_norm", "attn_norm_2")
    for end in ("weight", "bias")
}
_CLASSIFIER: Final = {
    "cls.weight": (384, 384),
    "cls.bias": (384,),
    "cls.output.weight": (384, 1),
    "cls.output.bias": (1,),
}
_SECTIONS: Final = "rope.dimension_sections"

VARIANTS: Final[dict[str, Callable[[Path], ModelSpec]]] = {
    "gptneox, one part after the other": partial(
        _recipe, "gptneox", keys={"use_parallel_residual": False}
    ),
    "gemma-embedding, windows in a list": partial(
        _recipe,
        "gemma-embedding",
        keys={"attention.sliding_window_pattern": [True, True, False, True, True, False, True]},
    ),
    "gemma-embedding, matrices after pooling": partial(
        _recipe,
        "gemma-embedding",
        keys={"dense_2_feat_out": 3072, "dense_3_feat_in": 3072},
        ends={"dense_2.weight": (EMBD, 3072), "dense_3.weight": (3072, EMBD)},
    ),
    "modern-bert without windows": partial(
        _recipe, "modern-bert", without="attention.sliding_window"
    ),
    "jina-bert-v2 with norms of queries": partial(_recipe, "jina-bert-v2", more=_NORMED),
    "bge with a classifier": partial(
        _said, "bge-small-en-v1.5", keys={"pooling_type": 4}, weights=_CLASSIFIER
    ),
    "nomic-bert with experts": _experts_in_every_second_layer,
    "mpt without limits": partial(_recipe, "mpt", without="attention.clamp_kqv"),
    "olmo without limits": partial(_recipe, "olmo", without="attention.clamp_kqv"),
    "mimo2, values as they are": partial(_recipe, "mimo2", without="attention.value_scale"),
    "mimo2, values times one": partial(_recipe, "mimo2", keys={"attention.value_scale": 1.0}),
    "hunyuan_vl, one position a token": partial(_recipe, "hunyuan_vl", without=_SECTIONS),
    "hunyuan_vl, second section empty": partial(
        _recipe, "hunyuan_vl", keys={_SECTIONS: [16, 0, 24, 24]}
    ),
    "hunyuan_vl, third section empty": partial(
        _recipe, "hunyuan_vl", keys={_SECTIONS: [32, 32, 0, 0]}
    ),
    "deci, layers that feed nothing forward": _nothing_fed_forward,
    "deepseek2, keys and values from one matrix": _one_matrix_for_keys_and_values,
    "deepseek2, colder with distance": partial(
        _said, "deepseek-coder-v2-lite", keys={"attention.temperature_scale": 0.1}
    ),
    "deepseek2, weights add up to one": partial(
        _said, "deepseek-coder-v2-lite", keys={"expert_weights_norm": True}
    ),
    "qwen3next, queries and gates grouped": _queries_and_gates_grouped,
    "granitehybrid, turned and scaled": partial(
        _said,
        "granite-4.0-h-350m",
        keys={
            "rope.scaling.finetuned": True,
            "residual_scale": 0.2,
            "embedding_scale": 12.0,
            "logit_scale": 8.0,
        },
    ),
    "granite, not turned": partial(
        _said, "granite-3.0-2b", keys={"rope.scaling.finetuned": False, "residual_scale": 0.2}
    ),
}
"""Name → writes the model to a path and returns what this engine reads from it."""
