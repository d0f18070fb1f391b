"""Small made-up models with a lightning indexer, as GGUFs: DeepSeek V3.2 and GLM 5.

What their files hold is in llama.cpp's src/models/{deepseek32,glm-dsa}.cpp (load_arch_tensors).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparison import write_model

from whatfits.sizing.model import Hparams, LayerSpec, ModelSpec, TensorSpec
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.sources.gguf_model import load_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EMBD, FF, VOCAB, LAYERS, HEADS = 2048, 5120, 16384, 14, 32
RANK, ROTARY, PLAIN, VALUE, QUERY_RANK = 512, 64, 128, 128, 768
EXPERTS, USED, FF_EXPERT, DENSE = 32, 4, 512, 2
INDEX_HEADS, INDEX_WIDTH, CHOSEN = 16, 128, 1024
OWN_INDEXER = tuple(at < 2 or (at - 2) % 4 == 0 for at in range(LAYERS))

MADE_UP = ("deepseek32", "glm-dsa")


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "token_embd.weight", (EMBD, VOCAB)
    yield "output.weight", (EMBD, VOCAB)
    yield "output_norm.weight", (EMBD,)
    for at in range(LAYERS):
        for name, shape in (*_attention(), *_indexer(), *_feed_forward(dense=at < DENSE)):
            yield f"blk.{at}.{name}", shape


def _attention() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "attn_norm.weight", (EMBD,)
    yield "attn_q_a.weight", (EMBD, QUERY_RANK)
    yield "attn_q_a_norm.weight", (QUERY_RANK,)
    yield "attn_q_b.weight", (QUERY_RANK, HEADS * (PLAIN + ROTARY))
    yield "attn_kv_a_mqa.weight", (EMBD, RANK + ROTARY)
    yield "attn_kv_a_norm.weight", (RANK,)
    yield "attn_k_b.weight", (PLAIN, RANK, HEADS)
    yield "attn_v_b.weight", (RANK, VALUE, HEADS)
    yield "attn_output.weight", (HEADS * VALUE, EMBD)


def _indexer() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "indexer.k_norm.weight", (INDEX_WIDTH,)
    yield "indexer.k_norm.bias", (INDEX_WIDTH,)
    yield "indexer.proj.weight", (EMBD, INDEX_HEADS)
    yield "indexer.attn_k.weight", (EMBD, INDEX_WIDTH)
    yield "indexer.attn_q_b.weight", (QUERY_RANK, INDEX_HEADS * INDEX_WIDTH)


def _feed_forward(*, dense: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "ffn_norm.weight", (EMBD,)
    if dense:
        yield "ffn_gate.weight", (EMBD, FF)
        yield "ffn_up.weight", (EMBD, FF)
        yield "ffn_down.weight", (FF, EMBD)
        return
    yield "ffn_gate_inp.weight", (EMBD, EXPERTS)
    yield "exp_probs_b.bias", (EXPERTS,)
    for name in ("ffn_gate", "ffn_up"):
        yield f"{name}_exps.weight", (EMBD, FF_EXPERT, EXPERTS)
        yield f"{name}_shexp.weight", (EMBD, FF_EXPERT)
    yield "ffn_down_exps.weight", (FF_EXPERT, EMBD, EXPERTS)
    yield "ffn_down_shexp.weight", (FF_EXPERT, EMBD)


def made_up(architecture: str, path: Path) -> ModelSpec:
    """Write one of the models to a path and return what this engine reads from it."""
    keys: dict[str, object] = {
        "embedding_length": EMBD,
        "feed_forward_length": FF,
        "vocab_size": VOCAB,
        "leading_dense_block_count": DENSE,
        "expert_count": EXPERTS,
        "expert_used_count": USED,
        "expert_shared_count": 1,
        "expert_feed_forward_length": FF_EXPERT,
        "expert_gating_func": 2,
        "expert_weights_norm": True,
        "expert_weights_scale": 2.5,
        "rope.dimension_count": ROTARY,
        "attention.head_count": HEADS,
        "attention.head_count_kv": 1,
        "attention.key_length": RANK + ROTARY,
        "attention.value_length": RANK,
        "attention.key_length_mla": PLAIN + ROTARY,
        "attention.value_length_mla": VALUE,
        "attention.kv_lora_rank": RANK,
        "attention.q_lora_rank": QUERY_RANK,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "attention.indexer.head_count": INDEX_HEADS,
        "attention.indexer.key_length": INDEX_WIDTH,
        "attention.indexer.top_k": CHOSEN,
    }
    if architecture == "glm-dsa":
        keys["attention.indexer.types"] = OWN_INDEXER
    bare = ModelSpec(
        name=architecture,
        source="made-up",
        architecture=architecture,
        file_type=None,
        file_bytes=None,
        tensors=tuple(_tensor(name, shape) for name, shape in _shapes()),
        layers=(LayerSpec(),) * LAYERS,
        hparams=Hparams(n_embd=EMBD, n_vocab=VOCAB, context_train_tokens=None),
        parameters=None,
        active_parameters=None,
        metadata={
            "general.architecture": architecture,
            **{f"{architecture}.{key}": value for key, value in keys.items()},
        },
    )
    write_model(bare, path)
    return load_file(str(path))


def _tensor(name: str, shape: tuple[int, ...]) -> TensorSpec:
    kind = "F32" if len(shape) == 1 or "gate_inp" in name else "Q8_0"
    return TensorSpec(name, shape, kind, tensor_bytes(kind, shape), "layer")
