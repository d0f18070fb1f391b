"""The composition of a plan: every file type sized, one chosen, every runtime asked.

`answer` is the engine's front door, handed in because it stands above this module.
"""

from __future__ import annotations

from functools import partial

from whatfits.sizing.errors import BadInputError, InvalidRequestError
from whatfits.sizing.estimate import Plan, RuntimeAnswer
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.planner import (
    USUAL_CONTEXT_TOKENS,
    FileTypeOption,
    TriedType,
    choose,
    context_rule,
    file_type_rule,
    option_of,
    other_choice,
    try_file_types,
)
from whatfits.sizing.quants.default_type import LADDER, UNASKED
from whatfits.sizing.runtimes import RUNTIMES
from whatfits.sizing.typed import TYPE_CHECKING, Protocol
from whatfits.sizing.values import dataclass, field_names, replace
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whatfits.sizing.estimate import Remedy
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import Workload

__all__ = ["BestPlan", "Choice", "best_plan", "choose_plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestPlan(Plan):
    """A plan, how it was chosen, what else there was, and what every runtime makes of it.

    Attributes:
        rules: how file type and context were chosen, one sentence each.
        file_types: the file types there were to choose from, best quality first.
        runtimes: every runtime's own answer for the chosen file type and context.
    """

    rules: tuple[str, ...]
    file_types: tuple[FileTypeOption, ...]
    runtimes: tuple[RuntimeAnswer, ...]


class Answer(Protocol):
    """`whatfits.sizing.api.answer`."""

    def __call__(
        self,
        spec: ModelSpec,
        *,
        machine: Machine,
        workload: Workload,
        request: PlacementRequest,
        runtime: str = "llama.cpp",
        force: bool = False,
        replays: Replays | None = None,
        brief: bool = False,
    ) -> Plan:
        """Return one runtime's plan."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """What the rules chose and the plan of it, before every other runtime is asked.

    Attributes:
        plan: llama.cpp's plan of it.
        rules: how file type and context were chosen, one sentence each.
        tried: the file types there were to choose from, best quality first.
        model: the model under the chosen file type.
        workload: what was asked, with the chosen context.
        request: where layers go.
        ask: asks one runtime about one model on this machine.
        replays: those of the model under any file type.
    """

    plan: Plan
    rules: tuple[str, ...]
    tried: tuple[TriedType, ...]
    model: ModelSpec
    workload: Workload
    request: PlacementRequest
    ask: Callable[..., Plan]
    replays: Replays


def choose_plan(
    answer: Answer,
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
    """Return what the stated rules choose.

    Raises:
        InvalidRequestError: a value of the request is out of range.
    """
    if longest and workload.context_tokens is not None:
        raise InvalidRequestError(
            what="the longest context and", got=workload.context_tokens, allowed="one of them"
        )
    specs, replays = _specs(spec, fixed=fixed_file_type), Replays()
    tried = try_file_types(specs.values(), machine, workload, request, replays=replays)
    chosen, fast_enough = choose(tried, usual=spec.file_type, least_tokens_per_s=least_tokens_per_s)
    context = workload.context_tokens
    if context is None and (most := chosen.largest_context_tokens) is not None:
        context = most if longest else min(most, USUAL_CONTEXT_TOKENS)
    rules = [
        file_type_rule([*specs], least_tokens_per_s=least_tokens_per_s),
        context_rule(asked=workload.context_tokens, longest=longest),
    ]
    if not fast_enough:
        rules.append(f"Nothing writes {least_tokens_per_s:g} tokens/s here: this is the fastest.")
    if chosen.verdict == "no" and len(tried) > 1:
        rules.append(f"None of them runs here: this is {chosen.file_type}, the usual one.")
    other = other_choice(tried, chosen, least_tokens_per_s=least_tokens_per_s)
    if other is not None:
        rules.append(other)
    model, asked = specs[chosen.file_type], replace(workload, context_tokens=context)
    ask = partial(answer, machine=machine, request=request, force=force, replays=replays)
    plan = ask(model, workload=asked)
    return Choice(plan, tuple(rules), tried, model, asked, request, ask, replays)


def best_plan(
    choice: Choice,
    *,
    quality: Callable[[str], str],
    loaded_for: Callable[[str], ModelSpec] | None = None,
) -> BestPlan:
    """Return a choice with everything beside it: the other file types, and every runtime's answer.

    `quality` says what a file type costs in quality. `loaded_for` loads the model as another
    runtime takes it, by that one's id; without it the runtimes that take no GGUF are left without
    an answer.
    """
    plan = choice.plan
    first = _answered(plan, known=plan.notes)
    runtimes = (
        replace(first, notes=_left_to_itself(choice)),
        *_others(choice, loaded_for=loaded_for),
    )
    values = {name: getattr(plan, name) for name in field_names(plan) or ()}
    values["commands"] = {r.runtime: r.commands for r in runtimes if r.commands}
    types = tuple(option_of(tried, quality=quality) for tried in choice.tried)
    return BestPlan(**values, rules=choice.rules, file_types=types, runtimes=runtimes)


def _specs(spec: ModelSpec, *, fixed: bool) -> dict[str, ModelSpec]:
    """Return the model under every file type to choose from, best quality first.

    A file has its type; a model of the catalog or a checkpoint can become any.
    """
    is_file = spec.source != "catalog" and not spec.planned
    if fixed or is_file or not spec.tensors:
        return {spec.file_type or "": spec}
    from whatfits.sizing.requantise import requantised  # noqa: PLC0415 - one path

    # which type it was loaded with was nobody's choice
    spec = replace(spec, notes=tuple(n for n in spec.notes if not n.startswith(UNASKED)))
    present = spec.file_type or ""
    # the type it is published in first: of equal sizes nothing is gained by another
    specs = {present: spec}
    specs |= {name: requantised(spec, name) for name in LADDER if name != present}
    return dict(sorted(specs.items(), key=lambda item: item[1].tensor_bytes, reverse=True))


def _left_to_itself(choice: Choice) -> tuple[str, ...]:
    """Return what llama.cpp's own fitting step would do otherwise; nothing where it does the same.

    Only what the command says counts: a placement that was asked for is not fitted.
    """
    plan, request = choice.plan, choice.request
    if not plan.placement.devices or request != PlacementRequest(devices=request.devices):
        return ()
    from whatfits.sizing.runtimes.llama_cpp_fit import fit_to_memory  # noqa: PLC0415 - with devices
    from whatfits.sizing.search.split_search import split_counts  # noqa: PLC0415 - same

    own = fit_to_memory(
        choice.model, plan.machine, choice.workload, request, replays=choice.replays
    ).request
    every = choice.model.n_layers + 1
    layers = every if own.gpu_layers is None else own.gpu_layers
    by_name = len(own.overrides)
    planned = resolve_placement(choice.model, plan.placement, plan.machine)
    counts = split_counts(resolve_placement(choice.model, own, plan.machine))
    kept_alike = (layers, by_name) == (min(planned.gpu_layers, every), planned.cpu_moe_layers)
    if kept_alike and counts == split_counts(planned):
        return ()
    parts = f", parts of {by_name} of them on the host" if by_name else ""
    kept = f"{layers} of {every} layers on devices{parts}"
    flags = "-ngl"
    if len(counts) > 1:  # it does not touch a split that was given
        kept += f", shared out {','.join(map(str, counts))}"
        flags = "-ngl and -ts"
    return (
        f"Without {flags} llama.cpp's own fitting would keep {kept}: it leaves 1 GiB of each free.",
    )


def _others(
    choice: Choice, *, loaded_for: Callable[[str], ModelSpec] | None
) -> Iterator[RuntimeAnswer]:
    """Yield what each other runtime makes of the chosen context, and file type if it takes it."""
    plan, workload = choice.plan, choice.workload
    slots = plan.workload.parallel or 1
    context = plan.workload.context_tokens
    of_a_slot = (context or 0) // slots
    for entry in RUNTIMES[1:]:
        asked = replace(workload, context_tokens=of_a_slot if entry.counts_slots else context)
        if entry.loader is not None and loaded_for is None:
            yield RuntimeAnswer(entry.id, None, "it takes no GGUF: name the model, not the file")
            continue
        try:
            spec = choice.model
            if entry.loader is not None and loaded_for is not None:
                spec = loaded_for(entry.id)
            ask = partial(choice.ask, spec, workload=asked, runtime=entry.id)
            own = ask(brief=True)  # speed and basis are told of the plan's own runtime alone
        except BadInputError as error:
            yield RuntimeAnswer(entry.id, None, str(error))
        else:
            # the others have the plan's file type, and what would help is told with the plan
            has_own_form = entry.loader is not None and own.verdict == "no"
            remedies = ask().remedies if has_own_form else ()
            yield _answered(own, known=plan.notes, remedies=remedies)


def _answered(
    plan: Plan, *, known: tuple[str, ...], remedies: tuple[Remedy, ...] = ()
) -> RuntimeAnswer:
    return RuntimeAnswer(
        runtime=plan.runtime,
        verdict=plan.verdict,
        reason=plan.verdict_reason,
        total_bytes=plan.memory.total_bytes,
        high_bytes=plan.memory.high_bytes,
        context_tokens=plan.workload.context_tokens,
        commands=plan.commands.get(plan.runtime, ()),
        notes=tuple(note for note in plan.notes if note not in known),
        remedies=remedies,
    )
