"""The command that starts llama-server exactly as a plan was computed.

Source: llama.cpp (0c1e57098) common/arg.cpp, the flags and their defaults.
"""

from __future__ import annotations

from whatfits.sizing.growth import DEFAULT_CACHE_RAM_MIB, DEFAULT_CHECKPOINTS
from whatfits.sizing.hub_source import hub_source
from whatfits.sizing.runtimes.cuda_order import BY_BUS, must_count_by_bus
from whatfits.sizing.runtimes.llama_cpp_devices import are_in_order, device_name, overrides_text
from whatfits.sizing.runtimes.shells import command_line, is_windows
from whatfits.sizing.settings import told_batches
from whatfits.sizing.speculation import DEFAULT_DRAFT_TOKENS, draft_type, drafted_tokens
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.workload import Workload

__all__ = ["csv_field", "llama_server_command"]

_HUB_ADDRESS: Final = "https://huggingface.co"
_DEFAULT_BATCH: Final = 2048
_DEFAULT_MICRO_BATCH: Final = 512
_F32_DIGITS: Final = 9  # as many as tell every 32-bit float from its neighbours


def llama_server_command(
    model: ModelSpec, model_file: str, workload: Workload, trial: Trial, machine: Machine
) -> str:
    """Return one shell line; only flags that differ from the program's defaults are written."""
    settings, placement = trial.settings, trial.placement
    words = [*_environment(trial, machine), "llama-server"]
    words += _model_flags(model, model_file, workload)
    words += ["-c", str(settings.requested_context_tokens), "-np", str(settings.sequences)]
    words += _placement_flags(trial, machine)
    if settings.kv_type_k != "F16":
        words += ["-ctk", settings.kv_type_k.lower()]
    if settings.kv_type_v != "F16":
        words += ["-ctv", settings.kv_type_v.lower()]
    if workload.flash_attention != "auto":
        words += ["-fa", workload.flash_attention]
    words += _batch_flags(model, workload, settings)
    if workload.kv_unified:
        words.append("--kv-unified")
    if settings.swa_full:
        words.append("--swa-full")
    if model.embeds:
        # the server answers /rerank only when it was told so (README.md of tools/server)
        words.append("--reranking" if model.reranks else "--embeddings")
    if not placement.kv_offload:
        words.append("--no-kv-offload")
    words += _beside_flags(workload, trial)
    words += _growth_flags(workload, trial, machine)
    return command_line(words, os=machine.os)


def _environment(trial: Trial, machine: Machine) -> list[str]:
    """Return what makes CUDA count cards as the flags do; Windows has other words for that."""
    uses_cuda = any(device.kind == "cuda" for device in trial.placement.accelerators)
    if is_windows(machine.os) or not uses_cuda or not must_count_by_bus(machine):
        return []
    return [BY_BUS]


def _model_flags(model: ModelSpec, model_file: str, workload: Workload) -> list[str]:
    """Return how the program gets the model: from a path, or by its own download.

    Of a repository that would bring a projector along, which is not counted here; it knows no
    revisions.
    """
    if model_file.startswith(("https://", "http://")):
        return ["--model-url", model_file]
    place = None if model.planned else hub_source(model.source)
    if place is None:
        return ["-m", model_file]
    if place.revision:
        return ["-m", place.file.rpartition("/")[2]]
    words = ["-hf", place.repository, "-hff", place.file]
    return words if workload.mmproj else [*words, "--no-mmproj"]


def _batch_flags(model: ModelSpec, workload: Workload, settings: Settings) -> list[str]:
    batch, micro_batch = told_batches(model, workload, settings)
    words: list[str] = []
    if batch is not None and (batch != _DEFAULT_BATCH or model.embeds):
        words += ["-b", str(batch)]
    if micro_batch not in (None, _DEFAULT_MICRO_BATCH):
        words += ["-ub", str(micro_batch)]
    return words


def _placement_flags(trial: Trial, machine: Machine) -> list[str]:
    placement, request = trial.placement, trial.request
    words: list[str] = []
    if not placement.accelerators:
        if machine.accelerators:
            words += ["--device", "none"]
    else:
        words += ["-ngl", str(placement.gpu_layers)]
    # before the experts: the first expression on the line that matches a tensor wins
    if request.overrides:
        words += ["-ot", overrides_text(request, placement)]
    if placement.cpu_moe_layers:
        words += ["--n-cpu-moe", str(placement.cpu_moe_layers)]
    # CUDA knows slices of cards by their UUID alone, and the one that it sees as its first device
    is_slice = any(device.is_slice for device in placement.accelerators)
    if not is_slice and (request.devices or not are_in_order(placement.accelerators)):
        words += ["--device", ",".join(map(device_name, placement.accelerators))]
    words += _split_flags(trial)
    if request.split_mode:
        words += ["-sm", request.split_mode]
    if request.op_offload is False:
        words.append("--no-op-offload")
    if request.mmap is False:
        words += ["-lm", "none"]
    if request.repack == "off":
        words.append("--no-repack")
    return words


