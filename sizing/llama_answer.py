"""The answer of a program that starts llama.cpp: what it asks for, placed, sized, in words."""

from __future__ import annotations

from whatfits.sizing.basis.answer import basis_of
from whatfits.sizing.estimate import ModelSummary, Plan
from whatfits.sizing.file_wanted import file_notes
from whatfits.sizing.left_out import left_out_notes
from whatfits.sizing.llama_program import Program
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.settings import longest_input
from whatfits.sizing.speculation import draft_type, drafted_tokens
from whatfits.sizing.speed.load_time import load_from_disk_s
from whatfits.sizing.speed.slowdown import slowdown_basis, with_slowdown
from whatfits.sizing.trained import beyond_training
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB
from whatfits.sizing.unsized import unsized_notes
from whatfits.sizing.unverified import unverified_notes
from whatfits.sizing.values import replace
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from whatfits.sizing.estimate import Basis, Remedy, Speed
    from whatfits.sizing.extras import Extras
    from whatfits.sizing.graph.index import Replays
    from whatfits.sizing.llama_program import Attempts
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import Asked, RuntimeEntry
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.search.trials import Trials
    from whatfits.sizing.workload import PlacementRequest, Workload

    Remedies: TypeAlias = Callable[
        [ModelSpec, Machine, Workload, Trial, Attempts], tuple[Remedy, ...]
    ]

__all__ = ["llama_plan", "resolved_workload"]


def llama_plan(
    spec: ModelSpec,
    *,
    entry: RuntimeEntry,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    extras: Extras,
    remedies: Remedies,
    force: bool,
    refined: Callable[[Trial], Trial] | None,
    replays: Replays,
    brief: bool,
) -> Plan:
    """Return the plan of one runtime.

    `extras` is what the workload names beside the model; `remedies` finds what would help;
    `refined` betters the chosen trial; `replays` are those of the model under any file type;
    `brief` leaves out what takes long to find: the longest context, the speed and where figures
    come from, and the remedies.

    Raises:
        InvalidRequestError: a value is out of range, or the program has no such setting.
    """
    program = Program(spec, entry, request, extras, replays)
    asked, trials = program.asks(spec, machine, workload)
    trial = trials.best()
    if refined is not None:
        trial = refined(trial)
    resolved = _in_own_terms(resolved_workload(asked.workload, trial), asked)
    speed = None if brief else with_slowdown(trials.speed(trial), trials, trial)
    filled = replace(workload, context_tokens=resolved.context_tokens)
    longest = None
    if not brief:
        longest = _longest(program, trials, trial, machine=machine, workload=workload, asked=asked)
    # elsewhere nobody can name the cards that are to work
    named = speed if entry.id == DEFAULT_RUNTIME else None
    split_notes, split_basis = _of_the_split(
        trials, trial, machine, request, longest=longest, speed=named
    )
    attempts = program.attempts(machine, workload)
    can_start = trial.runs or trial.judgement.verdict == "tight" or force
    commands = program.commands(spec, machine, workload, trial) if can_start else ()
    return Plan(
        schema_version=SCHEMA_VERSION,
        model=ModelSummary.of(spec),
        workload=resolved,
        placement=_placed(trial),
        runtime=entry.id,
        machine=machine,
        verdict=trial.judgement.verdict,
        verdict_reason=trial.judgement.reason,
        memory=trial.memory,
        largest_context_tokens=_of_a_slot(longest, asked),
        speed=speed,
        commands={entry.id: commands} if can_start else {},
        remedies=() if brief else remedies(spec, machine, filled, trial, attempts),
        notes=(
            *spec.notes,
            *asked.notes,
            *_notes(spec, machine, workload, trial),
            *_accelerator_notes(request, trial, machine),
            *split_notes,
            *(file_notes(spec) if can_start else ()),
        ),
        basis=_reasons(spec, machine, workload, trial, speed=speed, of_the_split=split_basis),
        load_from_disk_s=load_from_disk_s(spec, trial.memory, machine),
    )


def _longest(
    program: Program,
    trials: Trials,
    trial: Trial,
    *,
    machine: Machine,
    workload: Workload,
    asked: Asked,
) -> int | None:
    """Return the longest context of all slots: placed as `trial`, or as the program would then."""
    if not asked.context_steps:
        return trials.largest_context(trial)
    from whatfits.sizing.search.longest_by_rule import longest_by_rule  # noqa: PLC0415 - Ollama alone

    return longest_by_rule(program, machine, workload, asked, trial)


def _reasons(
    spec: ModelSpec,
    machine: Machine,
    workload: Workload,
    trial: Trial,
    *,
    speed: Speed | None,
    of_the_split: tuple[Basis, ...],
) -> tuple[Basis, ...]:
    """Return where the figures come from; nothing where the speed was left out."""
    if speed is None:
        return ()
    basis = basis_of(spec, trial, machine, speed, prompt_tokens=workload.prompt_tokens)
    return (*basis, *of_the_split, *slowdown_basis(speed))


def _accelerator_notes(
    request: PlacementRequest, trial: Trial, machine: Machine
) -> tuple[str, ...]:
    """Return which accelerators take no part unasked, and how a program comes to a slice of one."""
    if not trial.placement.accelerators:
        return ()
    from whatfits.sizing.crowded import crowded_notes, slice_notes  # noqa: PLC0415 - with devices

    return (
        *crowded_notes(request, trial.request.devices, machine),
        *slice_notes(trial.placement.accelerators),
    )


