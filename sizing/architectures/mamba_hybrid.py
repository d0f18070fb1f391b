"""State-space layers and attention: Granite 4 H, Nemotron H and 3, Falcon H1, Jamba.

Source: llama.cpp (0c1e57098) src/models/{granite-hybrid,nemotron-h,falcon-h1,jamba}.cpp;
conversion/{granite,nemotron,falcon_h1,jamba}.py.
"""

from __future__ import annotations

from whatfits.sizing.architectures import blocks
from whatfits.sizing.architectures.convert import NEUTRAL_EPSILON, base_metadata
from whatfits.sizing.architectures.family import Architecture
from whatfits.sizing.architectures.granite import granite_metadata
from whatfits.sizing.architectures.ssm import mamba1, mamba2, read_state_space
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.architectures.config import Config
    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape

__all__ = ["ARCHITECTURES"]

_LONGEST: Final = 2**20  # written for models without positions
_KERNEL: Final = 4


def _granite_metadata(config: Config) -> dict[str, object]:
    kinds = config.layer_kinds(config.n_layers)
    if kinds is None:
        raise config.error("layer_types", "missing", allowed="a list, one kind a layer")
    heads_kv = config.positive("num_key_value_heads")
    metadata = granite_metadata(config)
    metadata |= {
        "context_length": _LONGEST,
        "ssm.conv_kernel": config.positive("mamba_d_conv"),
        "ssm.state_size": config.positive("mamba_d_state"),
        "ssm.group_count": config.positive("mamba_n_groups"),
        "ssm.inner_size": config.positive("mamba_expand") * config.positive("hidden_size"),
        "ssm.time_step_rank": config.positive("mamba_n_heads"),
        "attention.head_count_kv": tuple(heads_kv if kind == "attention" else 0 for kind in kinds),
    }
    if not config.optional("num_local_experts"):
        metadata["feed_forward_length"] = config.positive(
            "shared_intermediate_size", "intermediate_size"
        )
    return metadata


def _granite_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, n_expert = blueprint.n_embd, blueprint.geometry.n_expert
    sizes = read_state_space(blueprint.metadata)
    shared = blueprint.metadata.optional("expert_shared_feed_forward_length")
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=blueprint.config.tied(default=True))
    for layer in blueprint.layers:
        prefix, n_ff = f"blk.{layer}.", blueprint.n_ff(layer)
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        if blueprint.geometry.recurrent[layer]:
            yield from mamba2(prefix, sizes)
        else:
            yield from blocks.attention(prefix, blueprint.widths(layer))
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        if not n_expert:
            yield from blocks.dense(prefix, n_embd=n_embd, n_ff=n_ff)
            continue
        yield from blocks.experts(prefix, n_embd=n_embd, n_ff=n_ff, n_expert=n_expert)
        if shared:
            yield from blocks.shared_experts(prefix, n_embd=n_embd, n_ff=shared)


_NEMOTRON_KINDS: Final = {"M": "state", "*": "attention", "-": "mlp", "E": "mlp"}
_NEMOTRON_NAMES: Final = {
    "linear_attention": "state",
    "mamba": "state",
    "full_attention": "attention",
    "attention": "attention",
    "mlp": "mlp",
    "moe": "mlp",
}


def _nemotron_kinds(config: Config) -> tuple[str, ...]:
    """Return what each layer is: `state`, `attention` or `mlp`."""
    pattern = config.text("hybrid_override_pattern")
    listed = config.items("layers_block_type") or config.items("layer_types")
    table = _NEMOTRON_KINDS if pattern else _NEMOTRON_NAMES
    given = tuple(pattern) if pattern else tuple(str(kind) for kind in listed or ())
    unknown = sorted({kind for kind in given if kind not in table})
    if unknown or len(given) < config.n_layers:
        reason = f"got {', '.join(unknown)}" if unknown else f"{len(given):,} layers"
        raise config.error("hybrid_override_pattern", reason, allowed="M, *, - or E for each layer")
    return tuple(table[kind] for kind in given[: config.n_layers])


