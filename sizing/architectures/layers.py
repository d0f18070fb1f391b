"""GGUF metadata → whole-model figures and one entry a layer: the one path for every source.

A catalog entry, a `config.json` and a GGUF header all come through here, so the same model gives
the same answer whichever way it was read.
"""

from __future__ import annotations

from whatfits.sizing.architectures.caches import NO_CACHE, attention_caches
from whatfits.sizing.architectures.compressed import COMPRESSED, compressed_layers
from whatfits.sizing.architectures.feed_forward import FeedForward, read_feed_forward
from whatfits.sizing.architectures.geometry import read_geometry
from whatfits.sizing.architectures.metadata import MAX_EXPERTS, MAX_LAYERS
from whatfits.sizing.architectures.states import (
    WITH_STATE,
    history_elements,
    recurrent_state,
)
from whatfits.sizing.architectures.unknown import UNKNOWN_INTERVAL, check_unknown, unknown_note
from whatfits.sizing.model import FullAttention, Hparams, LayerSpec, RecurrentState
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Final

    from whatfits.sizing.architectures.geometry import Geometry
    from whatfits.sizing.architectures.metadata import Metadata

__all__ = ["Layout", "hparams_and_layers"]

# Final logits go through one more activation unless the file says 0.
_SOFTCAPPED_BY_DEFAULT: Final = frozenset({"gemma2", "gemma3n", "gemma4", "muse-glimmer"})
_SOFTCAPPED_BY_KEY: Final = frozenset({"gemma3", "grok"})
_NEVER_CAUSAL: Final = frozenset({"gemma-embedding", "dream", "llada", "llada-moe", "rnd1"})
_WIDE_EMBEDDINGS: Final = frozenset({"deepseek4", "qwen4exp"})


class Layout(NamedTuple):
    """What the metadata says about memory.

    Attributes:
        hparams: whole-model figures.
        layers: one entry per loaded layer.
        notes: what a reader must know, one sentence each.
        cache_interval: relative error of the cache (0: exact).
    """

    hparams: Hparams
    layers: tuple[LayerSpec, ...]
    notes: tuple[str, ...]
    cache_interval: float


def hparams_and_layers(
    metadata: Metadata, *, n_vocab: int, tensor_names: Collection[str] | None = None
) -> Layout:
    """Return whole-model figures and the layers of a model.

    `tensor_names` (a set, for speed) tells dense layers from expert layers where metadata cannot.

    Raises:
        MalformedFileError: a value is missing, of the wrong kind, out of range, or contradicts
            another one.
        UnsupportedArchitectureError: nothing sound can be said about the cache.
    """
    guessed = check_unknown(metadata)
    geometry = read_geometry(metadata, tensor_names=tensor_names)
    feed_forward = read_feed_forward(metadata, geometry, tensor_names=tensor_names)
    layers = _layers(metadata, geometry, feed_forward)
    notes: list[str] = []
    interval = 0.0
    if guessed:
        notes.append(unknown_note(metadata.architecture))
        interval = UNKNOWN_INTERVAL
    hparams = _hparams(metadata, geometry, feed_forward, n_vocab=n_vocab)
    if hparams.n_layer_nextn:
        notes.append(
            f"{hparams.n_layer_nextn} next-token-prediction layer(s) in the file are loaded only "
            "to draft (--spec-type draft-mtp)."
        )
    return Layout(hparams, layers, tuple(notes), interval)


def _hparams(
    metadata: Metadata, geometry: Geometry, feed_forward: FeedForward, *, n_vocab: int
) -> Hparams:
    architecture = metadata.architecture
    width = metadata.optional("embedding_length_out") or geometry.n_embd
    if architecture in _WIDE_EMBEDDINGS:
        width = geometry.n_embd * metadata.integer("hyper_connection.count", high=MAX_EXPERTS)
    return Hparams(
        n_embd=geometry.n_embd,
        n_vocab=n_vocab,
        context_train_tokens=geometry.context_train_tokens,
        n_expert=geometry.n_expert,
        n_expert_used=geometry.n_expert_used,
        n_ff_exp=feed_forward.n_ff_exp,
        n_ff_shexp=feed_forward.n_ff_shexp,
        n_layer_nextn=geometry.n_layers_all - geometry.n_layers,
        causal=metadata.boolean("attention.causal", default=True)
        and architecture not in _NEVER_CAUSAL,
        gated=feed_forward.gated,
        logit_softcap=_softcapped(metadata),
        n_embd_out=width,
        kv_lora_rank=metadata.optional("attention.kv_lora_rank") or 0,
    )


