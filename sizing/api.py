"""The library's front door: one call a question, the same engine as every other surface.

from whatfits.sizing import check
plan = check("llama-3.1-8b", machine="rtx-4090 + 64gb", workload={"context_tokens": 32768})
plan.verdict, plan.memory.total_bytes, plan.largest_context_tokens
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from whatfits.sizing.extras import NO_EXTRAS
from whatfits.sizing.machine import Machine
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, Run, find_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from whatfits.probes.report import ProbeReport
    from whatfits.sizing.estimate import Plan, Remedy
    from whatfits.sizing.extras import Extras
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import BestPlan
    from whatfits.sizing.residents import TogetherPlan
    from whatfits.sizing.runtimes import Asked
    from whatfits.sizing.search import Trial
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = [
    "answer",
    "check",
    "hardware",
    "load_machine",
    "load_model",
    "plan",
    "plan_for",
    "together",
]

_PLAIN: Final = str.maketrans("/:", "--")  # names of Ollama's have both, names of files neither
_UNVERIFIED_MARK: Final = "unverified-"


def check(
    model: str | ModelSpec,
    *,
    file_type: str | None = None,
    runtime: str = DEFAULT_RUNTIME,
    machine: str | Machine | Mapping[str, Any] | None = None,
    workload: Workload | Mapping[str, Any] | None = None,
    placement: PlacementRequest | Mapping[str, Any] | None = None,
    force: bool = False,
    quick: bool = False,
) -> Plan:
    """Return whether and how a model runs on a machine.

    Args:
        model: a catalog name, the path of a GGUF file, of a checkpoint or its config.json,
            `hf:org/repo[@revision][:file or file type]`, or a ModelSpec.
        file_type: quantisation, as the runtime names it; unset: Q4_K_M or what is like it there,
            or the model's native one.
        runtime: whose rules to use.
        machine: a machine expression, a saved report, a machine object, or None for this machine.
        workload: context, sequences, cache types …; unset fields are the runtime's defaults.
        placement: where layers go; unset: the best placement that fits.
        force: give the command even when the plan does not fit.
        quick: a model at an address from a single request, with an interval for its weights.

    Raises:
        BadInputError: something given cannot be used; the message says what is allowed.
    """
    find_runtime(runtime)  # before anything is read
    spec = model
    if isinstance(spec, str):
        spec = load_model(spec, file_type=file_type, quick=quick, runtime=runtime)
    return answer(
        spec,
        machine=load_machine(machine),
        workload=_workload(workload),
        request=_placement(placement),
        runtime=runtime,
        force=force,
    )


def plan(
    model: str | ModelSpec,
    *,
    file_type: str | None = None,
    machine: str | Machine | Mapping[str, Any] | None = None,
    workload: Workload | Mapping[str, Any] | None = None,
    placement: PlacementRequest | Mapping[str, Any] | None = None,
    least_tokens_per_s: float | None = None,
    longest: bool = False,
    force: bool = False,
) -> BestPlan:
    """Return the best way to run a model on a machine, and what every runtime makes of it.

    Args:
        model: as in `check`.
        file_type: only this quantisation; unset, the best by the stated rule.
        machine: as in `check`.
        workload: as in `check`; an unset context becomes the longest that runs, up to 32,768.
        placement: as in `check`.
        least_tokens_per_s: how fast it has to write, by the middle of the estimate.
        longest: the longest context that runs, without a limit.
        force: give the commands even when the plan does not fit.

    Raises:
        BadInputError: something given cannot be used; the message says what is allowed.
    """
    spec = load_model(model, file_type=file_type) if isinstance(model, str) else model
    return plan_for(
        spec,
        name=model if isinstance(model, str) else None,
        machine=load_machine(machine),
        workload=_workload(workload),
        request=_placement(placement),
        fixed_file_type=file_type is not None,
        least_tokens_per_s=least_tokens_per_s,
        longest=longest,
        force=force,
    )


def plan_for(
    spec: ModelSpec,
    *,
    name: str | None = None,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    fixed_file_type: bool = False,
    least_tokens_per_s: float | None = None,
    longest: bool = False,
    force: bool = False,
) -> BestPlan:
    """Return the best plan for values that are already loaded; `name` is what was loaded."""
    from whatfits.sizing.catalog.quality import quality_cost
    from whatfits.sizing.planning import best_plan

    def loaded_for(runtime: str) -> ModelSpec:
        assert name is not None
        return load_model(name, runtime=runtime)

    return best_plan(
        answer,
        spec,
        machine=machine,
        workload=workload,
        request=request,
        fixed_file_type=fixed_file_type,
        least_tokens_per_s=least_tokens_per_s,
        longest=longest,
        force=force,
        quality=quality_cost,
        loaded_for=None if name is None else loaded_for,
    )


def together(
    models: Sequence[str | ModelSpec],
    *,
    machine: str | Machine | Mapping[str, Any] | None = None,
    workload: Workload | Mapping[str, Any] | None = None,
    placement: PlacementRequest | Mapping[str, Any] | None = None,
    first_port: int = 8080,
    force: bool = False,
) -> TogetherPlan:
    """Return whether and how several models stay loaded on a machine at once.

    Args:
        models: as in `check`, each with its file type behind a colon where it is not the usual
            one; placed in this order.
        machine: as in `check`.
        workload: as in `check`, the same for all; a context longer than a model was trained for is
            cut to what it was.
        placement: as in `check`, the same for all.
        first_port: that of the first model's server; the others count up from it.
        force: give the commands even of models that do not fit.

    Raises:
        BadInputError: something given cannot be used; the message says what is allowed.
    """
    from whatfits.sizing.catalog.quality import quality_cost
    from whatfits.sizing.requantise import requantised
    from whatfits.sizing.residents import place_together
    from whatfits.sizing.sources.named_model import load_named

    return place_together(
        answer,
        [load_named(model) if isinstance(model, str) else model for model in models],
        machine=load_machine(machine),
        workload=_workload(workload),
        request=_placement(placement),
        requantised=requantised,
        quality=quality_cost,
        first_port=first_port,
        force=force,
    )


def answer(
    spec: ModelSpec,
    *,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    runtime: str = DEFAULT_RUNTIME,
    force: bool = False,
    refined: Callable[[Trial], Trial] | None = None,
) -> Plan:
    """Return the plan for values that are already loaded; `refined` betters the chosen trial."""
    entry = find_runtime(runtime)
    if not entry.starts_llama_cpp:
        plan = entry.own().plan(spec, machine, workload, request, force=force)
        return replace(plan, notes=(*plan.notes, *_unverified(machine)))
    from whatfits.sizing.basis import basis_of
    from whatfits.sizing.estimate import ModelSummary, Plan
    from whatfits.sizing.load_time import load_from_disk_s
    from whatfits.sizing.search import Trials
    from whatfits.sizing.speed import estimate_speed
    from whatfits.sizing.version import SCHEMA_VERSION

    adapter = entry.adapter()
    asked = adapter.asked(spec, machine, workload, request)
    extras = _extras(spec, workload)
    if spec.companions:
        from whatfits.sizing.companions import with_companions

        if runtime == DEFAULT_RUNTIME:  # others load what belongs to a model by themselves
            workload, _ = with_companions(workload, extras, spec.companions)
        with_them, extras = with_companions(asked.workload, extras, spec.companions)
        asked = asked._replace(workload=with_them)
    trials = Trials(
        spec,
        machine,
        asked.workload,
        _fitted(spec, machine, asked),
        extras,
        experts_move=asked.experts_move,
    )
    trial = trials.best()
    if refined is not None:
        trial = refined(trial)
    weights = trials.weights(trial)
    speed = estimate_speed(
        spec, trial.settings, trial.placement, weights, prompt_tokens=workload.prompt_tokens
    )
    resolved = _resolved(asked.workload, trial)
    largest = trials.largest_context(trial)
    if asked.slot_contexts is not None:
        resolved = replace(
            resolved, context_tokens=(resolved.context_tokens or 0) // asked.slot_contexts
        )
        largest = None if largest is None else largest // asked.slot_contexts
    commands = {}
    if trial.runs or trial.judgement.verdict == "tight" or force:
        run = Run(spec, _model_file(spec), workload, request, trial, machine)
        commands[runtime] = adapter.commands(run)
    return Plan(
        schema_version=SCHEMA_VERSION,
        model=ModelSummary.of(spec),
        workload=resolved,
        placement=_placed(trial),
        runtime=runtime,
        machine=machine,
        verdict=trial.judgement.verdict,
        verdict_reason=trial.judgement.reason,
        memory=trial.memory,
        largest_context_tokens=largest,
        speed=speed,
        commands=commands,
        remedies=_remedies(spec, machine, asked.workload, asked.request, trial),
        notes=(*spec.notes, *asked.notes, *_unverified(machine), *trial.judgement.notes),
        basis=basis_of(spec, trial, machine, speed),
        load_from_disk_s=load_from_disk_s(spec, trial.memory, machine),
    )


def _fitted(spec: ModelSpec, machine: Machine, asked: Asked) -> PlacementRequest:
    """Return where things go: as asked for, or as llama.cpp's own fitting step decides it."""
    if asked.fit_margin_bytes is None:
        return asked.request
    from whatfits.sizing.runtimes.llama_cpp_fit import fit_to_memory

    decided = fit_to_memory(
        spec, machine, asked.workload, asked.request, margin_bytes=asked.fit_margin_bytes
    )
    if decided.request.gpu_layers is not None or asked.request.devices == ():
        return decided.request
    # nothing was to be moved: all of them stay, whatever our own search would say
    every = spec.n_layers + spec.hparams.n_layer_nextn + 1
    return replace(decided.request, gpu_layers=every)