def _nemotron_metadata(config: Config) -> dict[str, object]:
    kinds = _nemotron_kinds(config)
    heads_kv = config.positive("num_key_value_heads")
    routed = config.optional("n_routed_experts")
    width = config.positive("moe_intermediate_size" if routed else "intermediate_size")
    heads = config.positive("mamba_num_heads")
    predicting = (config.optional("num_nextn_predict_layers") or 0) if routed else 0
    # The predicting block holds attention and experts at once.
    listed_kv = tuple(heads_kv if kind == "attention" else 0 for kind in kinds)
    listed_ff = tuple(width if kind == "mlp" else 0 for kind in kinds)
    metadata = {
        **base_metadata(config),
        "attention.layer_norm_epsilon": config.number("norm_eps") or NEUTRAL_EPSILON,
        "block_count": config.n_layers + predicting,
        "context_length": _LONGEST,
        "vocab_size": pad(config.n_vocab, 8),
        "attention.head_count_kv": listed_kv + (heads_kv,) * predicting,
        "feed_forward_length": listed_ff + (width,) * predicting,
        "ssm.conv_kernel": config.optional("conv_kernel") or _KERNEL,
        "ssm.state_size": config.positive("ssm_state_size"),
        "ssm.group_count": config.positive("n_groups"),
        "ssm.inner_size": heads * config.positive("mamba_head_dim"),
        "ssm.time_step_rank": heads,
    }
    if routed:
        metadata |= {
            "expert_feed_forward_length": width,
            "expert_shared_feed_forward_length": config.positive(
                "moe_shared_expert_intermediate_size"
            ),
            "expert_shared_count": config.optional("n_shared_experts") or 1,
        }
        latent = config.optional("moe_latent_size")
        if latent:
            metadata["moe_latent_size"] = latent
        if predicting:
            metadata["nextn_predict_layers"] = predicting
    return metadata


def _nemotron_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, geometry = blueprint.n_embd, blueprint.geometry
    sizes = read_state_space(blueprint.metadata)
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=blueprint.config.tied())
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        if geometry.recurrent[layer]:
            yield from mamba2(
                prefix, sizes, bias=blueprint.config.flag("use_conv_bias", default=True)
            )
            continue
        if geometry.feed_forward[layer] == 0 or blueprint.predicts(layer):
            yield from blocks.attention(prefix, blueprint.widths(layer))
        if blueprint.predicts(layer):
            yield blocks.f32(f"{prefix}post_attention_norm", n_embd)
            yield from blocks.predictor(prefix, n_embd=n_embd)
        if geometry.feed_forward[layer]:
            yield from _nemotron_feed_forward(blueprint, prefix, layer)


def _nemotron_feed_forward(blueprint: Blueprint, prefix: str, layer: int) -> Iterator[TensorShape]:
    """Yield the feed-forward part, without gates; experts may work in a narrower space."""
    metadata, n_embd = blueprint.metadata, blueprint.n_embd
    n_expert = blueprint.geometry.n_expert
    if not n_expert:
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer), gated=False)
        return
    n_ff = metadata.integer("expert_feed_forward_length")
    shared = metadata.integer("expert_shared_feed_forward_length")
    latent = metadata.optional("moe_latent_size")
    yield blocks.f32(f"{prefix}ffn_gate_inp", n_embd, n_expert)
    yield blocks.vector(f"{prefix}exp_probs_b", n_expert)
    if latent:
        yield blocks.matrix(f"{prefix}ffn_latent_down", n_embd, latent)
        yield blocks.matrix(f"{prefix}ffn_latent_up", latent, n_embd)
    yield blocks.matrix(f"{prefix}ffn_up_exps", latent or n_embd, n_ff, n_expert)
    yield blocks.matrix(f"{prefix}ffn_down_exps", n_ff, latent or n_embd, n_expert)
    yield blocks.matrix(f"{prefix}ffn_up_shexp", n_embd, shared)
    yield blocks.matrix(f"{prefix}ffn_down_shexp", shared, n_embd)