def _split_flags(trial: Trial) -> list[str]:
    """Return how layers are shared out: as asked for, else as the plan has them.

    Left to itself, the program shares them out by what is free on each device when it starts.
    """
    placement, request = trial.placement, trial.request
    if request.tensor_split:
        return ["-ts", ",".join(f"{share:.{_F32_DIGITS}g}" for share in request.tensor_split)]
    if len(placement.accelerators) < 2 or not placement.gpu_layers:  # noqa: PLR2004 - nothing to share
        return []
    places = (*placement.layer_device, placement.output_device)
    counts = (places.count(index) for index in range(len(placement.accelerators)))
    return ["-ts", ",".join(map(str, counts))]


def _beside_flags(workload: Workload, trial: Trial) -> list[str]:
    """Return the flags of what is loaded beside the model.

    A draft model alone would be loaded and put away again: the kind of draft has to be named.
    """
    request = trial.request
    words: list[str] = []
    kind = draft_type(workload)
    if kind != "none":
        words += ["--spec-type", kind]
        if drafted_tokens(workload) != DEFAULT_DRAFT_TOKENS:
            words += ["--spec-draft-n-max", str(drafted_tokens(workload))]
        for flag, kv_type in (
            ("-ctkd", workload.kv_type_k_draft),
            ("-ctvd", workload.kv_type_v_draft),
        ):
            if kv_type is not None:
                words += [flag, kv_type.lower()]
    if workload.model_draft:
        words += ["-md", _draft_file(trial, workload.model_draft)]
        if request.gpu_layers_draft is not None:
            words += ["-ngld", str(request.gpu_layers_draft)]
    if workload.mmproj:
        words += _projector_flags(workload.mmproj)
        if request.mmproj_offload is False:
            words.append("--no-mmproj-offload")
    if workload.lora:
        words += ["--lora", ",".join(csv_field(_adapter_file(path)) for path in workload.lora)]
    return words


def _adapter_file(path: str) -> str:
    place = hub_source(path)
    return path if place is None else place.file.rpartition("/")[2]


def _projector_flags(path: str) -> list[str]:
    """Return how the program gets a projector: from a path, or by its own download."""
    place = hub_source(path)
    if place is None:
        return ["--mmproj", path]
    at = f"{place.repository}/resolve/{place.revision or 'main'}/{place.file}"
    return ["--mmproj-url", f"{_HUB_ADDRESS}/{at}"]


def csv_field(text: str) -> str:
    """Return a value of a list that is separated by commas, quoted where it has to be."""
    if not any(mark in text for mark in ',"'):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _draft_file(trial: Trial, named: str) -> str:
    draft = trial.extras.draft
    if draft is not None and (draft.source == "catalog" or draft.planned):
        return f"{draft.name}-{draft.file_type}.gguf"
    place = None if draft is None else hub_source(draft.source)
    return named if place is None else place.file.rpartition("/")[2]


def _growth_flags(workload: Workload, trial: Trial, machine: Machine) -> list[str]:
    """Return limits for what grows on the host: as asked for, else so that what is left holds it.

    Checkpoints get up to half of it, because without them a prompt is read again from its start;
    the prompt cache gets the rest.
    """
    growth, host = trial.growth, trial.memory.devices[-1]
    free = machine.pool(host.pool).whole.free_low_bytes
    checkpoints, cache_ram_mib = growth.checkpoints, growth.cache_ram_bytes // MIB
    if free is not None:
        taken = sum(row.high_bytes for row in trial.memory.devices if row.pool == host.pool)
        left = max(0, free - taken)
        every = growth.checkpoint_bytes * growth.slots
        if every and workload.ctx_checkpoints is None:
            checkpoints = min(checkpoints, left // 2 // every)
        if workload.cache_ram_mib is None:
            cache_ram_mib = min(cache_ram_mib, max(0, left - every * checkpoints) // MIB)
    words: list[str] = []
    if growth.checkpoint_bytes and checkpoints != DEFAULT_CHECKPOINTS:
        words += ["--ctx-checkpoints", str(checkpoints)]
    if growth.slots and cache_ram_mib != DEFAULT_CACHE_RAM_MIB:
        words += ["--cache-ram", str(cache_ram_mib)]
    return words
