"""One call a question."""

from __future__ import annotations

from whatfits.sizing.api.answering import answer, choice_for, plan_of
from whatfits.sizing.api.arguments import (
    check_count,
    check_day,
    check_list,
    check_speed,
    check_text,
)
from whatfits.sizing.api.loading import (
    load_machine,
    load_placement,
    load_spec,
    load_value,
    load_workload,
)
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from typing import Any

    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.needing.rows import Need
    from whatfits.sizing.planning import BestPlan
    from whatfits.sizing.ranking.rows import RankedModel
    from whatfits.sizing.residents import TogetherPlan
    from whatfits.sizing.serving.profile import Limits, LoadProfile
    from whatfits.sizing.serving.serve_plan import ServePlan
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["check", "find_models", "need", "plan", "serve", "together"]


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
    return answer(
        load_spec(model, file_type=file_type, quick=quick, runtime=runtime),
        machine=load_machine(machine),
        workload=load_workload(workload),
        request=load_placement(placement),
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
    check_speed(least_tokens_per_s)
    choice = choice_for(
        load_spec(model, file_type=file_type),
        machine=load_machine(machine),
        workload=load_workload(workload),
        request=load_placement(placement),
        fixed_file_type=file_type is not None,
        least_tokens_per_s=least_tokens_per_s,
        longest=longest,
        force=force,
    )
    return plan_of(choice, name=model if isinstance(model, str) else None)


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

    check_list(models, what="models", of="models")
    check_count(first_port, what="port")
    return place_together(
        answer,
        [load_named(model) if isinstance(model, str) else load_spec(model) for model in models],
        machine=load_machine(machine),
        workload=load_workload(workload),
        request=load_placement(placement),
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
    kind: str | None = None,
) -> list[RankedModel]:
    """Return the catalog's models on a machine, one row each: verdict first, biggest first.

    Args:
        machine: as in `check`.
        file_type: one quantisation for all; unset, the best by the stated rule
            (`whatfits.sizing.ranking.rows.FILE_TYPE_RULE`).
        workload: as in `check`, the same for all.
        kind: only `llm`, `vlm` or `embedding`.

    Raises:
        BadInputError: something given cannot be used, or no model can run under the workload.
    """
    from whatfits.sizing.catalog.lookup import MODEL_KINDS, model_entries
    from whatfits.sizing.catalog.shares import stored_model
    from whatfits.sizing.ranking.ranker import rank
    from whatfits.sizing.ranking.rows import sort_rows
    from whatfits.sizing.sources.catalog_model import load_entry

    if kind not in (None, *MODEL_KINDS):
        raise InvalidRequestError(what="kind", got=kind, allowed=", ".join(MODEL_KINDS))
    rows = rank(
        (entry for entry in model_entries() if kind in (None, entry.kind)),
        load_machine(machine),
        load=load_entry,
        workload=load_workload(workload),
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
    from whatfits.sizing.needing.question import for_users, need_runtime, trials_under
    from whatfits.sizing.needing.search import NeedSearch

    check_speed(least_tokens_per_s)
    check_day(today)
    if users is not None:
        check_count(users, what="number of users", allowed="a whole number, 1 or more")
    entry = need_runtime(runtime)
    spec = load_spec(model, file_type=file_type, runtime=runtime)
    is_own = not entry.starts_llama_cpp
    asked = for_users(load_workload(workload), spec, users, is_own=is_own)
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


def serve(
    model: str | ModelSpec,
    *,
    users: int = 1,
    file_type: str | None = None,
    runtime: str = DEFAULT_RUNTIME,
    machine: str | Machine | Mapping[str, Any] | None = None,
    workload: Workload | Mapping[str, Any] | None = None,
    placement: PlacementRequest | Mapping[str, Any] | None = None,
    load: LoadProfile | Mapping[str, Any] | None = None,
    limits: Limits | Mapping[str, Any] | None = None,
    seed: int = 0,
    force: bool = False,
    engine_version: str | None = None,
) -> ServePlan:
    """Return how many users a server of a model carries on a machine, and what each of them gets.

    Args:
        model: as in `check`.
        users: how many are asked about; the server is made for them.
        file_type: as in `check`.
        runtime: `llama.cpp`, `ollama` or `vllm`.
        machine: as in `check`.
        workload: as in `check`, but the context is that of one user, whatever the runtime's own
            flag counts; `parallel` sets the sequences at once instead of the engine.
        placement: as in `check`.
        load: what the users do: lengths, rate or pauses, shared prefix.
        limits: what they put up with: the first token and the speed of 19 of 20.
        seed: of the random numbers; the same seed gives the same answer.
        force: give the command even when the users are not served within the limits.
        engine_version: of vLLM, as `0.7.3`, or `unknown`, which makes intervals as wide as all of
            them; None: today's, which the command is for.

    Raises:
        BadInputError: something given cannot be used; the message says what is allowed.
    """
    if engine_version is not None:
        check_text(engine_version, what="version of vLLM", allowed="text, as '0.7.3'")
    from whatfits.sizing.serving.answer import serve_plan
    from whatfits.sizing.serving.profile import Limits, LoadProfile

    return serve_plan(
        answer,
        load_spec(model, file_type=file_type, runtime=runtime),
        runtime=runtime,
        machine=load_machine(machine),
        workload=load_workload(workload),
        request=load_placement(placement),
        users=users,
        load=load_value(LoadProfile, load, what="load"),
        limits=load_value(Limits, limits, what="limits"),
        seed=seed,
        force=force,
        engine_version=engine_version,
    )