def _falcon_h1_metadata(config: Config) -> dict[str, object]:
    inner = config.optional("mamba_d_ssm") or 2 * config.positive("hidden_size")
    return {
        **base_metadata(config),
        "vocab_size": config.n_vocab,
        "ssm.conv_kernel": config.optional("mamba_d_conv") or _KERNEL,
        "ssm.inner_size": inner,
        "ssm.state_size": config.positive("mamba_d_state"),
        "ssm.group_count": config.optional("mamba_n_groups") or 1,
        "ssm.time_step_rank": inner // (config.optional("mamba_d_head") or 64),
    }


def _falcon_h1_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, config = blueprint.n_embd, blueprint.config
    sizes = read_state_space(blueprint.metadata)
    norm = config.flag("mamba_rms_norm")
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=config.tied())
    for layer in blueprint.layers:
        prefix = f"blk.{layer}."
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        yield from mamba2(prefix, sizes, norm=norm)
        yield from blocks.attention(prefix, blueprint.widths(layer))
        yield blocks.bare(f"{prefix}ffn_norm", n_embd)  # without an ending in these files
        yield from blocks.dense(prefix, n_embd=n_embd, n_ff=blueprint.n_ff(layer))


def _every(config: Config, what: str, layer: int) -> bool:
    period = config.positive(f"{what}_layer_period")
    return layer % period == (config.optional(f"{what}_layer_offset") or 0)


def _jamba_metadata(config: Config) -> dict[str, object]:
    heads_kv, width = config.positive("num_key_value_heads"), config.positive("hidden_size")
    metadata = base_metadata(config)
    for key in ("attention.key_length", "attention.value_length"):
        metadata.pop(key, None)
    return {
        **metadata,
        "attention.head_count_kv": tuple(
            heads_kv if _every(config, "attn", layer) else 0 for layer in range(config.n_layers)
        ),
        "ssm.conv_kernel": config.optional("mamba_d_conv") or _KERNEL,
        "ssm.inner_size": (config.optional("mamba_expand") or 2) * width,
        "ssm.state_size": config.optional("mamba_d_state") or 16,
        "ssm.time_step_rank": config.optional("mamba_dt_rank") or -(-width // 16),
    }


def _jamba_tensors(blueprint: Blueprint) -> Iterator[TensorShape]:
    n_embd, config = blueprint.n_embd, blueprint.config
    sizes = read_state_space(blueprint.metadata)
    yield from blocks.ends(n_embd, blueprint.n_vocab, tied=config.tied())
    for layer in blueprint.layers:
        prefix, n_ff = f"blk.{layer}.", blueprint.n_ff(layer)
        yield blocks.f32(f"{prefix}attn_norm", n_embd)
        if blueprint.geometry.recurrent[layer]:
            yield from mamba1(prefix, sizes, norms=True)
        else:
            yield from blocks.attention(prefix, blueprint.widths(layer))
        yield blocks.f32(f"{prefix}ffn_norm", n_embd)
        if _every(config, "expert", layer):
            n_expert = blueprint.geometry.n_expert
            yield from blocks.experts(prefix, n_embd=n_embd, n_ff=n_ff, n_expert=n_expert)
        else:
            yield from blocks.dense(prefix, n_embd=n_embd, n_ff=n_ff)


ARCHITECTURES: Final = (
    Architecture("granitehybrid", _granite_metadata, _granite_tensors),
    Architecture("nemotron_h", _nemotron_metadata, _nemotron_tensors),
    Architecture("nemotron_h_moe", _nemotron_metadata, _nemotron_tensors),
    Architecture("falcon-h1", _falcon_h1_metadata, _falcon_h1_tensors),
    Architecture("jamba", _jamba_metadata, _jamba_tensors),
)
