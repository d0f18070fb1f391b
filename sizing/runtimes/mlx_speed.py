"""How fast mlx-lm is: its own weights and cache through the terms of `speed`, at MLX's costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.model import LatentAttention
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed import estimate_speed
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.mlx_settings import MlxSettings

__all__ = ["mlx_speed"]

_EMBEDDING: Final = "token_embd.weight"


def mlx_speed(
    model: ModelSpec,
    workload: Workload,
    placement: Placement,
    *,
    kv_type: str,
    context: MlxSettings,
    machine: Machine,
) -> Speed | None:
    """Return prompt and decode speed with their intervals; None where weights have no table."""
    if not any(tensor.name == _EMBEDDING for tensor in model.tensors):
        return None
    asked = Workload(
        context_tokens=context.context_tokens,
        micro_batch=context.step_tokens,
        batch=context.step_tokens,
        kv_type_k=kv_type,
        kv_type_v=None if _is_latent(model) else kv_type,
    )
    return estimate_speed(
        model,
        resolve_settings(model, asked),
        placement,
        prompt_tokens=workload.prompt_tokens,
        machine=machine,
        engine="mlx",
    )


def _is_latent(model: ModelSpec) -> bool:
    return any(isinstance(layer.attention, LatentAttention) for layer in model.layers)
