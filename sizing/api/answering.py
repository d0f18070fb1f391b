"""Answers for values that are already loaded; what else they need is read here."""

from __future__ import annotations

from whatfits.sizing.api.loading import load_model
from whatfits.sizing.extras import NO_EXTRAS
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, OtherModels, find_runtime
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from whatfits.sizing.estimate import Plan, Remedy
    from whatfits.sizing.extras import Extras
    from whatfits.sizing.graph.index import Replays
    from whatfits.sizing.llama_program import Attempts
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import BestPlan, Choice
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["answer", "choice_for", "plan_of"]


def answer(
    spec: ModelSpec,
    *,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    runtime: str = DEFAULT_RUNTIME,
    force: bool = False,
    refined: Callable[[Trial], Trial] | None = None,
    replays: Replays | None = None,
    brief: bool = False,
) -> Plan:
    """Return the plan for values that are already loaded.

    `refined` betters the chosen trial; `replays` are those of the model under any file type, for
    those who ask more than once. A `brief` answer has no longest context, no speed, no basis and
    no remedies: to find those takes longer than all the rest.
    """
    entry = find_runtime(runtime)
    if not entry.starts_llama_cpp:
        from whatfits.sizing.left_out import left_out_notes
        from whatfits.sizing.unsized import unsized_notes
        from whatfits.sizing.unverified import unverified_notes

        others = _other_models(runtime)
        plan = entry.own().plan(
            spec, machine, workload, request, others=others, force=force, brief=brief
        )
        of_machine = (
            *left_out_notes(machine),
            *unverified_notes(machine),
            *unsized_notes(machine, plan.verdict),
        )
        return _as_supposed(replace(plan, notes=(*plan.notes, *of_machine)))
    from whatfits.sizing.graph.index import Replays
    from whatfits.sizing.llama_answer import llama_plan

    plan = llama_plan(
        spec,
        entry=entry,
        machine=machine,
        workload=workload,
        request=request,
        extras=_extras(spec, workload),
        remedies=_remedies,
        brief=brief,
        force=force,
        refined=refined,
        replays=replays or Replays(),
    )
    return _as_supposed(plan)


def _as_supposed(plan: Plan) -> Plan:
    """Return the plan, with what its speed supposes where it does not fit."""
    if plan.verdict != "no":
        return plan
    from whatfits.sizing.speed.as_if import as_if_it_fitted

    return as_if_it_fitted(plan)


def choice_for(
    spec: ModelSpec,
    *,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    fixed_file_type: bool = False,
    least_tokens_per_s: float | None = None,
    longest: bool = False,
    force: bool = False,
) -> Choice:
    """Return what is chosen for values that are already loaded; `plan_of` makes it whole."""
    from whatfits.sizing.planning import choose_plan

    return choose_plan(
        answer,
        spec,
        machine=machine,
        workload=workload,
        request=request,
        fixed_file_type=fixed_file_type,
        least_tokens_per_s=least_tokens_per_s,
        longest=longest,
        force=force,
    )


def plan_of(choice: Choice, *, name: str | None = None) -> BestPlan:
    """Return the best plan that a choice began; `name` is what was loaded, None for a file."""
    from whatfits.sizing.catalog.quality import quality_cost
    from whatfits.sizing.planning import best_plan

    def loaded_for(runtime: str) -> ModelSpec:
        assert name is not None
        return load_model(name, runtime=runtime)

    return best_plan(choice, quality=quality_cost, loaded_for=None if name is None else loaded_for)


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
    from whatfits.sizing.draft_pairs import check_pair
    from whatfits.sizing.sources.extra_files import load_extras

    extras = load_extras(spec, workload)
    if extras.draft is not None:
        check_pair(spec, extras.draft)
    return extras


def _remedies(
    spec: ModelSpec,
    machine: Machine,
    workload: Workload,
    trial: Trial,
    attempts: Attempts,
) -> tuple[Remedy, ...]:
    """Return what would help; nothing is loaded when nothing has to."""
    if trial.judgement.verdict in ("fits", "unknown"):
        return ()
    from whatfits.sizing.catalog.quality import quality_cost
    from whatfits.sizing.draft_pairs import has_close_vocabulary
    from whatfits.sizing.remedies.answer import remedies_of
    from whatfits.sizing.remedies.larger_cards import larger_cards
    from whatfits.sizing.remedies.trials import RemedySearch
    from whatfits.sizing.requantise import requantised
    from whatfits.sizing.search.rooms import room_of_all
    from whatfits.sizing.sources.smaller_models import smaller_models

    room = room_of_all(machine)
    room_bytes = sum(pool.total_bytes or 0 for pool in machine.pools) if room is None else room
    draft = trial.extras.draft

    def smaller() -> Iterator[ModelSpec]:
        for other in smaller_models(spec, room_bytes=room_bytes):
            if draft is None or has_close_vocabulary(other, draft):
                yield other

    search = RemedySearch(
        model=spec,
        machine=machine,
        workload=workload,
        trial=trial,
        attempt=attempts.changed,
        instead=attempts.instead,
        resplit=attempts.resplit,
        on_cpu=attempts.on_cpu,
        unpinned=attempts.unpinned,
        requantised=(lambda name: requantised(spec, name)) if spec.tensors else None,
        quality=quality_cost,
        smaller=smaller,
        larger=lambda: larger_cards(machine),
    )
    return remedies_of(search)
