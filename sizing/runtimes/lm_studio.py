"""LM Studio: loads GGUF models with llama.cpp; `lms load` sets context, slots and the GPU's share.

Source: lmstudio-ai/lms src/subcommands/load.ts (2026-08-13), lmstudio-ai/docs (2026-04-29). The app
itself is closed: that slots share one cache is what its documents say, not what was read.
"""

from __future__ import annotations

from whatfits.sizing.runtimes import Asked
from whatfits.sizing.runtimes.files_here import files_here, model_files
from whatfits.sizing.runtimes.shells import command_line
from whatfits.sizing.runtimes.unset import refuse_library, refuse_settings
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import Run
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["asked", "commands"]

_LABEL: Final = "LM Studio"
_EVAL_BATCH: Final = 512
_NOT_ALL: Final = 999  # thousandths
_DEFAULT_CONTEXT: Final = 4096
_GUARDRAILS: Final = (
    "LM Studio's guardrails decide by an estimate of their own, which is not published; "
    "'lms load --estimate-only' shows it."
)
_PROJECTOR: Final = (
    "LM Studio takes the projector that lies in the folder of the model: put it there, for "
    "'lms load' has no flag for it."
)
_NOT_IN_WORKLOAD: Final = (
    "micro_batch",
    "batch",
    "kv_type_k",
    "kv_type_v",
    "flash_attention",
    "kv_unified",
    "swa_full",
    "outputs_max",
    "model_draft",
    "spec_type",
    "spec_draft_n_max",
    "kv_type_k_draft",
    "kv_type_v_draft",
    "lora",
    "cache_ram_mib",
    "ctx_checkpoints",
)
_NOT_IN_PLACEMENT: Final = (
    "tensor_split",
    "cpu_moe_layers",
    "overrides",
    "kv_offload",
    "op_offload",
    "split_mode",
    "mmap",
    "repack",
    "gpu_layers_draft",
    "mmproj_offload",
)


def asked(
    spec: ModelSpec, _machine: Machine, workload: Workload, request: PlacementRequest
) -> Asked:
    """Return what `lms load` asks the engine for.

    Raises:
        InvalidRequestError: `lms load` has no such setting.
    """
    refuse_library(_LABEL, workload)
    # no accelerator at all is `--gpu off`; which of them is the app's to choose
    by_name = ("devices",) if request.devices else ()
    refuse_settings(
        _LABEL,
        workload,
        request,
        of_workload=_NOT_IN_WORKLOAD,
        of_placement=(*_NOT_IN_PLACEMENT, *by_name),
    )
    context = workload.context_tokens
    if context is None:
        context = min(_DEFAULT_CONTEXT, spec.hparams.context_train_tokens or _DEFAULT_CONTEXT)
    slots = workload.parallel or 1
    translated = replace(
        workload,
        context_tokens=context,
        parallel=slots,
        batch=_EVAL_BATCH,
        micro_batch=_EVAL_BATCH,
        kv_unified=True if slots > 1 else None,
    )
    notes = (_GUARDRAILS, _PROJECTOR) if workload.mmproj else (_GUARDRAILS,)
    return Asked(translated, request, experts_move=False, splits_move=False, notes=notes)


def commands(run: Run) -> tuple[str, ...]:
    """Return the lines that import every file and load the model as the plan was computed.

    `lms import` takes one file and moves it. Source: lmstudio-ai/lms src/subcommands/importCmd.ts.
    """
    settings, placement = run.trial.settings, run.trial.placement
    words = ["lms", "load", run.spec.name]
    if run.machine.accelerators:
        words += ["--gpu", _share(placement.gpu_layers, len(placement.layer_device))]
    words += ["--context-length", str(settings.requested_context_tokens)]
    if settings.sequences > 1:
        words += ["--parallel", str(settings.sequences)]
    words += ["--identifier", run.spec.name, "-y"]
    here = files_here(model_files(run.spec, run.model_file), os=run.machine.os)
    every = [*(["lms", "import", file] for file in here.files), words]
    if not run.spec.embeds:
        every.append(["lms", "chat", run.spec.name])
    return (*here.fetched_by, *(command_line(line, os=run.machine.os) for line in every))


def _share(gpu_layers: int, n_layers: int) -> str:
    """Return the share of layers on GPUs; rounded down, so that no layer more goes there.

    All layers without the output layer are less than 1, which may be read as all there is.
    """
    if gpu_layers > n_layers:
        return "max"
    if gpu_layers == 0:
        return "off"
    return f"{min(_NOT_ALL, gpu_layers * 1000 // n_layers) / 1000:g}"