def _extras(spec: ModelSpec, workload: Workload) -> Extras:
    """Return what the workload names beside the model, read from disk."""
    if not (workload.model_draft or workload.mmproj or workload.lora):
        return NO_EXTRAS
    from whatfits.sizing.sources.extra_files import load_extras

    return load_extras(spec, workload)


def _unverified(machine: Machine) -> tuple[str, ...]:
    """Return one sentence for each device with values that nobody re-read at a source."""
    said: dict[str, str] = {}
    for device in machine.devices:
        marks = [f for f in device.features if f.startswith(_UNVERIFIED_MARK)]
        if marks:
            named = ", ".join(mark.removeprefix(_UNVERIFIED_MARK) for mark in marks)
            said[device.name] = f"Unverified of {device.name}, not read at a source: {named}."
    return tuple(said.values())


def _remedies(
    spec: ModelSpec, machine: Machine, workload: Workload, request: PlacementRequest, trial: Trial
) -> tuple[Remedy, ...]:
    """Return what would help; nothing is loaded when nothing has to."""
    if trial.judgement.verdict in ("fits", "unknown"):
        return ()
    from whatfits.sizing.catalog.quality import quality_cost
    from whatfits.sizing.remedies import RemedySearch
    from whatfits.sizing.requantise import requantised
    from whatfits.sizing.sources.smaller_models import smaller_models

    room_bytes = sum(pool.total_bytes or 0 for pool in machine.pools)
    return RemedySearch(
        model=spec,
        machine=machine,
        workload=workload,
        request=request,
        trial=trial,
        requantised=(lambda name: requantised(spec, name)) if spec.tensors else None,
        quality=quality_cost,
        smaller=lambda: smaller_models(spec, room_bytes=room_bytes),
    ).remedies()


