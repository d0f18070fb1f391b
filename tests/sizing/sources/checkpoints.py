"""Checkpoints with the tensors of a real one and no data: headers before a hole."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BYTES = {
    "BF16": 2,
    "F16": 2,
    "F32": 4,
    "I32": 4,
    "U8": 1,
    "F8_E4M3": 1,
    "U32": 4,
    "I8": 1,
    "I64": 8,
}
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 2048,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
Tensors = dict[str, tuple[str, tuple[int, ...]]]


def linear_layers(config: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Name, rows and columns of every linear layer of a Llama."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    keys = width // config["num_attention_heads"] * config["num_key_value_heads"]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        yield f"{at}.self_attn.q_proj", width, width
        yield f"{at}.self_attn.k_proj", keys, width
        yield f"{at}.self_attn.v_proj", keys, width
        yield f"{at}.self_attn.o_proj", width, width
        yield f"{at}.mlp.gate_proj", inner, width
        yield f"{at}.mlp.up_proj", inner, width
        yield f"{at}.mlp.down_proj", width, inner


def other_tensors(config: Mapping[str, Any]) -> Tensors:
    """Embeddings, output matrix and norms of a Llama."""
    width, vocabulary = config["hidden_size"], config["vocab_size"]
    tensors: Tensors = {
        "model.embed_tokens.weight": ("BF16", (vocabulary, width)),
        "lm_head.weight": ("BF16", (vocabulary, width)),
        "model.norm.weight": ("BF16", (width,)),
    }
    for layer in range(config["num_hidden_layers"]):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{layer}.{norm}.weight"] = ("BF16", (width,))
    return tensors


def llama_tensors(config: Mapping[str, Any] = LLAMA) -> Tensors:
    """Every tensor of a Llama in 16 bits."""
    linear = {
        f"{n}.weight": ("BF16", (rows, columns)) for n, rows, columns in linear_layers(config)
    }
    return {**other_tensors(config), **linear}


def n_bytes(tensors: Tensors) -> int:
    """Bytes of all data."""
    total = 0
    for dtype, shape in tensors.values():
        size = BYTES[dtype]
        for dimension in shape:
            size *= dimension
        total += size
    return total


def write_safetensors(path: Path, tensors: Tensors, *, missing: int = 0) -> None:
    """Write a file with these tensors whose data is a hole, some bytes short."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, row in tensors.items():
        start, end = end, end + n_bytes({name: row})
        header[name] = {"dtype": row[0], "shape": row[1], "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end - missing)


def write_config(folder: Path, values: Mapping[str, Any] = LLAMA) -> None:
    """Write a `config.json`; what JSON cannot carry becomes a list."""
    (folder / "config.json").write_text(json.dumps(values, default=list))


def write_sharded(folder: Path, tensors: Tensors, *, count: int, index: bool = True) -> list[Path]:
    """Write the tensors over several files, with their index."""
    names = [f"model-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)]
    parts: list[Tensors] = [{} for _ in names]
    for at, (name, row) in enumerate(tensors.items()):
        parts[at % count][name] = row
    for name, part in zip(names, parts, strict=True):
        write_safetensors(folder / name, part)
    if index:
        weight_map = {t: name for name, part in zip(names, parts, strict=True) for t in part}
        values = {"metadata": {"total_size": n_bytes(tensors)}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(values))
    return [folder / name for name in names]
