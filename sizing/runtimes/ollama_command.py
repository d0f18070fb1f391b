"""What to type to run a model with Ollama as a plan was computed: a Modelfile, then the lines.

Source: ollama/ollama (main of 2026-08-21): envconfig/config.go (the server's settings),
docs/modelfile, docs/api (Generate Embeddings), docs/gpu (which cards it sees), parser/parser.go
(every file after FROM is of the model, the last adapter counts alone), server/create.go (a split
GGUF and a projector are further FROM lines; of a split one all files are asked for).
"""

from __future__ import annotations

import json
import re

from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.runtimes.cuda_order import BY_BUS_SETTING, must_count_by_bus
from whatfits.sizing.runtimes.files_here import files_here, model_files
from whatfits.sizing.runtimes.shells import (
    command_line,
    file_lines,
    is_windows,
    with_settings,
)
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import Run
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["KV_TYPE", "command_notes", "ollama_commands"]

KV_TYPE: Final = "f16"
_LONGEST_NAME: Final = 80
_BLOB: Final = re.compile(r"[/\\]sha256-[0-9a-f]{64}$")  # of Ollama's own store
# docs/gpu.mdx: numbers as the driver counts; one that is not there hides all
_VISIBLE: Final = {
    "cuda": "CUDA_VISIBLE_DEVICES",
    "rocm": "ROCR_VISIBLE_DEVICES",
    "vulkan": "GGML_VK_VISIBLE_DEVICES",
}
_NO_CARD: Final = "-1"
_EMBED_URL: Final = "http://localhost:11434/api/embed"


def ollama_commands(run: Run) -> tuple[str, ...]:
    """Return a Modelfile, the server's environment, and the lines that create and run the model."""
    workload, settings = run.workload, run.trial.settings
    context = settings.requested_context_tokens // settings.sequences
    os, name = run.machine.os, _model_name(run.spec)
    parts = model_files(run.spec, run.model_file)
    projector = (workload.mmproj,) if workload.mmproj else ()
    here = files_here((*parts, *projector, *workload.lora), os=os)
    paths = [_path(file) for file in here.files]
    if _BLOB.search(run.model_file):
        paths[0] = run.spec.name  # with the template, projector and adapters Ollama keeps of it
    of_model = len(parts) + len(projector)
    lines = [f"FROM {path}" for path in paths[:of_model]]
    lines.append(f"PARAMETER num_ctx {context}")
    lines += [f"PARAMETER {key} {value}" for key, value in _parameters(run)]
    lines += [f"ADAPTER {path}" for path in paths[of_model:]]
    told = _environment(
        run.machine,
        run.request,
        kv_type=settings.kv_type_k.lower(),
        flash_attention=workload.flash_attention,
        slots=settings.sequences,
    )
    started = (with_settings(told, "ollama serve", os=os),) if told else ()
    create = command_line(["ollama", "create", name, "-f", "Modelfile"], os=os)
    run_it = _embed(name, os) if run.spec.embeds else command_line(["ollama", "run", name], os=os)
    written = file_lines("Modelfile", lines, os=os)
    return (*here.fetched_by, *written, *started, create, run_it)


def _parameters(run: Run) -> Iterator[tuple[str, object]]:
    """Yield the parameters besides the context that were asked for."""
    request = run.request
    if run.workload.batch is not None:
        yield "num_batch", run.workload.batch
    if request.gpu_layers is not None or request.devices == ():
        yield "num_gpu", request.gpu_layers or 0
    if request.mmap is not None:
        yield "use_mmap", str(request.mmap).lower()


def command_notes(
    machine: Machine, workload: Workload, request: PlacementRequest, slots: int
) -> Iterator[str]:
    """Yield what to know before the commands are typed."""
    told = _environment(
        machine,
        request,
        kv_type=(workload.kv_type_k or KV_TYPE).lower(),
        flash_attention=workload.flash_attention,
        slots=slots,
    )
    if told:
        names = ", ".join(name for name, _ in told)
        yield (
            f"{names}: settings of Ollama's server, which has to be started with them. Quit the "
            "one that runs, its app too, and give 'ollama serve' a window of its own."
        )
    if is_windows(machine.os):
        yield "The lines for Ollama are for PowerShell."


def _environment(
    machine: Machine,
    request: PlacementRequest,
    *,
    kv_type: str,
    flash_attention: str,
    slots: int,
) -> list[tuple[str, str]]:
    """Return the settings of the server that differ from its defaults."""
    told = _seen_cards(machine, request)
    if kv_type != KV_TYPE:
        told.append(("OLLAMA_KV_CACHE_TYPE", kv_type))
    if flash_attention != "auto":
        told.append(("OLLAMA_FLASH_ATTENTION", str(int(flash_attention == "on"))))
    if slots > 1:
        told.append(("OLLAMA_NUM_PARALLEL", str(slots)))
    return told


def _embed(name: str, os: str | None) -> str:
    """Return the request that loads a model that embeds: there is nothing to chat with."""
    body = json.dumps({"model": name, "input": "some text"})
    if is_windows(os):  # curl is another command there in older versions
        return command_line(
            ["Invoke-RestMethod", "-Method", "Post", "-Uri", _EMBED_URL, "-Body", body], os=os
        )
    return command_line(["curl", _EMBED_URL, "-d", body], os=os)


def _path(file: str) -> str:
    """Return a file as a Modelfile names it: a bare name would be looked up in the registry."""
    return file if "/" in file or "\\" in file else f"./{file}"


def _model_name(spec: ModelSpec) -> str:
    """Return a name that Ollama accepts for a model of its own.

    Source: types/model/name.go (isValidPart): 80 letters, digits, `-`, `_` and `.` of ASCII, of
    which the first is a letter, a digit or `_`.
    """
    text = f"{spec.name}-{spec.file_type}" if spec.source == "catalog" else spec.name
    allowed = (c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in text.lower())
    return "".join(allowed).lstrip("-.")[:_LONGEST_NAME].rstrip("-.") or "model"


def _seen_cards(machine: Machine, request: PlacementRequest) -> list[tuple[str, str]]:
    """Return what hides the cards that were not named from the server; slices have a note."""
    named = {name.lower() for name in request.devices or ()}
    usable = usable_accelerators(machine)
    if not named or any(card.is_slice for card in usable):
        return []
    told = []
    for kind, variable in _VISIBLE.items():
        cards = [card for card in usable if card.kind == kind]
        seen = [card.id.removeprefix(kind) for card in cards if card.id.lower() in named]
        if len(seen) < len(cards):
            told.append((variable, ",".join(seen) or _NO_CARD))
    if must_count_by_bus(machine) and any(variable == _VISIBLE["cuda"] for variable, _ in told):
        told.append(BY_BUS_SETTING)
    return told
