"""Why each number of a vLLM answer is what it is, and what vLLM will print when it starts."""

from __future__ import annotations

from collections import Counter

from whatfits.sizing.estimate import Basis
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.model import ByteRange, ModelSpec
    from whatfits.sizing.runtimes.vllm_bill import Bill, DeviceBill
    from whatfits.sizing.runtimes.vllm_kv_plan import CacheGroup
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings

__all__ = ["cache_lines", "vllm_basis"]

_VLLM: Final = "vllm-project/vllm 0.33.0"


def cache_lines(bill: Bill) -> tuple[str, ...]:
    """Return the two lines about the cache that vLLM prints, with the interval of the first."""
    cached = [one.cache for one in bill.devices if one.cache.groups]
    tokens = bill.request_tokens
    low, mid, high = (
        min(cache.cache_tokens(n, request_tokens=tokens) for cache in cached) for n in bill.n_blocks
    )
    times = min(cache.concurrency(bill.n_blocks[1], request_tokens=tokens) for cache in cached)
    between = f"{format_tokens(low)} to {format_tokens(high)}"
    return (
        f"GPU KV cache size: {format_tokens(mid)} tokens ({between})",
        f"Maximum concurrency for {format_tokens(tokens)} tokens per request: {times:.2f}x",
    )


def vllm_basis(model: ModelSpec, settings: VllmSettings, bill: Bill) -> tuple[Basis, ...]:
    """Return the reasons behind an answer, in the order of its fields."""
    return tuple(_reasons(model, settings, bill))


def _reasons(model: ModelSpec, settings: VllmSettings, bill: Bill) -> Iterator[Basis]:
    one = bill.devices[0]
    yield _weights(model, settings, bill)
    yield _pool(settings, bill)
    yield _blocks(settings, bill)
    yield Basis(
        key="memory.compute_bytes",
        formula="the larger of batch x (c1 x width + c2 x inner width / ranks) x 2 and of batch x "
        "width x 2 + what experts keep + sequences x vocabulary x 4 x copies",
        inputs={
            "batch_tokens": settings.batch_tokens,
            "sequences": settings.sequences,
            "vocabulary": model.hparams.n_vocab,
            "ranks": settings.cut.ranks,
            **_bounds(one.activation),
        },
        source=f"{_VLLM} vllm/v1/worker/gpu_model_runner.py:profile_run; public start-up logs",
        error=one.activation.reason,
    )
    yield Basis(
        key="memory.overhead_bytes",
        formula="libraries outside torch + captured graphs + the driver's context",
        inputs={
            "libraries": _bounds(one.rest),
            "graphs": _bounds(one.graphs),
            "context": _bounds(one.context),
        },
        source=f"{_VLLM} vllm/v1/worker/gpu_worker.py; public start-up logs",
        error="; ".join(part.reason for part in (one.rest, one.graphs, one.context)),
    )
    yield _free(bill)


def _bounds(part: ByteRange) -> dict[str, int]:
    return {
        "low_bytes": part.low_bytes,
        "mid_bytes": part.mid_bytes,
        "high_bytes": part.high_bytes,
    }


def _weights(model: ModelSpec, settings: VllmSettings, bill: Bill) -> Basis:
    types = Counter[str]()
    for tensor in model.tensors:
        types[tensor.type] += tensor.n_bytes
    return Basis(
        key="memory.weights_bytes",
        formula="sum over tensors of stored bytes / ranks; copied: norms, routers, latent "
        "down-projections, key/value heads beyond one a rank; embeddings padded to 64 rows; the "
        "table of rotary factors",
        inputs={
            "file_type": model.file_type,
            "bytes_by_type": dict(types.most_common()),
            "ranks": settings.cut.ranks,
            "stages": settings.cut.stages,
            "devices": {one.device.id: _bounds(one.weights) for one in bill.devices},
        },
        source=f"{model.origin or model.source}; {_VLLM} vllm/model_executor/layers",
        error=bill.devices[0].weights.reason,
    )


def _pool(settings: VllmSettings, bill: Bill) -> Basis:
    one = bill.devices[0]
    return Basis(
        key="memory.kv_cache_bytes",
        formula="blocks x bytes a block; blocks = (ceil(total x utilisation) - weights - peak "
        "activation - libraries - graphs) / bytes a block, the smallest of all devices",
        inputs={
            "total_bytes": one.pool.total_bytes,
            "gpu_memory_utilization": bill.utilisation_permille / 1000,
            "block_bytes": one.cache.block_bytes,
            "blocks": dict(zip(("low", "mid", "high"), bill.n_blocks, strict=True)),
            "kv_cache_dtype": settings.cache_type,
        },
        source=f"{_VLLM} vllm/v1/worker/gpu_worker.py:determine_available_memory, "
        "vllm/v1/core/kv_cache_utils.py",
        error="the blocks are exact for a pool; the pool has the interval of what is subtracted",
    )


def _blocks(settings: VllmSettings, bill: Bill) -> Basis:
    """Return how the longest request and the concurrency come about."""
    one = next((device for device in bill.devices if device.cache.groups), bill.devices[0])
    blocks = one.cache.group_blocks(bill.request_tokens)
    return Basis(
        key="largest_context_tokens",
        formula="the most tokens whose blocks, summed over groups, are at most blocks - 1; "
        "concurrency = blocks / blocks a request, cache size = concurrency x longest request",
        inputs={
            "groups": [
                _group_text(group, n) for group, n in zip(one.cache.groups, blocks, strict=True)
            ],
            "request_tokens": bill.request_tokens,
            "in_flight_tokens": settings.in_flight_tokens,
        },
        source=f"{_VLLM} vllm/v1/core/kv_cache_planning.py, kv_cache_interface.py",
        error="none against runs of vLLM's own planner; the pool has an interval",
    )


def _group_text(group: CacheGroup, blocks: int) -> str:
    spec = group.spec
    return (
        f"{len(group.layers)} x {spec.kind}: {spec.block_tokens:,} tokens and "
        f"{spec.page_bytes:,} bytes a page, {blocks:,} blocks a request"
    )


def _free(bill: Bill) -> Basis:
    return Basis(
        key="memory.devices.free_bytes",
        formula="utilisation = min(0.92, (free - context - what graphs may take beyond the "
        "estimate) / total), rounded down to thousandths; all devices have the lowest",
        inputs={one.device.id: _pool_inputs(one) for one in bill.devices},
        source=f"{_VLLM} vllm/v1/worker/utils.py:request_memory",
        error="vLLM refuses to start when less is free than it was told to use",
    )


def _pool_inputs(one: DeviceBill) -> dict[str, int | None]:
    pool = one.pool
    return {
        "total_bytes": pool.total_bytes,
        "limit_bytes": pool.limit_bytes,
        "used_bytes": pool.used_bytes,
        "reserve_bytes": pool.reserve_bytes,
    }
