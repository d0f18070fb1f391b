"""The answer of a program that starts llama.cpp: what it asks for, placed, sized, in words."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.basis import basis_of
from whatfits.sizing.estimate import ModelSummary, Plan
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.left_out import left_out_notes
from whatfits.sizing.load_time import load_from_disk_s
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, Run
from whatfits.sizing.search import Trials
from whatfits.sizing.settings import longest_input
from whatfits.sizing.slowdown import slowdown_basis, with_slowdown
from whatfits.sizing.speculation import draft_type, drafted_tokens
from whatfits.sizing.units import MIB, format_tokens
from whatfits.sizing.unverified import unverified_notes
from whatfits.sizing.values import replace
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from whatfits.sizing.estimate import Basis, Remedy
    from whatfits.sizing.extras import Extras
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import Asked, RuntimeEntry
    from whatfits.sizing.trial import Trial
    from whatfits.sizing.workload import PlacementRequest, Workload

    Remedies: TypeAlias = Callable[
        [ModelSpec, Machine, Workload, Trial, "Attempts"], tuple[Remedy, ...]
    ]

__all__ = ["Attempts", "llama_plan", "model_file", "resolved_workload"]

_PLAIN: Final = str.maketrans("/:", "--")  # names of Ollama's have both, names of files neither


class Attempts(NamedTuple):
    """How a changed request is tried, by the program's own rules.

    Attributes:
        changed: returns what comes of another model, machine or workload.
        resplit: returns what comes of leaving the split over accelerators open; None where it is.
    """

    changed: Callable[[ModelSpec, Machine, Workload], Trial]
    resplit: Callable[[], Trial | None]


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
    program = _Program(spec, entry, request, extras, replays)
    asked, trials = program.asks(spec, machine, workload)
    trial = trials.best()
    if refined is not None:
        trial = refined(trial)
    resolved = _in_own_terms(resolved_workload(asked.workload, trial), asked)
    speed = None if brief else with_slowdown(trials.speed(trial), trials, trial)
    filled = replace(workload, context_tokens=resolved.context_tokens)
    longest = None if brief else trials.largest_context(trial)
    split_notes, split_basis = _of_the_split(trials, trial, machine, longest)
    attempts = Attempts(program.attempt, partial(program.resplit, spec, machine, workload))
    commands = {}
    if trial.runs or trial.judgement.verdict == "tight" or force:
        commands[entry.id] = program.commands(spec, machine, workload, trial)
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
        commands=commands,
        remedies=() if brief else remedies(spec, machine, filled, trial, attempts),
        notes=(*spec.notes, *asked.notes, *_notes(spec, machine, workload, trial), *split_notes),
        basis=()
        if speed is None
        else (
            *basis_of(spec, trial, machine, speed, prompt_tokens=workload.prompt_tokens),
            *split_basis,
            *slowdown_basis(speed),
        ),
        load_from_disk_s=load_from_disk_s(spec, trial.memory, machine),
    )


class _Program(NamedTuple):
    """A program that starts llama.cpp, and what stays the same whatever is tried with it."""

    spec: ModelSpec
    entry: RuntimeEntry
    request: PlacementRequest
    extras: Extras
    replays: Replays

    def asks(self, model: ModelSpec, machine: Machine, workload: Workload) -> tuple[Asked, Trials]:
        """Return what the program asks llama.cpp for, and the trials of it."""
        asked = self.entry.adapter().asked(model, machine, workload, self.request)
        with_them, beside = self._with_companions(asked.workload)
        asked = asked._replace(workload=with_them)
        # another file type shares the layers, a smaller model does not
        replays = self.replays if model.layers is self.spec.layers else Replays()
        fitted = _fitted(model, machine, asked, replays)
        trials = Trials(
            model,
            machine,
            with_them,
            fitted,
            beside,
            replays=replays,
            experts_move=asked.experts_move,
            splits_move=asked.splits_move,
        )
        return asked, trials

    def attempt(self, model: ModelSpec, machine: Machine, workload: Workload) -> Trial:
        """Return the best trial of a changed request; any one where none can run."""
        trials = self.asks(model, machine, workload)[1]
        return trials.first() if trials.is_too_large() else trials.best()

    def resplit(self, model: ModelSpec, machine: Machine, workload: Workload) -> Trial | None:
        """Return the best trial of a request that leaves the split over its accelerators open.

        None where it does so already, or the program cannot be told of a split.
        """
        request = self.request
        freed = replace(request, tensor_split=None, split_mode=None, devices=None)
        if freed == request or request.devices == ():
            return None
        if request.devices is not None:
            machine = _with_accelerators(machine, request.devices)
        asked, trials = self._replace(request=freed).asks(model, machine, workload)
        return trials.best() if asked.splits_move else None

    def commands(
        self, model: ModelSpec, machine: Machine, workload: Workload, trial: Trial
    ) -> tuple[str, ...]:
        """Return the commands that start a trial."""
        shown = workload
        if self.entry.id == DEFAULT_RUNTIME:  # others load companions by themselves
            shown, _ = self._with_companions(workload)
        run = Run(model, model_file(model), shown, self.request, trial, machine)
        return self.entry.adapter().commands(run)

    def _with_companions(self, workload: Workload) -> tuple[Workload, Extras]:
        if not self.spec.companions:
            return workload, self.extras
        from whatfits.sizing.companions import with_companions  # noqa: PLC0415 - few models

        return with_companions(workload, self.extras, self.spec.companions)


def _with_accelerators(machine: Machine, ids: Sequence[str]) -> Machine:
    """Return a machine with some of its accelerators alone, in another order."""
    by_id = {device.id.lower(): device for device in machine.accelerators}
    chosen = (by_id[name.lower()] for name in ids)
    others = (device for device in machine.devices if device.id.lower() not in by_id)
    return replace(machine, devices=(*chosen, *others))


def _notes(spec: ModelSpec, machine: Machine, workload: Workload, trial: Trial) -> tuple[str, ...]:
    """Return what else to know of a trial, and of the machine it is for."""
    return (
        *_beyond_training(spec, trial),
        *_refused_inputs(spec, workload, trial),
        *_draft_notes(spec, trial),
        *left_out_notes(machine),
        *unverified_notes(machine),
        *trial.judgement.notes,
    )


def _beyond_training(spec: ModelSpec, trial: Trial) -> tuple[str, ...]:
    """Return what to say of a sequence that may get longer than the model was trained for."""
    trained = spec.hparams.context_train_tokens
    asked = trial.settings.requested_context_tokens
    if trial.settings.streams > 1:
        asked //= trial.settings.sequences
    if trained is None or asked <= trained:
        return ()
    more = "memory for more is taken, and not made good use of"
    return (f"The model was trained for {format_tokens(trained)} tokens: {more}.",)


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
    trials: Trials, trial: Trial, machine: Machine, longest: int | None
) -> tuple[tuple[str, ...], tuple[Basis, ...]]:
    """Return what is to be said of the split over accelerators, in notes and as a reason."""
    if len(trial.placement.accelerators) < 2:  # noqa: PLR2004 - nothing is split
        return (), ()
    from whatfits.sizing.basis_split import split_basis, split_notes  # noqa: PLC0415 - several cards

    notes = split_notes(trials, trial, machine, longest=longest)
    return notes, split_basis(trials, trial, machine)


def _fitted(spec: ModelSpec, machine: Machine, asked: Asked, replays: Replays) -> PlacementRequest:
    """Return where things go: as asked for, or as llama.cpp's own fitting step decides it."""
    if asked.fit_margin_bytes is None:
        return asked.request
    from whatfits.sizing.runtimes.llama_cpp_fit import fit_to_memory  # noqa: PLC0415 - few runtimes

    decided = fit_to_memory(
        spec,
        machine,
        asked.workload,
        asked.request,
        margin_bytes=asked.fit_margin_bytes,
        replays=replays,
    )
    if decided.request.gpu_layers is not None or asked.request.devices == ():
        return decided.request
    # nothing was to be moved: all of them stay, whatever our own search would say
    every = spec.n_layers + spec.hparams.n_layer_nextn + 1
    return replace(decided.request, gpu_layers=every)


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


def model_file(spec: ModelSpec) -> str:
    """Return the path to write into a command: the file itself, or its usual name."""
    if spec.source == "catalog" or spec.planned:
        return f"{spec.name}-{spec.file_type}.gguf".translate(_PLAIN)
    return spec.file or spec.source
