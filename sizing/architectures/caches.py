"""What each layer keeps of every token: keys and values, latent rows, indexer keys.

Source: llama.cpp (0c1e57098) src/llama-model.cpp create_memory, src/llama-kv-cache.cpp,
src/llama-kv-cache-{iswa,dsa,dsa-iswa,msa}.cpp, src/llama-memory-hybrid*.cpp and the
load_arch_hparams of src/models/*.cpp.
"""

from __future__ import annotations

from whatfits.sizing.architectures.metadata import MAX_LAYERS
from whatfits.sizing.architectures.states import RECURRENT, has_attention_and_state
from whatfits.sizing.model import FullAttention, LatentAttention, SlidingWindow
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.architectures.geometry import Geometry
    from whatfits.sizing.architectures.metadata import Metadata
    from whatfits.sizing.model import AttentionCache

__all__ = ["NO_CACHE", "attention_caches", "is_latent"]

# Encoders and diffusion models: no memory object at all.
NO_CACHE: Final = frozenset(
    {
        "bert",
        "dream",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llada",
        "llada-moe",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "rnd1",
        "wavtokenizer-dec",
    }
)
# A draft that reads the cache of the model it drafts for.
_BORROWS_CACHE: Final = frozenset({"gemma4-assistant"})
# One latent row a token when the file gives the decompressed head lengths.
_LATENT: Final = frozenset(
    {
        "bailingmoe3",
        "deepseek2",
        "deepseek32",
        "dots3note",
        "glm-dsa",
        "glm5-next",
        "hy_v4",
        "kimi-k3",
        "kimi-linear",
        "mistral4",
    }
)
_INDEXER_IN_EVERY_LAYER: Final = frozenset({"deepseek32", "qwen4exp"})
_INDEXER_IN_FULL_LAYERS: Final = frozenset({"dots3note", "glm-dsa", "glm5-next", "hy_v4"})
_INDEXER_AFTER_DENSE_LAYERS: Final = frozenset({"minimax-m3"})
# Blocks beyond the loaded ones still get a cache: the filter of these does not leave them out.
_CACHE_FOR_PREDICTING_BLOCKS: Final = frozenset(
    {"bailingmoe3", "hy_v4", "minimax-m3", "nemotron_h", "nemotron_h_moe"}
)
# GLM 5.2 files older than the key: layers 0, 1, 2 and then every fourth; earlier GLM 5: all.
_GLM_SHARED_INDEXER_CONTEXT: Final = 2**20
_GLM_INDEXER_LAYERS: Final = 78
_GEMMA3N_CACHE_LAYERS: Final = 20


def is_latent(metadata: Metadata) -> bool:
    """Return whether the model keeps one latent row a token instead of keys and values."""
    return (
        metadata.architecture in _LATENT
        and bool(metadata.optional("attention.key_length_mla"))
        and bool(metadata.optional("attention.value_length_mla"))
    )


def _cached_layers(metadata: Metadata, geometry: Geometry) -> int:
    """Return how many layers from the front own a cache; the rest read an earlier layer's.

    Raises:
        MalformedFileError: more layers share than there are.
    """
    if metadata.architecture == "gemma3n":
        return _GEMMA3N_CACHE_LAYERS
    if metadata.architecture == "gemma4":
        key = "attention.shared_kv_layers"
        shared = metadata.optional(key, high=MAX_LAYERS) or 0
        if shared > geometry.n_layers_all:
            reason = f"got {shared:,}"
            raise metadata.error(key, reason, allowed=f"up to {geometry.n_layers_all:,}")
        return geometry.n_layers_all - shared
    return geometry.n_layers_all


