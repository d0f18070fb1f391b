"""How fast mlx-lm writes: its own weights and cache through the roofline of `speed`.

Source: see `speed`; under MLX an Apple M3 Ultra takes 0.08 to 0.25 ms a layer beside what memory
bandwidth allows, which is the range assumed there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.model import LatentAttention
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed import estimate_speed
from whatfits.sizing.weights import HostWeights, Weights
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.model import ModelSpec, TensorSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.mlx_settings import MlxSettings

__all__ = ["mlx_speed"]

_EXPERTS: Final = "_exps."
_LOOKED_UP: Final = ("token_embd.weight", "per_layer_token_embd.weight")
_OUTPUT: Final = "output.weight"


def mlx_speed(
    model: ModelSpec,
    workload: Workload,
    placement: Placement,
    *,
    kv_type: str,
    context: MlxSettings,
) -> Speed | None:
    """Return prompt and decode speed with their intervals; None where weights have no table."""
    if not any(tensor.name == _LOOKED_UP[0] for tensor in model.tensors):
        return None
    asked = Workload(
        context_tokens=context.context_tokens,
        kv_type_k=kv_type,
        kv_type_v=None if _is_latent(model) else kv_type,
    )
    settings = resolve_settings(model, asked)
    read = _read_bytes(model)
    devices = len(placement.accelerators)
    weights = Weights(
        devices=[read] * devices,
        host=HostWeights(),
        mapped_bytes=0,
        streamed_bytes=0,
        read_devices=[read] * devices,
        read_host=0 if devices else read,
    )
    return estimate_speed(
        model,
        settings,
        placement,
        weights,
        prompt_tokens=workload.prompt_tokens,
    )


def _is_latent(model: ModelSpec) -> bool:
    return any(isinstance(layer.attention, LatentAttention) for layer in model.layers)


def _read_bytes(model: ModelSpec) -> int:
    """Return the weights read for one token: of experts their share, of tables a row."""
    tied = not any(tensor.name == _OUTPUT for tensor in model.tensors)
    return sum(_share(tensor, model, tied=tied) for tensor in model.tensors)


def _share(tensor: TensorSpec, model: ModelSpec, *, tied: bool) -> int:
    if tensor.name in _LOOKED_UP and not (tied and tensor.name == _LOOKED_UP[0]):
        return 0
    hparams = model.hparams
    if _EXPERTS in tensor.name and hparams.n_expert:
        return tensor.n_bytes * hparams.n_expert_used // hparams.n_expert
    return tensor.n_bytes