def _notes(spec: ModelSpec, machine: Machine, workload: Workload, trial: Trial) -> tuple[str, ...]:
    """Return what else to know of a trial, and of the machine it is for."""
    return (
        *_beyond_training(spec, trial),
        *_refused_inputs(spec, workload, trial),
        *_draft_notes(spec, trial),
        *(_device_notes(spec, trial) if trial.placement.accelerators else ()),
        *left_out_notes(machine),
        *unverified_notes(machine),
        *trial.judgement.notes,
        *unsized_notes(machine, trial.judgement.verdict),
    )


def _device_notes(spec: ModelSpec, trial: Trial) -> tuple[str, ...]:
    """Return what is to be known of layers and caches on devices."""
    from whatfits.sizing.kernels import kernel_notes  # noqa: PLC0415 - beside devices alone
    from whatfits.sizing.older_files import older_file_note  # noqa: PLC0415 - same

    return (*older_file_note(spec, trial), *kernel_notes(spec, trial))


def _beyond_training(spec: ModelSpec, trial: Trial) -> tuple[str, ...]:
    asked = trial.settings.requested_context_tokens
    if trial.settings.streams > 1:
        asked //= trial.settings.sequences
    return beyond_training(spec, asked)


def _refused_inputs(spec: ModelSpec, workload: Workload, trial: Trial) -> tuple[str, ...]:
    """Return which inputs a server of embeddings refuses though its context would hold them.

    Source: llama.cpp tools/server/server-context.cpp ("input is too large to process").
    """
    settings = trial.settings
    longest = longest_input(spec, settings.sequence_tokens)
    micro = settings.micro_batch_tokens
    if workload.program != "server" or spec.reads_in_parts or micro >= longest:
        return ()
    why = f"each has to fit into a micro-batch; the context would hold {longest:,}"
    return (f"Inputs longer than {micro:,} tokens are refused: {why}.",)


def _draft_notes(spec: ModelSpec, trial: Trial) -> tuple[str, ...]:
    if trial.extras.draft is None:
        return ()
    from whatfits.sizing.draft_pairs import pair_notes  # noqa: PLC0415 - rarely needed

    return pair_notes(spec, trial.extras.draft)


def _in_own_terms(workload: Workload, asked: Asked) -> Workload:
    """Return a workload whose context is what the program's own setting says."""
    return replace(workload, context_tokens=_of_a_slot(workload.context_tokens, asked))


def _of_a_slot(context_tokens: int | None, asked: Asked) -> int | None:
    if context_tokens is None or asked.slot_contexts is None:
        return context_tokens
    return context_tokens // asked.slot_contexts


def _of_the_split(
    trials: Trials,
    trial: Trial,
    machine: Machine,
    request: PlacementRequest,
    *,
    longest: int | None,
    speed: Speed | None,
) -> tuple[tuple[str, ...], tuple[Basis, ...]]:
    """Return what is to be said of the split over accelerators, in notes and as a reason.

    With a `speed` also which of them would be faster alone.
    """
    if len(trial.placement.accelerators) < 2:  # noqa: PLR2004 - nothing is split
        return (), ()
    from whatfits.sizing.basis.split import split_basis, split_notes  # noqa: PLC0415 - several cards
    from whatfits.sizing.remedies.fewer_cards import fewer_cards_notes  # noqa: PLC0415 - same

    notes = split_notes(trials, trial, machine, longest=longest)
    faster = fewer_cards_notes(trials, trial, request, speed)
    return (*notes, *faster), split_basis(trials, trial, machine)


def resolved_workload(workload: Workload, trial: Trial) -> Workload:
    """Return the workload with every default filled in; the context as it was asked for."""
    settings = trial.settings
    return replace(
        workload,
        context_tokens=workload.context_tokens or settings.requested_context_tokens,
        parallel=settings.sequences,
        kv_type_k=settings.kv_type_k.lower(),
        kv_type_v=settings.kv_type_v.lower(),
        batch=settings.batch_tokens,
        micro_batch=settings.micro_batch_tokens,
        kv_unified=settings.streams == 1 and settings.sequences > 1
        if workload.kv_unified is None
        else workload.kv_unified,
        swa_full=settings.swa_full,
        outputs_max=settings.output_rows,
        **_resolved_extras(workload, trial),
    )


def _resolved_extras(workload: Workload, trial: Trial) -> dict[str, Any]:
    """Return the fields of what stands beside the model, defaults filled in where they count."""
    if workload.program != "server":
        return {}
    growth = trial.growth
    values: dict[str, Any] = {
        "cache_ram_mib": growth.cache_ram_bytes // MIB,
        "ctx_checkpoints": growth.checkpoints,
    }
    kind = draft_type(workload)
    if kind != "none":
        values |= {
            "spec_type": kind,
            "spec_draft_n_max": drafted_tokens(workload),
            "kv_type_k_draft": workload.kv_type_k_draft or "f16",
            "kv_type_v_draft": workload.kv_type_v_draft or "f16",
        }
    return values


def _placed(trial: Trial) -> PlacementRequest:
    """Return the placement as it was decided, in the runtime's own terms."""
    placement = trial.placement
    return replace(
        trial.request,
        gpu_layers=placement.gpu_layers,
        tensor_split=placement.tensor_split,
        cpu_moe_layers=placement.cpu_moe_layers,
        devices=tuple(device.id for device in placement.accelerators),
        kv_offload=placement.kv_offload,
        op_offload=placement.op_offload,
        mmap=placement.mmap,
    )
