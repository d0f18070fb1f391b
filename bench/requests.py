"""Settings of llama.cpp's C API as a request to this engine, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatfits.bench.run_settings import RunSettings
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings

__all__ = ["placement_request", "run_settings", "workload"]


def workload(settings: RunSettings) -> Workload:
    """Return the workload of a run through the C API."""
    flash: Any = settings.flash_attention
    return Workload(
        program="api",
        context_tokens=settings.context_tokens,
        parallel=settings.parallel,
        kv_type_k=settings.kv_type_k,
        kv_type_v=settings.kv_type_v,
        batch=settings.batch,
        micro_batch=settings.micro_batch,
        flash_attention=flash,
        kv_unified=settings.kv_unified,
        swa_full=settings.swa_full,
        outputs_max=settings.outputs_max,
    )


def placement_request(
    settings: RunSettings, *, devices: tuple[str, ...] | None = None
) -> PlacementRequest:
    """Return the placement of a run; `devices` are those it may use, None for all."""
    mode: Any = settings.split_mode
    return PlacementRequest(
        gpu_layers=settings.gpu_layers,
        tensor_split=settings.tensor_split or None,
        overrides=tuple((pattern, "CPU") for pattern in settings.host_overrides),
        kv_offload=settings.kv_offload,
        op_offload=settings.op_offload,
        split_mode=mode,
        devices=devices,
        mmap=settings.mmap,
        repack="auto" if settings.repack else "off",
    )


def run_settings(
    wanted: Workload, resolved: Settings, placement: Placement, *, mmap: bool
) -> RunSettings:
    """Return how llama.cpp has to be called to run as this engine resolved a request."""
    return RunSettings(
        context_tokens=resolved.requested_context_tokens,
        parallel=resolved.sequences,
        batch=resolved.batch_tokens,
        micro_batch=resolved.micro_batch_tokens,
        kv_type_k=resolved.kv_type_k.lower(),
        kv_type_v=resolved.kv_type_v.lower(),
        flash_attention=wanted.flash_attention,
        kv_unified=resolved.streams == 1 and resolved.sequences > 1,
        swa_full=resolved.swa_full,
        outputs_max=resolved.output_rows,
        embeddings=resolved.embeddings,
        repack=placement.repack,
        mmap=mmap,
        gpu_layers=placement.gpu_layers,
        tensor_split=placement.tensor_split or (),
        host_overrides=tuple(
            pattern.pattern for pattern, device in placement.overrides if device is None
        ),
        kv_offload=placement.kv_offload,
        op_offload=placement.op_offload,
    )
