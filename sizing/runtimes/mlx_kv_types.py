"""Cache types under mlx-lm: what `--kv-bits` can quantise, and what it cannot.

Source: ml-explore/mlx-lm 0.32.2 mlx_lm/models/cache.py (to_quantized), mlx_lm/models/base.py
(quantized_scaled_dot_product_attention), mlx_lm/generate.py (maybe_quantize_kv_cache).
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import LatentAttention, SlidingWindow
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.mlx_models import MlxModel
    from whatfits.sizing.workload import Workload

__all__ = ["KV_GROUP", "cache_bits"]

KV_GROUP: Final = 64
_KV_BITS: Final = {"f16": None, "bf16": None, "q8_0": 8, "q4_0": 4}
_BITS_SAID: Final = "q8_0 becomes --kv-bits 8, q4_0 --kv-bits 4"


def cache_bits(model: ModelSpec, rules: MlxModel, workload: Workload) -> int | None:
    """Return the bits that the cache is asked to have, None for 16.

    Raises:
        InvalidRequestError: MLX has no such type, or not for this model's cache.
    """
    names = {workload.kv_type_k, workload.kv_type_v} - {None}
    wanted = {name.lower() for name in names if name is not None}
    unknown = sorted(wanted - set(_KV_BITS))
    if unknown:
        raise InvalidRequestError(
            what="cache type", got=unknown[0], allowed=", ".join(_KV_BITS), next_step=_BITS_SAID
        )
    bits = {_KV_BITS[name] for name in wanted}
    if len(bits) > 1 or (bits - {None} and None in (workload.kv_type_k, workload.kv_type_v)):
        raise InvalidRequestError(
            what="cache types",
            got=f"{workload.kv_type_k or 'f16'} and {workload.kv_type_v or 'f16'}",
            allowed="the same for keys and values",
        )
    found = bits.pop() if bits else None
    if found is not None:
        reason = _not_quantised(model, rules)
        if reason is not None:
            raise InvalidRequestError(
                what="cache type",
                got=workload.kv_type_k,
                allowed=f"f16: {reason}",
                next_step="leave it out",
            )
    return found


def _not_quantised(model: ModelSpec, rules: MlxModel) -> str | None:
    """Return why this model's cache cannot be quantised; None when it can."""
    caches = [layer.attention for layer in model.layers if layer.attention is not None]
    if not caches:
        return f"{model.name} keeps no keys and values"
    if rules.rotating and any(isinstance(cache, SlidingWindow) for cache in caches):
        return "mlx-lm raises NotImplementedError for --kv-bits with sliding-window caches"
    if not rules.plain_cache:
        return f"mlx-lm does not quantise the kind of cache that {model.name} has"
    if rules.own_attention:
        return f"mlx-lm's attention for {model.name} cannot read a quantised cache"
    if any(isinstance(cache, LatentAttention) for cache in caches):
        return "mlx-lm's latent attention cannot read a quantised cache"
    lengths = {
        length
        for layer in model.layers
        if layer.attention is not None
        for length in (layer.key_length, layer.value_length)
    }
    odd = sorted(length for length in lengths if length % KV_GROUP)
    if odd:
        return f"heads of {odd[0]} elements are no multiple of the group of {KV_GROUP}"
    return None
