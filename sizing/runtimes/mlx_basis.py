"""Why each number of an answer for mlx-lm is what it is."""

from __future__ import annotations

from collections import Counter

from whatfits.sizing.basis.answer import free_basis
from whatfits.sizing.basis.speed import speed_basis
from whatfits.sizing.estimate import Basis
from whatfits.sizing.overhead import device_overhead
from whatfits.sizing.runtimes.mlx_memory import PROCESS
from whatfits.sizing.runtimes.mlx_speed import as_mlx_reads
from whatfits.sizing.runtimes.mlx_weights import stored_arrays
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.mlx_cache import LayerCache
    from whatfits.sizing.runtimes.mlx_memory import MlxBill
    from whatfits.sizing.runtimes.mlx_settings import MlxSettings

__all__ = ["mlx_basis"]

_MLX_LM: Final = "ml-explore/mlx-lm 0.32.2"


def mlx_basis(
    model: ModelSpec,
    bill: MlxBill,
    settings: MlxSettings,
    *,
    placement: Placement,
    machine: Machine,
    speed: Speed | None,
) -> tuple[Basis, ...]:
    """Return the reasons behind an answer, in the order of its fields."""
    reasons = [
        _weights(model, on_gpu=bool(placement.accelerators)),
        _cache(bill, settings),
        _compute(settings, on_gpu=bool(placement.accelerators)),
        _overhead(placement),
        free_basis(machine),
    ]
    if bill.growth_limit_bytes(settings):
        reasons.append(_growth(settings))
    devices = (*placement.accelerators, placement.host)
    read = as_mlx_reads(model).n_layers
    skipped = None
    if read < model.n_layers:
        skipped = f"the first {read} of {model.n_layers} layers, as the rest fill no cache"
    reasons += speed_basis(speed, devices, machine, "mlx", prompt_layers=skipped)
    return tuple(reasons)


def _weights(model: ModelSpec, *, on_gpu: bool) -> Basis:
    types = Counter[str]()
    if model.weights is None or model.weights.mid_bytes == model.tensor_bytes:
        for tensor in model.tensors:
            types[tensor.type] += tensor.n_bytes
    error = "exact" if model.weights is None else model.weights.reason
    if on_gpu:
        error += "; on a GPU up to 16 KiB more an array, which is a page"
    return Basis(
        key="memory.weights_bytes",
        formula="sum over matrices of packed bits + a scale (affine: and a bias) a group, the rest "
        "in 16 bits",
        inputs={
            "arrays": stored_arrays(model),
            "bytes_by_type": dict(types.most_common()),
            "parameters": model.parameters,
        },
        source=f"{model.origin or model.source}; {_MLX_LM} utils.py, models",
        error=error,
    )


def _cache(bill: MlxBill, settings: MlxSettings) -> Basis:
    kinds = Counter[str]()
    for cache, count in bill.kinds:
        kinds[_described(cache)] += count
    states = any(cache.state_low_bytes != cache.state_bytes for cache, _ in bill.kinds)
    return Basis(
        key="memory.kv_cache_bytes",
        formula="sum over layers of room in tokens x elements x bytes, + states, x sequences; room "
        "grows by 256 tokens",
        inputs={
            "layers": dict(kinds),
            "tokens": settings.context_tokens,
            "sequences": settings.sequences,
            "kv_bits": settings.kv_bits or 16,
            "kv_start_tokens": settings.kv_start_tokens if settings.kv_bits else None,
        },
        source=f"{_MLX_LM} models/cache.py",
        error="keys and values exact; recurrent states have 16 or 32 bits"
        if states
        else "exact; up to 255 tokens more where a later prompt starts at an odd length",
    )


def _described(cache: LayerCache) -> str:
    parts = []
    if cache.width:
        kept = "all tokens"
        if cache.window_tokens is not None:
            kept = f"a window of {cache.window_tokens:,} tokens"
        elif cache.chunk_tokens is not None:
            kept = f"a chunk of {cache.chunk_tokens:,} tokens"
        parts.append(f"{cache.width:,} elements a token, {kept}")
    if cache.state_bytes:
        parts.append(f"state of up to {cache.state_bytes:,} bytes")
    return ", ".join(parts) or "the cache of an earlier layer"


def _compute(settings: MlxSettings, *, on_gpu: bool) -> Basis:
    return Basis(
        key="memory.compute_bytes",
        formula="highest moment - caches at its end: activations of a prompt step, scores where no "
        "fused kernel takes the heads, decays of Mamba-2's chunks, a layer's cache while it is "
        "copied",
        inputs={
            "step_tokens": settings.step_tokens,
            "prompts_at_once": settings.prompts_at_once,
            "context_tokens": settings.context_tokens,
        },
        source="peaks of mlx-lm: "
        + (
            "86 of an Apple M3 Ultra, of three models and low trust; mlx scaled_dot_product_"
            "attention.cpp for the kernels"
            if on_gpu
            else "23 on a CPU, of two small models"
        ),
        error="an interval that holds all of them",
    )


def _overhead(placement: Placement) -> Basis:
    known = {device.id: device_overhead(device.kind) for device in placement.accelerators}
    known[placement.host.id] = PROCESS
    return Basis(
        key="memory.overhead_bytes",
        formula="driver + the program itself",
        inputs={
            name: {"low_bytes": o.low_bytes, "mid_bytes": o.mid_bytes, "high_bytes": o.high_bytes}
            for name, o in known.items()
        },
        source="; ".join(dict.fromkeys(o.source for o in known.values())),
        error="an interval: nothing of it was measured under MLX",
    )


def _growth(settings: MlxSettings) -> Basis:
    return Basis(
        key="memory.growth_limit_bytes",
        formula="caches of the ten last prompts, each as long as the context"
        if settings.prompt_cache_bytes is None
        else "as asked for",
        inputs={"context_tokens": settings.context_tokens},
        source=f"{_MLX_LM} server.py (--prompt-cache-size 10), models/cache.py (LRUPromptCache)",
        error="a limit, reached when ten different prompts of that length have been answered",
    )
