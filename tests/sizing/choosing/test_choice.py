"""What a plan is made of: the file types there are, the context, and every runtime's answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check
from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.api.answering import answer
from whatfits.sizing.catalog.quality import quality_cost
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import ByteRange
from whatfits.sizing.planning import best_plan, choose_plan
from whatfits.sizing.quants.default_type import LADDER, UNASKED
from whatfits.sizing.runtimes import RUNTIMES
from whatfits.sizing.runtimes.llama_cpp_fit import fit_to_memory
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.planning import BestPlan, Choice

CARD = load_machine("rtx 3060 12gb + 16gb")
LARGE = load_machine("h100-pcie-80gb + 256gb")
SMALL = "smollm2-135m"
LONG = "llama-3.2-1b"  # trained for 131,072 tokens
TAKES_A_FILE = [entry.id for entry in RUNTIMES if entry.loader is None]


def chosen(
    model: str | ModelSpec,
    machine: Machine = CARD,
    *,
    workload: Workload | None = None,
    request: PlacementRequest | None = None,
    fixed: bool = True,
) -> Choice:
    spec = load_model(model) if isinstance(model, str) else model
    return choose_plan(
        answer,
        spec,
        machine=machine,
        workload=workload or Workload(),
        request=request or PlacementRequest(),
        fixed_file_type=fixed,
    )


def planned(
    model: str | ModelSpec,
    machine: Machine = CARD,
    *,
    name: str | None = None,
    workload: Workload | None = None,
    request: PlacementRequest | None = None,
) -> BestPlan:
    """Return a plan; `name` is what other runtimes load."""
    choice = chosen(model, machine, workload=workload, request=request)
    if name is None:
        return best_plan(choice, quality=quality_cost)
    return best_plan(
        choice, quality=quality_cost, loaded_for=lambda runtime: load_model(name, runtime=runtime)
    )


def small_card(mib: int, *, bare: Machine = CARD) -> Machine:
    """Return the machine with a card of so many MiB, all of them free."""
    pool = replace(bare.pools[0], total_bytes=mib << 20, reserve_bytes=0, total_low_bytes=None)
    return replace(bare, pools=(pool, *bare.pools[1:]))


# file types


def test_a_model_of_the_catalog_is_tried_in_every_file_type_of_the_ladder() -> None:
    free = choose_plan(
        answer,
        load_model(SMALL, file_type="Q4_0"),
        machine=CARD,
        workload=Workload(),
        request=PlacementRequest(),
    )
    names = [one.file_type for one in free.tried]
    assert sorted(names) == sorted([*LADDER, "Q4_0"])
    sizes = [one.trial.memory.weights_bytes for one in free.tried]
    assert sizes == sorted(sizes, reverse=True)
    assert free.plan.model.file_type == free.model.file_type == names[0] == "Q8_0"
    assert free.rules == (
        "File type: the best of Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q3_K_M, Q2_K with the best verdict.",
        "Context: the longest that runs, at most 32,768 tokens.",
    )


def test_a_file_type_of_the_ladder_is_there_once() -> None:
    free = chosen(load_model(SMALL, file_type="Q6_K"), fixed=False)
    assert [one.file_type for one in free.tried] == list(LADDER)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, len(LADDER)),
        ({"source": "/models/a.gguf"}, 1),
        ({"source": "/models/config.json", "planned": True}, len(LADDER)),
        ({"planned": True}, len(LADDER)),
        ({"tensors": (), "weights": ByteRange(10**8, 2 * 10**8, 3 * 10**8, "unread")}, 1),
    ],
)
def test_a_file_has_its_type_and_what_is_made_can_have_any(
    changes: dict[str, object], count: int
) -> None:
    spec = replace(load_model(SMALL), **changes)  # type: ignore[arg-type]
    found = chosen(spec, fixed=False)
    assert len(found.tried) == count
    assert found.rules[0].startswith("File type: the best" if count > 1 else "File type: as given")
    assert len(chosen(spec, fixed=True).tried) == 1


def test_a_file_that_does_not_say_its_type_is_planned_for() -> None:
    spec = replace(load_model(SMALL), source="/models/a.gguf", file_type=None)
    found = chosen(spec, fixed=False)
    assert [one.file_type for one in found.tried] == [""]
    assert found.model is spec
    made = chosen(replace(spec, source="catalog"), fixed=False)
    assert sorted(one.file_type for one in made.tried) == sorted(["", *LADDER])


def test_that_nobody_asked_for_a_file_type_is_not_told_where_one_is_chosen() -> None:
    spec = replace(load_model(SMALL), notes=(f"{UNASKED}: Q4_K_M, the usual balance.", "Kept."))
    assert chosen(spec, fixed=False).model.notes == ("Kept.",)
    assert chosen(spec, fixed=True).model.notes == spec.notes


# context


def test_the_context_is_the_usual_one_or_the_longest_or_as_asked_for() -> None:
    spec = load_model(LONG)
    asked = {"machine": LARGE, "request": PlacementRequest(), "fixed_file_type": True}
    usual = choose_plan(answer, spec, workload=Workload(), **asked)  # type: ignore[arg-type]
    longest = choose_plan(answer, spec, workload=Workload(), longest=True, **asked)  # type: ignore[arg-type]
    given = choose_plan(answer, spec, workload=Workload(context_tokens=999), **asked)  # type: ignore[arg-type]
    contexts = [one.plan.workload.context_tokens for one in (usual, longest, given)]
    assert contexts == [32_768, 131_072, 999]
    assert [one.workload.context_tokens for one in (usual, longest, given)] == contexts
    assert longest.rules[1] == "Context: the longest that runs."
    assert given.rules[1] == "Context: as asked for."


def test_a_shorter_training_bounds_the_usual_context() -> None:
    assert chosen(SMALL).plan.workload.context_tokens == 8192


def test_where_no_context_runs_the_runtimes_default_is_told() -> None:
    found = chosen(
        LONG, load_machine("8gb + rtx 3060 12gb"), request=PlacementRequest(gpu_layers=9)
    )
    assert found.plan.workload.context_tokens == 32_768
    none = chosen("llama-3.1-405b", load_machine("8gb"))
    assert none.workload.context_tokens is None
    assert none.plan.verdict == "no"
    assert none.plan.workload.context_tokens == 8192


def test_the_longest_context_and_a_context_are_not_both_asked_for() -> None:
    with pytest.raises(InvalidRequestError, match=r"longest context and.*4096.*one of them"):
        choose_plan(
            answer,
            load_model(SMALL),
            machine=CARD,
            workload=Workload(context_tokens=4096),
            request=PlacementRequest(),
            longest=True,
        )


# speed


def test_where_nothing_is_fast_enough_the_rules_say_so() -> None:
    found = choose_plan(
        answer,
        load_model(SMALL),
        machine=CARD,
        workload=Workload(context_tokens=4096),
        request=PlacementRequest(),
        least_tokens_per_s=1e9,
    )
    assert found.rules[2:] == ("Nothing writes 1e+09 tokens/s here: this is the fastest.",)
    assert found.plan.model.file_type == "Q2_K"


def test_a_command_is_given_where_it_fits_or_where_it_is_forced() -> None:
    asked = {"workload": Workload(context_tokens=4096), "request": PlacementRequest()}
    spec, machine = load_model("llama-3.1-405b"), load_machine("8gb")
    free, forced = (
        choose_plan(answer, spec, machine=machine, fixed_file_type=True, force=force, **asked)  # type: ignore[arg-type]
        for force in (False, True)
    )
    left = choose_plan(answer, spec, machine=machine, fixed_file_type=True, **asked)  # type: ignore[arg-type]
    assert free.plan.commands == left.plan.commands == {}
    assert forced.plan.commands["llama.cpp"]


# every runtime


def test_a_plan_keeps_every_figure_of_its_choice() -> None:
    choice = chosen(SMALL)
    whole = best_plan(choice, quality=quality_cost)
    for name in ("model", "workload", "memory", "verdict", "speed", "basis", "notes", "machine"):
        assert getattr(whole, name) == getattr(choice.plan, name), name
    assert whole.rules == choice.rules
    assert [one.file_type for one in whole.file_types] == ["Q4_K_M"]
    assert whole.file_types[0].quality_cost == quality_cost("Q4_K_M")
    assert list(whole.commands) == [row.runtime for row in whole.runtimes if row.commands]
    assert all(
        whole.commands[row.runtime] == row.commands for row in whole.runtimes if row.commands
    )


def told_alone(model: str, workload: Workload, runtime: str) -> Plan | str:
    """Return what `check` says of a model under a runtime, or why it cannot."""
    try:
        return check(model, machine=CARD, workload=workload, runtime=runtime)
    except InvalidRequestError as error:
        return str(error)


@pytest.mark.parametrize("parallel", [None, 1, 4])
def test_every_runtime_answers_for_the_chosen_context_as_check_does(parallel: int | None) -> None:
    plan = planned(SMALL, name=SMALL, workload=Workload(context_tokens=4096, parallel=parallel))
    assert [row.runtime for row in plan.runtimes] == [entry.id for entry in RUNTIMES]
    for entry, row in zip(RUNTIMES, plan.runtimes, strict=True):
        context = 4096 // (parallel or 1) if entry.counts_slots else 4096
        workload = Workload(context_tokens=context, parallel=parallel)
        alone = told_alone(SMALL, workload, entry.id)
        if isinstance(alone, str):
            assert (row.verdict, row.reason, row.total_bytes) == (None, alone, None)
            continue
        assert row.verdict == alone.verdict
        assert row.reason == alone.verdict_reason
        assert row.total_bytes == alone.memory.total_bytes
        assert row.high_bytes == alone.memory.high_bytes
        assert row.context_tokens == alone.workload.context_tokens
        assert row.commands == alone.commands.get(entry.id, ())
        if row.runtime != "llama.cpp":
            assert row.notes == tuple(one for one in alone.notes if one not in plan.notes)


def test_of_a_file_only_those_answer_that_take_files() -> None:
    plan = planned(SMALL)
    silent = {row.runtime: row.reason for row in plan.runtimes if row.verdict is None}
    assert silent == {
        entry.id: "it takes no GGUF: name the model, not the file"
        for entry in RUNTIMES
        if entry.loader is not None
    }
    assert [row.runtime for row in plan.runtimes if row.verdict] == TAKES_A_FILE
    named = planned(SMALL, name=SMALL)
    assert {row.runtime for row in named.runtimes if row.verdict} > set(TAKES_A_FILE)


def test_a_runtime_that_refuses_says_why() -> None:
    plan = planned(SMALL, name="no-such-model")
    (reason,) = {row.reason for row in plan.runtimes if row.runtime not in TAKES_A_FILE}
    assert "no-such-model" in reason
    assert {row.verdict for row in plan.runtimes if row.runtime in TAKES_A_FILE} == {"fits"}


# llama.cpp left to itself


def said_of_itself(plan: BestPlan) -> tuple[str, ...]:
    return plan.runtimes[0].notes


@pytest.mark.parametrize("mib", [900, 950, 1000, 1100, 1500, 1900])
def test_what_llama_cpps_own_fitting_would_keep_is_said_where_it_is_less(mib: int) -> None:
    """Its margin of 1 GiB costs layers on a card that our bill fills."""
    machine = small_card(mib)
    workload = Workload(context_tokens=4096)
    own = fit_to_memory(load_model(SMALL), machine, workload, PlacementRequest()).request
    plan = planned(SMALL, machine, workload=workload)
    kept = 31 if own.gpu_layers is None else own.gpu_layers
    if kept == plan.placement.gpu_layers:
        assert said_of_itself(plan) == ()
    else:
        (said,) = said_of_itself(plan)
        assert said == (
            f"Without -ngl llama.cpp's own fitting would keep {kept} of 31 layers on devices: "
            "it leaves 1 GiB of each free."
        )
    assert (said_of_itself(plan) == ()) == (mib >= 1500)


def test_nothing_is_said_where_both_keep_everything() -> None:
    for name in (SMALL, "granite-3.0-1b-a400m"):
        assert said_of_itself(planned(name, workload=Workload(context_tokens=4096))) == ()


def test_layers_that_predict_further_tokens_are_not_counted() -> None:
    """There are 32 layers and the output; the one that predicts a token more is not loaded."""
    plan = planned("qwen3.5-4b", LARGE, workload=Workload(context_tokens=4096))
    assert load_model("qwen3.5-4b").hparams.n_layer_nextn == 1
    assert plan.placement.gpu_layers == load_model("qwen3.5-4b").n_layers + 2
    assert said_of_itself(plan) == ()


def test_parts_on_the_host_are_counted_beside_the_layers() -> None:
    name, workload = "granite-3.0-1b-a400m", Workload(context_tokens=4096)
    machine = small_card(2000)
    own = fit_to_memory(load_model(name), machine, workload, PlacementRequest()).request
    plan = planned(name, machine, workload=workload)
    assert own.overrides
    kept = 25 if own.gpu_layers is None else own.gpu_layers
    (said,) = said_of_itself(plan)
    parts = f", parts of {len(own.overrides)} of them on the host"
    assert f"would keep {kept} of 25 layers on devices{parts}: " in said


@pytest.mark.parametrize(
    ("request_", "is_said"),
    [
        (PlacementRequest(), True),
        (PlacementRequest(devices=("cuda0",)), True),
        (PlacementRequest(devices=()), False),
        (PlacementRequest(gpu_layers=31), False),
        (PlacementRequest(mmap=False), False),
    ],
)
def test_only_a_placement_that_is_left_open_is_fitted(
    request_: PlacementRequest, is_said: bool
) -> None:
    plan = planned(
        SMALL, small_card(1000), workload=Workload(context_tokens=4096), request=request_
    )
    assert bool(said_of_itself(plan)) == is_said


def test_without_a_card_there_is_nothing_to_fit() -> None:
    assert said_of_itself(planned(SMALL, load_machine("16gb"))) == ()
