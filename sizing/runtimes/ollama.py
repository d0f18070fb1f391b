"""Ollama: starts llama-server with defaults of its own, and leaves the layers to its fitting step.

Source: ollama/ollama (main of 2026-08-21): llm/llama_server.go (flags), server/sched.go (batch,
choice of cards), server/routes.go (context by memory), envconfig/config.go, docs/modelfile; that a
context beyond training is cut, its own log ("requested context size too large for model").
"""

from __future__ import annotations

from whatfits.sizing.crowded import of_one_slice
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.runtimes import Asked
from whatfits.sizing.runtimes.ollama_command import KV_TYPE, command_notes, ollama_commands
from whatfits.sizing.runtimes.ollama_guess import (
    BATCH_STEPS,
    automatic_batch,
    available_bytes,
    chosen_cards,
    guessed_bytes,
    has_mmap,
)
from whatfits.sizing.runtimes.unset import refuse_library, refuse_settings
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, format_tokens
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import Run
    from whatfits.sizing.workload import Workload

__all__ = ["asked", "commands", "default_context_tokens"]

_LABEL: Final = "Ollama"
# context by the memory of all cards; 24 and 48 GiB in its documents, 23 and 47 in its source
_CONTEXT_TIERS: Final = ((23 * GIB, 4096), (47 * GIB, 32_768))
_LARGEST_CONTEXT: Final = 262_144
_VISION_CONTEXT: Final = 2048
_FIT_MARGIN_BYTES: Final = GIB
_ONE_AT_A_TIME: Final = frozenset(
    {
        "mllama",
        "qwen3vl",
        "qwen3vlmoe",
        "qwen35",
        "qwen35moe",
        "qwen3next",
        "lfm2",
        "lfm2moe",
        "nemotron_h",
        "nemotron_h_moe",
    }
)
_NOT_IN_WORKLOAD: Final = (
    "kv_unified",
    "swa_full",
    "outputs_max",
    "kv_type_k_draft",
    "kv_type_v_draft",
    "cache_ram_mib",
    "ctx_checkpoints",
)
_DRAFTING: Final = ("model_draft", "spec_type", "spec_draft_n_max")
_NOT_IN_PLACEMENT: Final = (
    "tensor_split",
    "cpu_moe_layers",
    "overrides",
    "kv_offload",
    "op_offload",
    "split_mode",
    "repack",
    "gpu_layers_draft",
    "mmproj_offload",
)


def default_context_tokens(spec: ModelSpec, machine: Machine) -> int:
    """Return the context of one slot when none is asked for: by the memory of all cards."""
    seen = of_one_slice(PlacementRequest(), machine).devices
    cards = (card for card in usable_accelerators(machine) if seen is None or card.id in seen)
    pools = (machine.pool(card.pool) for card in cards)
    total = sum(pool.allowance_bytes or 0 for pool in pools)
    tier = next((tokens for below, tokens in _CONTEXT_TIERS if total < below), _LARGEST_CONTEXT)
    return min(tier, spec.hparams.context_train_tokens or tier)


def asked(
    spec: ModelSpec, machine: Machine, workload: Workload, request: PlacementRequest
) -> Asked:
    """Return what Ollama asks llama-server for.

    Raises:
        InvalidRequestError: Ollama has no such setting.
    """
    refuse_settings(
        _LABEL,
        workload,
        request,
        of_workload=_NOT_IN_WORKLOAD,
        of_placement=_NOT_IN_PLACEMENT,
    )
    _check_drafts(workload)
    _check_pairs(workload)
    request = of_one_slice(request, machine)
    context, notes = _slot_context(spec, machine, workload)
    slots = workload.parallel or 1
    if slots > 1 and (spec.architecture in _ONE_AT_A_TIME or spec.embeds):
        notes.append(f"Ollama serves {spec.architecture} one sequence at a time: parallel is 1.")
        slots = 1
    guess = guessed_bytes(spec, tokens=context * slots)
    cards = chosen_cards(machine, guess, devices=request.devices)
    batch = workload.batch or automatic_batch(
        spec,
        tokens=context * slots,
        guess_bytes=guess,
        available_bytes=available_bytes(machine, cards),
        cards=cards,
        flash_attention=workload.flash_attention,
        machine=machine,
    )
    translated = replace(
        workload, context_tokens=context * slots, parallel=slots, batch=batch, micro_batch=batch
    )
    notes += command_notes(machine, workload, request, slots)
    placed = replace(
        request,
        devices=tuple(device.id for device in cards),
        mmap=has_mmap(spec, machine, cards) if request.mmap is None else request.mmap,
    )
    return Asked(
        translated,
        placed,
        slot_contexts=slots,
        splits_move=False,
        fit_margin_bytes=_FIT_MARGIN_BYTES,
        notes=tuple(notes),
        context_steps=BATCH_STEPS,
    )


def _slot_context(spec: ModelSpec, machine: Machine, workload: Workload) -> tuple[int, list[str]]:
    """Return the tokens of one slot's context, and what is to be known of them."""
    notes = []
    context = workload.context_tokens
    if context is None:
        context = default_context_tokens(spec, machine)
        notes.append(
            f"Ollama's own context here is {format_tokens(context)} tokens a slot, by the memory "
            "of all cards; num_ctx changes it."
        )
    if workload.mmproj:
        context = max(context, _VISION_CONTEXT)
    trained = spec.hparams.context_train_tokens
    if trained is not None and context > trained:
        context = trained
        notes.append(
            f"Ollama cuts a context to what the model was trained for: {format_tokens(trained)} "
            "tokens a slot here."
        )
    return context, notes


def commands(run: Run) -> tuple[str, ...]:
    """Return a Modelfile, the server's environment, and the lines that create and run the model."""
    return ollama_commands(run)


def _check_drafts(workload: Workload) -> None:
    """Refuse drafting: which models can draft under Ollama is not what can under llama.cpp.

    A draft of its own (DRAFT in a Modelfile) is started as multi-token prediction or DFlash,
    whatever it is; a model's own layers draft once draft_num_predict is set.
    Source: llm/llama_server.go (externalDraftType, appendDraftArgs), server/routes.go.

    Raises:
        InvalidRequestError: it is asked for.
    """
    for name in _DRAFTING:
        value = getattr(workload, name)
        if value is not None:
            raise InvalidRequestError(
                what=f"{name} with Ollama",
                got=value,
                allowed="left unset: what Ollama drafts with (DRAFT and draft_num_predict of a "
                "Modelfile: multi-token prediction or DFlash, no other model) is not sized here",
                next_step="leave it out, or ask for --runtime llama.cpp",
            )


def _check_pairs(workload: Workload) -> None:
    """Refuse what Ollama has one setting for: the cache types, and the two batches.

    Raises:
        InvalidRequestError: they differ, or the request is for the library.
    """
    refuse_library("Ollama", workload)
    if (workload.kv_type_k or KV_TYPE) != (workload.kv_type_v or KV_TYPE):
        raise InvalidRequestError(
            what="kv_type_v with Ollama",
            got=workload.kv_type_v,
            allowed=f"{workload.kv_type_k or KV_TYPE}: keys and values have the same type",
        )
    if len(workload.lora) > 1:
        raise InvalidRequestError(
            what="lora with Ollama",
            got=", ".join(workload.lora),
            allowed="one adapter: of several the last counts alone",
        )
    if workload.micro_batch not in (None, workload.batch):
        raise InvalidRequestError(
            what="micro_batch with Ollama",
            got=workload.micro_batch,
            allowed="left unset: it is the same as batch (num_batch)",
        )
