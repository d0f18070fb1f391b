"""How fast mlx-lm is: its own weights and cache through the terms of `speed`, at MLX's costs."""

from __future__ import annotations

from whatfits.sizing.model import FullAttention, LatentAttention, SlidingWindow
from whatfits.sizing.runtimes.mlx_models import mlx_model
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed import estimate_speed
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.mlx_settings import MlxSettings

__all__ = ["as_mlx_attends", "as_mlx_reads", "mlx_speed"]

_EMBEDDING: Final = "token_embd.weight"


def mlx_speed(
    model: ModelSpec,
    workload: Workload,
    placement: Placement,
    *,
    settings: MlxSettings,
    machine: Machine,
) -> Speed | None:
    """Return prompt and decode speed with their intervals; None where weights have no table."""
    if not any(tensor.name == _EMBEDDING for tensor in model.tensors):
        return None
    model = as_mlx_attends(model)
    asked = Workload(
        context_tokens=settings.context_tokens,
        micro_batch=settings.step_tokens,
        batch=settings.step_tokens,
        kv_type_k=settings.kv_type,
        kv_type_v=None if _is_latent(model) else settings.kv_type,
    )
    return estimate_speed(
        model,
        resolve_settings(model, asked),
        placement,
        prompt_tokens=workload.prompt_tokens,
        machine=machine,
        engine="mlx",
        prompt_model=as_mlx_reads(model),
    )


def as_mlx_reads(model: ModelSpec) -> ModelSpec:
    """Return the part of a model that a prompt goes through: up to the last layer with a cache.

    mlx-lm computes what it asks for and nothing else, and of a prompt it asks for the caches. The
    layers of Gemma 3n and the small Gemma 4 that reuse an earlier one's wait for the last token.
    Source: mlx_lm/generate.py (generate_step: `mx.eval` of the caches' states).
    """
    kept = [index for index, layer in enumerate(model.layers) if _keeps(layer)]
    end = kept[-1] + 1 if kept else model.n_layers
    if end == model.n_layers:
        return model
    tensors = tuple(t for t in model.tensors if t.layer is None or t.layer < end)
    return replace(model, layers=model.layers[:end], tensors=tensors)


def _keeps(layer: LayerSpec) -> bool:
    return layer.attention is not None or layer.recurrent is not None or bool(layer.compressed)


def as_mlx_attends(model: ModelSpec) -> ModelSpec:
    """Return the model with window layers that attend to everything where mlx-lm keeps it all.

    The rest is masked, and read and multiplied all the same.
    """
    rules = mlx_model(model.architecture, name=model.name)
    if rules.rotating or rules.chunked:
        return model
    return replace(model, layers=tuple(_unwindowed(layer) for layer in model.layers))


def _unwindowed(layer: LayerSpec) -> LayerSpec:
    cache = layer.attention
    if not isinstance(cache, SlidingWindow):
        return layer
    return replace(layer, attention=FullAttention(cache.key_width, cache.value_width))


def _is_latent(model: ModelSpec) -> bool:
    return any(isinstance(layer.attention, LatentAttention) for layer in model.layers)
