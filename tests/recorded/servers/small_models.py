"""A Llama of 12 million weights with random values, that real servers load: a GGUF, a folder."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing.architectures import spec_from_config

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH, INNER, LAYERS, HEADS, KV_HEADS, WORDS = 512, 1408, 4, 8, 2, 1024
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "vocab_size": WORDS,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
}
SPECIAL = ("<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{number:02X}>" for number in range(256))


def _words(n_words: int) -> tuple[str, ...]:
    return tuple(f"t{number}" for number in range(n_words))


def _values(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float16]:
    """Small random weights of a matrix, ones of a norm."""
    if len(shape) == 1:
        return np.ones(shape, np.float16)
    return (random.standard_normal(shape) * 0.02).astype(np.float16)


def write_small_gguf(path: Path) -> Path:
    """Write the model as a GGUF in F16, with a vocabulary, and return its path."""
    spec = spec_from_config(CONFIG, name="small", source="test", file_type="F16", origin="test")
    tokens = (*SPECIAL, *BYTES, *_words(WORDS - len(SPECIAL) - len(BYTES)))
    metadata = {
        "general.architecture": "llama",
        "general.file_type": 1,
        **spec.metadata,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * WORDS,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    total = write_synthetic_gguf(path, metadata=metadata, tensors=spec.tensors)
    random = np.random.default_rng(7)
    with path.open("r+b") as file:
        file.seek(total - sum(-(-tensor.n_bytes // 32) * 32 for tensor in spec.tensors))
        for tensor in spec.tensors:
            kind = np.float16 if tensor.type == "F16" else np.float32
            data = _values(random, tuple(reversed(tensor.shape))).astype(kind).tobytes()
            assert len(data) == tensor.n_bytes
            file.write(data + bytes(-len(data) % 32))
    return path


def write_small_checkpoint(folder: Path) -> Path:
    """Write the model as safetensors in 16 bits, with a tokeniser, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    random = np.random.default_rng(7)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts, offset = [], 0
    for name, shape in _checkpoint_shapes().items():
        data = _values(random, shape).tobytes()
        header[name] = {
            "dtype": "F16",
            "shape": shape,
            "data_offsets": [offset, offset + len(data)],
        }
        parts.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + b"".join(parts)
    (folder / "model.safetensors").write_bytes(content)
    vocabulary = {word: n for n, word in enumerate((*SPECIAL, *_words(WORDS - len(SPECIAL))))}
    tokeniser = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokeniser), encoding="utf-8")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "chat_template": "{% for m in messages %}{{ m['content'] }} {% endfor %}",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _checkpoint_shapes() -> dict[str, tuple[int, ...]]:
    keys = WIDTH // HEADS * KV_HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (WORDS, WIDTH),
        "lm_head.weight": (WORDS, WIDTH),
        "model.norm.weight": (WIDTH,),
    }
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        shapes |= {
            f"{at}input_layernorm.weight": (WIDTH,),
            f"{at}post_attention_layernorm.weight": (WIDTH,),
            f"{at}self_attn.q_proj.weight": (WIDTH, WIDTH),
            f"{at}self_attn.k_proj.weight": (keys, WIDTH),
            f"{at}self_attn.v_proj.weight": (keys, WIDTH),
            f"{at}self_attn.o_proj.weight": (WIDTH, WIDTH),
            f"{at}mlp.gate_proj.weight": (INNER, WIDTH),
            f"{at}mlp.up_proj.weight": (INNER, WIDTH),
            f"{at}mlp.down_proj.weight": (WIDTH, INNER),
        }
    return shapes