def _has_indexer(metadata: Metadata, geometry: Geometry) -> tuple[bool, ...]:
    """Return one flag a layer: it keeps a row of indexer keys beside its cache."""
    n = geometry.n_layers_all
    architecture = metadata.architecture
    if architecture in _INDEXER_IN_EVERY_LAYER:
        return (True,) * n
    if architecture in _INDEXER_AFTER_DENSE_LAYERS:
        dense = metadata.optional("leading_dense_block_count", high=MAX_LAYERS) or 0
        return tuple(layer >= dense for layer in range(n))
    if architecture not in _INDEXER_IN_FULL_LAYERS:
        return (False,) * n
    if architecture == "hy_v4" and not metadata.optional("attention.indexer.top_k"):
        return (False,) * n
    key = "attention.indexer.types"
    if architecture == "dots3note" or metadata.is_list(key):
        flags = metadata.flags(key, n)
        if flags is None:
            raise metadata.error(key, "missing", allowed="a list, one flag a layer")
        return flags
    if architecture == "glm-dsa":
        if (geometry.context_train_tokens or 0) < _GLM_SHARED_INDEXER_CONTEXT:
            return (True,) * n
        last = _GLM_INDEXER_LAYERS
        return tuple(il < last and (il < 2 or (il - 2) % 4 == 0) for il in range(n))  # noqa: PLR2004
    return (architecture == "glm5-next",) * n


def attention_caches(
    metadata: Metadata, geometry: Geometry
) -> tuple[tuple[AttentionCache | None, ...], int]:
    """Return (cache of each loaded layer, layers from the front that own theirs).

    What blocks beyond the loaded ones keep is added to the last layer that keeps the same kind.

    Raises:
        MalformedFileError: a value is missing, of the wrong kind or out of range.
    """
    if metadata.architecture in NO_CACHE | _BORROWS_CACHE:
        return (None,) * geometry.n_layers, 0
    owned = _cached_layers(metadata, geometry)
    latent = is_latent(metadata)
    indexers = _has_indexer(metadata, geometry)
    index_key = metadata.integer("attention.indexer.key_length") if any(indexers) else 0
    pooled = 3 if metadata.optional("attention.indexer.kpool") else 1
    caches: list[AttentionCache | None] = []
    for layer in range(geometry.n_layers_all):
        if layer >= owned or not _attends(metadata, geometry, layer):
            caches.append(None)
            continue
        extra = index_key * pooled if indexers[layer] else 0
        caches.append(_cache(metadata, geometry, layer, extra=extra, latent=latent))
    return _folded(metadata, geometry, caches), owned


def _attends(metadata: Metadata, geometry: Geometry, layer: int) -> bool:
    architecture = metadata.architecture
    if architecture in RECURRENT:
        return False
    if has_attention_and_state(architecture):
        return True
    if architecture in ("nemotron_h", "nemotron_h_moe") and geometry.feed_forward[layer]:
        return False
    return not geometry.recurrent[layer]


def _cache(
    metadata: Metadata, geometry: Geometry, layer: int, *, extra: int, latent: bool
) -> AttentionCache:
    heads = geometry.heads_kv[layer]
    keys = heads * geometry.key_lengths[layer] + extra
    values = heads * geometry.value_lengths[layer]
    window = geometry.windows.tokens if geometry.windows.layers[layer] else None
    if window is not None:
        return SlidingWindow(keys, 0 if latent else values, window)
    if latent:
        return LatentAttention(keys, extra)
    if metadata.architecture in _INDEXER_AFTER_DENSE_LAYERS and extra:
        values += geometry.value_lengths[layer]  # this indexer keeps a value beside its key
    return FullAttention(keys, values)


def _folded(
    metadata: Metadata, geometry: Geometry, caches: list[AttentionCache | None]
) -> tuple[AttentionCache | None, ...]:
    loaded = caches[: geometry.n_layers]
    if metadata.architecture not in _CACHE_FOR_PREDICTING_BLOCKS:
        return tuple(loaded)
    for cache in caches[geometry.n_layers :]:
        for layer in reversed(range(len(loaded))):
            merged = _sum(loaded[layer], cache)
            if merged is not None:
                loaded[layer] = merged
                break
    return tuple(loaded)


def _sum(one: AttentionCache | None, other: AttentionCache | None) -> AttentionCache | None:
    match one, other:
        case FullAttention(), FullAttention():
            return FullAttention(
                one.key_width + other.key_width, one.value_width + other.value_width
            )
        case LatentAttention(), LatentAttention():
            return LatentAttention(
                one.key_width + other.key_width, one.index_width + other.index_width
            )
        case _:
            return None
