"""The command that starts llama-server exactly as a plan was computed.

Source: llama.cpp (0c1e57098) common/arg.cpp, the flags and their defaults.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search import Trial
    from whatfits.sizing.workload import Workload

__all__ = ["llama_server_command"]

_DEFAULT_BATCH: Final = 2048
_DEFAULT_MICRO_BATCH: Final = 512
_DEFAULT_CACHE_RAM_MIB: Final = 8192


def llama_server_command(
    model: ModelSpec, model_file: str, workload: Workload, trial: Trial, machine: Machine
) -> str:
    """Return one shell line; only flags that differ from the program's defaults are written."""
    settings, placement = trial.settings, trial.placement
    words = ["llama-server", "-m", model_file, "-c", str(settings.requested_context_tokens)]
    words += ["-np", str(settings.sequences)]
    words += _placement_flags(trial, machine)
    if settings.kv_type_k != "F16":
        words += ["-ctk", settings.kv_type_k.lower()]
    if settings.kv_type_v != "F16":
        words += ["-ctv", settings.kv_type_v.lower()]
    if workload.flash_attention != "auto":
        words += ["-fa", workload.flash_attention]
    if workload.batch not in (None, _DEFAULT_BATCH):
        words += ["-b", str(workload.batch)]
    if workload.micro_batch not in (None, _DEFAULT_MICRO_BATCH):
        words += ["-ub", str(workload.micro_batch)]
    if workload.kv_unified:
        words.append("--kv-unified")
    if settings.swa_full:
        words.append("--swa-full")
    if not model.hparams.causal:
        words.append("--embeddings")
    if not placement.kv_offload:
        words.append("--no-kv-offload")
    words += _prompt_cache_flags(trial, machine)
    return shlex.join(words)


def _placement_flags(trial: Trial, machine: Machine) -> list[str]:
    placement, request = trial.placement, trial.request
    words: list[str] = []
    if not placement.accelerators:
        if machine.accelerators:
            words += ["--device", "none"]
    else:
        words += ["-ngl", str(placement.gpu_layers)]
    if placement.cpu_moe_layers:
        words += ["--n-cpu-moe", str(placement.cpu_moe_layers)]
    if request.tensor_split:
        words += ["-ts", ",".join(f"{share:g}" for share in request.tensor_split)]
    if request.split_mode:
        words += ["-sm", request.split_mode]
    if request.overrides:
        words += ["-ot", ",".join(f"{pattern}={device}" for pattern, device in request.overrides)]
    if request.op_offload is False:
        words.append("--no-op-offload")
    if request.mmap is False:
        words += ["-lm", "none"]
    if request.repack == "off":
        words.append("--no-repack")
    return words


def _prompt_cache_flags(trial: Trial, machine: Machine) -> list[str]:
    """Cap the host prompt cache where its default would outgrow what is left."""
    host = trial.memory.devices[-1]
    pool = machine.pool(host.pool)
    if pool.free_low_bytes is None or not trial.memory.growth_limit_bytes:
        return []
    taken = sum(row.high_bytes for row in trial.memory.devices if row.pool == host.pool)
    left_mib = max(0, pool.free_low_bytes - taken) // MIB
    if left_mib >= _DEFAULT_CACHE_RAM_MIB:
        return []
    return ["--cache-ram", str(left_mib)]
