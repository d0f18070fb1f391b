"""The library's front door: one call a question, the same engine as every other surface.

from whatfits.sizing import check
plan = check("llama-3.1-8b", machine="rtx-4090 + 64gb", workload={"context_tokens": 32768})
plan.verdict, plan.memory.total_bytes, plan.largest_context_tokens
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whatfits.sizing.extras import NO_EXTRAS
from whatfits.sizing.machine import Machine
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, OtherModels, find_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from whatfits.probes.report import ProbeReport
    from whatfits.sizing.estimate import Plan, Remedy
    from whatfits.sizing.extras import Extras
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.need_rows import Need
    from whatfits.sizing.planning import BestPlan
    from whatfits.sizing.ranking import RankedModel
    from whatfits.sizing.residents import TogetherPlan
    from whatfits.sizing.search import Trial
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = [
    "answer",
    "check",
    "find_models",
    "hardware",
    "load_machine",
    "load_model",
    "need",
    "plan",
    "plan_for",
    "together",
]


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


def find_models(
    machine: str | Machine | Mapping[str, Any] | None = None,
    *,
    file_type: str | None = None,
    workload: Workload | Mapping[str, Any] | None = None,
) -> list[RankedModel]:
    """Return the catalog's models on a machine, one row each: verdict first, biggest first.

    Args:
        machine: as in `check`.
        file_type: one quantisation for all; unset, the best by the stated rule
            (`whatfits.sizing.ranking.FILE_TYPE_RULE`).
        workload: as in `check`, the same for all.

    Raises:
        BadInputError: something given cannot be used, or no model can run under the workload.
    """
    from whatfits.sizing.catalog.lookup import model_entries
    from whatfits.sizing.catalog.shares import stored_model
    from whatfits.sizing.ranker import rank
    from whatfits.sizing.ranking import sort_rows
    from whatfits.sizing.sources.catalog_model import load_entry

    rows = rank(
        model_entries(),
        load_machine(machine),
        load=load_entry,
        workload=_workload(workload),
        file_type=file_type,
        stored=stored_model,
    )
    return sort_rows(rows, "size")


def need(
    model: str | ModelSpec,
    *,
    file_type: str | None = None,
    runtime: str = DEFAULT_RUNTIME,
    machine: str | Machine | Mapping[str, Any] | None = None,
    workload: Workload | Mapping[str, Any] | None = None,
    users: int | None = None,
    least_tokens_per_s: float | None = None,
    today: date | None = None,
) -> Need:
    """Return which machines run a model entirely in their fastest memory, and what to add to one.

    Args:
        model: as in `check`.
        file_type: as in `check`.
        runtime: whose rules to use: `llama.cpp`, `vllm` or `mlx`.
        machine: as in `check`; the one that cards would be added to.
        workload: as in `check`; an unset context is 8,192 tokens, or less where training ended.
        users: each with the whole context, all at once; unset: the workload as it is.
        least_tokens_per_s: how fast it has to write, by the middle of the estimate.
        today: the day that prices of rented GPUs are aged by; None leaves those out.

    Raises:
        BadInputError: something given cannot be used; the message says what is allowed.
    """
    from whatfits.sizing.catalog.lookup import device_entries, rental_offers
    from whatfits.sizing.need_search import NeedSearch
    from whatfits.sizing.needing import for_users, need_runtime, trials_under

    entry = need_runtime(runtime)
    spec = model
    if isinstance(spec, str):
        spec = load_model(spec, file_type=file_type, runtime=runtime)
    is_own = not entry.starts_llama_cpp
    asked = for_users(_workload(workload), spec, users, is_own=is_own)
    search = NeedSearch(
        spec,
        asked,
        trials_under(entry, spec, asked),
        machine_of=load_machine,
        least_tokens_per_s=least_tokens_per_s,
    )
    return search.need(
        device_entries(), here=load_machine(machine), offers=rental_offers(), today=today
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
        from whatfits.sizing.unverified import unverified_notes

        others = _other_models(runtime)
        plan = entry.own().plan(spec, machine, workload, request, others=others, force=force)
        return replace(plan, notes=(*plan.notes, *unverified_notes(machine)))
    from whatfits.sizing.llama_answer import llama_plan

    return llama_plan(
        spec,
        entry=entry,
        machine=machine,
        workload=workload,
        request=request,
        extras=_extras(spec, workload),
        remedies=_remedies,
        force=force,
        refined=refined,
    )


def _other_models(runtime: str) -> OtherModels:
    """Return how a runtime's remedies get at other models."""

    def loaded(name: str, file_type: str | None) -> ModelSpec:
        return load_model(name, file_type=file_type, runtime=runtime)

    def smaller(spec: ModelSpec, room_bytes: int) -> Iterable[ModelSpec]:
        from whatfits.sizing.sources.smaller_models import smaller_models

        return smaller_models(spec, room_bytes=room_bytes)

    return OtherModels(loaded, smaller)


def _extras(spec: ModelSpec, workload: Workload) -> Extras:
    """Return what the workload names beside the model, read from disk."""
    if not (workload.model_draft or workload.mmproj or workload.lora):
        return NO_EXTRAS
    from whatfits.sizing.sources.extra_files import load_extras

    return load_extras(spec, workload)


def _remedies(
    spec: ModelSpec,
    machine: Machine,
    workload: Workload,
    trial: Trial,
    attempt: Callable[[ModelSpec, Machine, Workload], Trial],
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
        trial=trial,
        attempt=attempt,
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
    """Return this machine with what was measured on it: by real loads, and by `bench`."""
    from whatfits.probes.kept_file import CALIBRATION, is_kept
    from whatfits.probes.measurements import is_anything_stored

    if is_kept(CALIBRATION):
        from whatfits.probes.calibration import default_calibration_path, with_calibration

        machine = with_calibration(machine, default_calibration_path())
    if is_anything_stored():
        from whatfits.probes.measurements import Store, default_path, fingerprint
        from whatfits.probes.overheads import with_measured_overheads

        loads = Store(default_path()).loads(machine=fingerprint(machine))
        machine = with_measured_overheads(machine, loads)
    return machine


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