def hardware() -> ProbeReport:
    """Return what can be read of this machine, with evidence and findings."""
    from whatfits.probes import detect

    return detect()


def load_model(
    name: str,
    *,
    file_type: str | None = None,
    quick: bool = False,
    runtime: str = DEFAULT_RUNTIME,
) -> ModelSpec:
    """Return the model behind a catalog name, a path, a repository or an address, for a runtime.

    `quick`: from as few requests as can be, with an interval for the weights.

    Raises:
        BadInputError: unknown name, unreadable or malformed file, unknown file type.
    """
    from whatfits.sizing.sources import load

    return load(name, file_type=file_type, quick=quick, loader=find_runtime(runtime).loader)


def load_machine(machine: str | Machine | Mapping[str, Any] | None) -> Machine:
    """Return the machine behind an expression, a saved report, an object, or this machine.

    Raises:
        BadInputError: the expression, file or object is no machine.
    """
    if isinstance(machine, Machine):
        return machine
    if machine is None:
        return _with_measurements(hardware().machine)
    if isinstance(machine, str):
        from whatfits.sizing.sources.machine_file import read_machine

        return read_machine(machine, replay=_replayed)
    from whatfits.sizing.requests import machine_from_object

    return machine_from_object(machine)


def _replayed(recording: Mapping[str, Any]) -> Machine:
    """Return the machine that `whatfits hardware --doctor` recorded."""
    from whatfits.probes import detect
    from whatfits.probes.replay import ReplaySystem

    return detect(ReplaySystem(recording)).machine


def _with_measurements(machine: Machine) -> Machine:
    """Return this machine with what real loads on it have measured, if there were any."""
    from whatfits.probes.measurements import (
        Store,
        default_path,
        fingerprint,
        is_anything_stored,
    )

    if not is_anything_stored():
        return machine
    from whatfits.probes.overheads import with_measured_overheads

    loads = Store(default_path()).loads(machine=fingerprint(machine))
    return with_measured_overheads(machine, loads)


def _workload(given: Workload | Mapping[str, Any] | None) -> Workload:
    from whatfits.sizing.workload import Workload

    if given is None or isinstance(given, Workload):
        return given or Workload()
    from whatfits.sizing.requests import workload_from_object

    return workload_from_object(given)


def _placement(given: PlacementRequest | Mapping[str, Any] | None) -> PlacementRequest:
    from whatfits.sizing.workload import PlacementRequest

    if given is None or isinstance(given, PlacementRequest):
        return given or PlacementRequest()
    from whatfits.sizing.requests import placement_from_object

    return placement_from_object(given)


def _resolved(workload: Workload, trial: Trial) -> Workload:
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
    from whatfits.sizing.speculation import draft_type, drafted_tokens
    from whatfits.sizing.units import MIB

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


def _model_file(spec: ModelSpec) -> str:
    """Return the path to write into a command: the file itself, or its usual name."""
    if spec.source == "catalog" or spec.planned:
        return f"{spec.name}-{spec.file_type}.gguf".translate(_PLAIN)
    return spec.file or spec.source