def _softcapped(metadata: Metadata) -> bool:
    if metadata.architecture in _SOFTCAPPED_BY_DEFAULT:
        return metadata.number("final_logit_softcapping") != 0
    if metadata.architecture in _SOFTCAPPED_BY_KEY:
        return bool(metadata.number("final_logit_softcapping"))
    return False


def _layers(
    metadata: Metadata, geometry: Geometry, feed_forward: FeedForward
) -> tuple[LayerSpec, ...]:
    if metadata.architecture in COMPRESSED:
        return _compressed(metadata, geometry, feed_forward)
    caches, owned = attention_caches(metadata, geometry)
    states = _states(metadata, geometry)
    has_memory = metadata.architecture not in NO_CACHE and owned > 0
    layers: list[LayerSpec] = []
    for il in range(geometry.n_layers):
        reuses = has_memory and il >= owned
        attends = caches[il] is not None or reuses or metadata.architecture in NO_CACHE
        layers.append(
            LayerSpec(
                attention=caches[il],
                recurrent=states[il],
                n_head=geometry.heads[il] if attends else 0,
                n_head_kv=geometry.heads_kv[il] if attends else 0,
                key_length=geometry.key_lengths[il] if attends else 0,
                value_length=geometry.value_lengths[il] if attends else 0,
                n_ff=feed_forward.dense[il],
                n_expert=feed_forward.experts[il],
                reuses_cache=reuses,
                # the last layers with a cache are one with a window, then a full one
                cache_layer=owned - (2 if geometry.windows.layers[il] else 1) if reuses else None,
            )
        )
    return _with_extra_rows(metadata, geometry, layers)


def _compressed(
    metadata: Metadata, geometry: Geometry, feed_forward: FeedForward
) -> tuple[LayerSpec, ...]:
    return tuple(
        LayerSpec(
            attention=kept.window,
            recurrent=kept.state,
            n_head=geometry.heads[il],
            n_head_kv=geometry.heads_kv[il],
            key_length=geometry.key_lengths[il],
            value_length=geometry.value_lengths[il],
            n_ff=feed_forward.dense[il],
            n_expert=feed_forward.experts[il],
            compressed=kept.rows,
            own_streams=True,
        )
        for il, kept in enumerate(compressed_layers(metadata, geometry))
    )


def _states(metadata: Metadata, geometry: Geometry) -> tuple[RecurrentState | None, ...]:
    """Return the state of each loaded layer, None where there is none."""
    n = geometry.n_layers
    if metadata.architecture not in WITH_STATE or not any(geometry.recurrent):
        return (None,) * n
    state = recurrent_state(metadata, n_embd=geometry.n_embd, n_head=geometry.heads[0])
    states = [state if geometry.recurrent[il] else None for il in range(n)]
    with_history, elements = history_elements(metadata, n_embd=geometry.n_embd)
    for il in with_history:
        if il < n and states[il] is not None:
            states[il] = replace(state, shift_elements=state.shift_elements + elements)
    return tuple(states)


def _with_extra_rows(
    metadata: Metadata, geometry: Geometry, layers: list[LayerSpec]
) -> tuple[LayerSpec, ...]:
    """Return the layers with rows that no block of the file stands for.

    `nanbeige` runs its blocks several times, each time with a cache of its own; `graniteswitch`
    adds one attention head after the last block that picks the adapter.
    """
    if metadata.architecture == "nanbeige":
        loops = metadata.optional("num_loops", low=1, high=MAX_LAYERS) or 1
        return tuple(_widened(layer, times=loops) for layer in layers)
    if metadata.architecture == "graniteswitch" and layers:
        keys, values = geometry.key_lengths[-1], geometry.value_lengths[-1]
        layers[-1] = _widened(layers[-1], more_keys=keys, more_values=values)
    return tuple(layers)


def _widened(
    layer: LayerSpec, *, times: int = 1, more_keys: int = 0, more_values: int = 0
) -> LayerSpec:
    cache = layer.attention
    if not isinstance(cache, FullAttention):
        return layer
    wide = FullAttention(
        cache.key_width * times + more_keys, cache.value_width * times + more_values
    )
    return replace(layer, attention=wide)
