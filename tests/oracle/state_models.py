"""Small made-up models with states, as GGUFs: architectures that have no catalog entry.

What their files hold is in llama.cpp's src/models/{rwkv6,rwkv6qwen2,arwkv7,plamo2}.cpp
(load_arch_tensors).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparison import write_model

from whatfits.sizing.model import Hparams, LayerSpec, ModelSpec, TensorSpec
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.sources.gguf_model import load_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Shapes = Iterator[tuple[str, tuple[int, ...]]]

EMBD, FF, VOCAB, HEAD, LAYERS, RANK = 1024, 3584, 8192, 64, 14, 32
HEADS_KV = 4
MIXTURES = 5
KERNEL = 4
ATTENDING = (3, 7, 11)


def _normed(name: str) -> Shapes:
    yield f"{name}.weight", (EMBD,)
    yield f"{name}.bias", (EMBD,)


def _mixing6(at: str, *, kv_width: int) -> Shapes:
    yield f"{at}time_mix_w1.weight", (EMBD, MIXTURES * RANK)
    yield f"{at}time_mix_w2.weight", (RANK, EMBD, MIXTURES)
    yield f"{at}time_mix_lerp_x.weight", (EMBD, 1, 1)
    yield f"{at}time_mix_decay.weight", (EMBD,)
    yield f"{at}time_mix_decay_w1.weight", (EMBD, 2 * RANK)
    yield f"{at}time_mix_decay_w2.weight", (2 * RANK, EMBD)
    for name in ("receptance", "gate", "output"):
        yield f"{at}time_mix_{name}.weight", (EMBD, EMBD)
    for name in ("key", "value"):
        yield f"{at}time_mix_{name}.weight", (EMBD, kv_width)


def _mixing7(at: str, *, gated: bool) -> Shapes:
    for letter in ("w", "a", "v"):
        yield f"{at}time_mix_{letter}0.weight", (EMBD,)
    for letter in ("w", "a", "v", *("g" * gated)):
        yield f"{at}time_mix_{letter}1.weight", (EMBD, RANK)
        yield f"{at}time_mix_{letter}2.weight", (RANK, EMBD)
    yield f"{at}time_mix_lerp_fused.weight", (EMBD, 1, 1, MIXTURES + gated)
    for name in ("k_k", "k_a", "r_k"):
        yield f"{at}time_mix_{name}.weight", (EMBD,)
    for name in ("receptance", "key", "value", "output"):
        yield f"{at}time_mix_{name}.weight", (EMBD, EMBD)


def _decoder(at: str) -> Shapes:
    yield f"{at}attn_norm.weight", (EMBD,)
    yield f"{at}ffn_norm.weight", (EMBD,)
    yield f"{at}ffn_gate.weight", (EMBD, FF)
    yield f"{at}ffn_up.weight", (EMBD, FF)
    yield f"{at}ffn_down.weight", (FF, EMBD)


def _rwkv6(at: str, *, fused: bool) -> Shapes:
    for name in ("attn_norm", "attn_norm_2", "time_mix_ln"):
        yield from _normed(at + name)
    yield from _mixing6(at, kv_width=EMBD)
    yield f"{at}time_mix_first.weight", (HEAD, EMBD // HEAD)
    if fused:
        yield f"{at}time_mix_lerp_fused.weight", (EMBD, 1, 1, MIXTURES)
    else:
        yield from ((f"{at}time_mix_lerp_{letter}.weight", (EMBD, 1, 1)) for letter in "wkvrg")
    for letter in "kr":
        yield f"{at}channel_mix_lerp_{letter}.weight", (EMBD, 1, 1)
    yield f"{at}channel_mix_receptance.weight", (EMBD, EMBD)
    yield f"{at}channel_mix_key.weight", (EMBD, FF)
    yield f"{at}channel_mix_value.weight", (FF, EMBD)


def _rwkv6_fused(at: str) -> Shapes:
    return _rwkv6(at, fused=True)


def _rwkv6_apart(at: str) -> Shapes:
    return _rwkv6(at, fused=False)


def _rwkv6qwen2(at: str) -> Shapes:
    kv_width = HEADS_KV * HEAD
    yield from _decoder(at)
    yield from _mixing6(at, kv_width=kv_width)
    yield f"{at}time_mix_lerp_fused.weight", (EMBD, 1, 1, MIXTURES)
    for name, width in (("receptance", EMBD), ("key", kv_width), ("value", kv_width)):
        yield f"{at}time_mix_{name}.bias", (width,)


def _arwkv7(at: str) -> Shapes:
    yield from _decoder(at)
    yield from _mixing7(at, gated=False)


def _arwkv7_gated(at: str) -> Shapes:
    yield from _decoder(at)
    yield from _mixing7(at, gated=True)
    yield from _normed(f"{at}time_mix_ln")


def _plamo2(at: str) -> Shapes:
    inner, state, heads, step = 2 * EMBD, HEAD, 2 * EMBD // HEAD, EMBD // 16
    yield f"{at}attn_norm.weight", (EMBD,)
    yield f"{at}ffn_norm.weight", (EMBD,)
    yield f"{at}post_attention_norm", (EMBD,)
    yield f"{at}post_ffw_norm", (EMBD,)
    yield f"{at}ffn_up.weight", (EMBD, 2 * FF)
    yield f"{at}ffn_down.weight", (FF, EMBD)
    if int(at.split(".")[1]) in ATTENDING:
        yield f"{at}attn_qkv.weight", (EMBD, EMBD + 2 * HEADS_KV * HEAD)
        yield f"{at}attn_q_norm.weight", (HEAD, EMBD // HEAD)
        yield f"{at}attn_k_norm.weight", (HEAD, HEADS_KV)
        yield f"{at}attn_output.weight", (EMBD, EMBD)
        return
    yield f"{at}ssm_in.weight", (EMBD, 2 * inner)
    yield f"{at}ssm_conv1d.weight", (KERNEL, inner)
    yield f"{at}ssm_x.weight", (inner, step + 2 * state)
    yield f"{at}ssm_dt.weight", (step, heads)
    yield f"{at}ssm_dt.bias", (heads,)
    yield f"{at}ssm_a", (heads,)
    yield f"{at}ssm_d", (heads,)
    yield f"{at}ssm_out.weight", (inner, EMBD)
    for name, width in (("dt", step), ("b", state), ("c", state)):
        yield f"{at}ssm_{name}_norm", (width,)


MADE_UP: dict[str, tuple[str, Callable[[str], Shapes], dict[str, object]]] = {
    "rwkv6": ("rwkv6", _rwkv6_fused, {"rescale_every_n_layers": 6}),
    "rwkv6 with weights apart": ("rwkv6", _rwkv6_apart, {}),
    "rwkv6qwen2": (
        "rwkv6qwen2",
        _rwkv6qwen2,
        {"attention.head_count": EMBD // HEAD, "attention.head_count_kv": HEADS_KV},
    ),
    "arwkv7": ("arwkv7", _arwkv7, {}),
    "arwkv7 with gates": ("arwkv7", _arwkv7_gated, {}),
    "plamo2": (
        "plamo2",
        _plamo2,
        {
            "attention.head_count": EMBD // HEAD,
            "attention.head_count_kv": tuple(
                HEADS_KV if at in ATTENDING else 0 for at in range(LAYERS)
            ),
            "attention.key_length": HEAD,
            "attention.value_length": HEAD,
            "rope.dimension_count": HEAD,
            "ssm.conv_kernel": KERNEL,
            "ssm.inner_size": 2 * EMBD,
            "ssm.state_size": HEAD,
            "ssm.time_step_rank": 2 * EMBD // HEAD,
            "ssm.group_count": 0,
        },
    ),
}


def made_up(name: str, path: Path) -> ModelSpec:
    """Write one of the models to a path and return what this engine reads from it."""
    architecture, layer_shapes, extra = MADE_UP[name]
    keys: dict[str, object] = {
        "embedding_length": EMBD,
        "feed_forward_length": FF,
        "vocab_size": VOCAB,
        "attention.head_count": 0,
        "attention.layer_norm_epsilon": 1e-5,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "wkv.head_size": HEAD,
        "time_mix_extra_dim": RANK,
        "time_decay_extra_dim": 2 * RANK,
        "token_shift_count": 2 if architecture == "rwkv6" else 1,
    }
    for low_rank in ("decay", "iclr", "value_residual_mix", "gate"):
        keys[f"attention.{low_rank}_lora_rank"] = RANK
    keys |= extra
    shapes = [("token_embd.weight", (EMBD, VOCAB)), ("output.weight", (EMBD, VOCAB))]
    shapes += [*_normed("token_embd_norm")] if architecture == "rwkv6" else []
    biased = architecture.startswith("rwkv6")
    shapes += [*_normed("output_norm")] if biased else [("output_norm.weight", (EMBD,))]
    shapes += [shape for at in range(LAYERS) for shape in layer_shapes(f"blk.{at}.")]
    bare = ModelSpec(
        name=name,
        source="made-up",
        architecture=architecture,
        file_type=None,
        file_bytes=None,
        tensors=tuple(_tensor(name, shape) for name, shape in shapes),
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
    small = (
        len(shape) == 1
        or "lerp" in name
        or "norm" in name
        or "conv1d" in name
        or name.endswith(("_w1.weight", "_w2.weight"))
    )
    kind = "F32" if small or "first" in name else "Q8_0"
    return TensorSpec(name, shape, kind, tensor_bytes(kind, shape), "layer")
