"""Jan: runs llama-server in router mode from a model.yml for each model.

Source: janhq/jan extensions/llamacpp-extension/src/preset.ts, docs (data folder).
"""

from __future__ import annotations

import json

from whatfits.sizing.runtimes import Asked
from whatfits.sizing.runtimes.files_here import files_here, model_files
from whatfits.sizing.runtimes.llama_cpp_devices import overrides_text
from whatfits.sizing.runtimes.unset import refuse_library, refuse_settings
from whatfits.sizing.settings import told_batches
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import Run
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["asked", "commands"]

_LABEL: Final = "Jan"
_BACKGROUND_SLOTS: Final = 2
# Drafts: preset.ts writes those by prediction layers alone, for none of which a file was read here.
_NOT_IN_WORKLOAD: Final = (
    *("kv_unified", "swa_full", "outputs_max", "lora", "cache_ram_mib", "ctx_checkpoints"),
    *("model_draft", "spec_type", "spec_draft_n_max", "kv_type_k_draft", "kv_type_v_draft"),
)
_NOT_IN_PLACEMENT: Final = (
    "tensor_split",
    "op_offload",
    "split_mode",
    "devices",
    "mmap",
    "repack",
    "gpu_layers_draft",
)


def asked(
    _spec: ModelSpec, _machine: Machine, workload: Workload, request: PlacementRequest
) -> Asked:
    """Return what Jan asks llama-server for: slots in excess of those asked for, in one cache.

    Raises:
        InvalidRequestError: model.yml has no such setting.
    """
    refuse_library(_LABEL, workload)
    refuse_settings(
        _LABEL, workload, request, of_workload=_NOT_IN_WORKLOAD, of_placement=_NOT_IN_PLACEMENT
    )
    if workload.parallel is None:
        return Asked(workload, request, splits_move=False)
    slots = workload.parallel + _BACKGROUND_SLOTS
    note = (
        f"Jan adds {_BACKGROUND_SLOTS} slots for work in the background: {slots} share one cache."
    )
    shared = replace(workload, parallel=slots, kv_unified=True)
    return Asked(shared, request, splits_move=False, notes=(note,))


def commands(run: Run) -> tuple[str, ...]:
    """Return model.yml as it has to stand in the folder of the model, line by line."""
    parts = model_files(run.spec, run.model_file)
    projector = (run.workload.mmproj,) if run.workload.mmproj else ()
    here = files_here((*parts, *projector), os=run.machine.os)
    folder = f"llamacpp/models/{run.spec.name}"
    names = [file.replace("\\", "/").rpartition("/")[2] for file in here.files]
    inside = [f"{folder}/{name}" for name in names]
    values = {
        "name": run.spec.name,
        "model_path": inside[0],
        "mmproj_path": inside[-1] if projector else None,
        "embedding": True if run.spec.embeds else None,
        **_settings(run),
    }
    # JSON's scalars are YAML's, quoting included
    lines = (f"{key}: {json.dumps(value)}" for key, value in values.items() if value is not None)
    return (*here.fetched_by, f"# JAN_DATA/{folder}/model.yml", *lines)


def _settings(run: Run) -> dict[str, object]:
    """Return what differs from Jan's defaults; None where it does not."""
    workload, settings, placement = run.workload, run.trial.settings, run.trial.placement
    has_gpu = bool(run.machine.accelerators)
    batch, micro_batch = told_batches(run.spec, workload, settings)
    return {
        "ctx_size": settings.requested_context_tokens,
        "n_gpu_layers": placement.gpu_layers if has_gpu else None,
        "n_cpu_moe": placement.cpu_moe_layers or None,
        "no_kv_offload": None if placement.kv_offload else True,
        "override_tensor": overrides_text(run.request, placement) or None,
        "mmproj_offload": False if run.request.mmproj_offload is False else None,
        "cache_type_k": _unless_f16(settings.kv_type_k),
        "cache_type_v": _unless_f16(settings.kv_type_v),
        "flash_attn": None if workload.flash_attention == "auto" else workload.flash_attention,
        "parallel": workload.parallel,
        "batch_size": batch,
        "ubatch_size": micro_batch,
    }


def _unless_f16(kv_type: str) -> str | None:
    return None if kv_type == "F16" else kv_type.lower()
