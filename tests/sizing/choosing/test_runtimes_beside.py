"""What every runtime makes of a choice, and llama.cpp left to itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from small_plans import CARD, LARGE, SMALL, TAKES_A_FILE, chosen, planned, small_card

from whatfits.sizing import check
from whatfits.sizing import plan as make_plan
from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.catalog.quality import quality_cost
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.planning import best_plan
from whatfits.sizing.runtimes import RUNTIMES
from whatfits.sizing.runtimes.llama_cpp_fit import fit_to_memory
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.planning import BestPlan


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
        assert row.remedies == ()
        if row.runtime != "llama.cpp":
            assert row.notes == tuple(one for one in alone.notes if one not in plan.notes)


def test_what_would_help_a_runtime_with_a_form_of_its_own_is_passed_on() -> None:
    name, machine = "qwen3-8b", "rtx 3060 12gb + 32gb"
    plan = make_plan(name, machine=machine)
    rows = {row.runtime: row for row in plan.runtimes}
    of_vllm = rows.pop("vllm")
    workload = {"context_tokens": plan.workload.context_tokens}
    alone = check(name, machine=machine, workload=workload, runtime="vllm")
    assert of_vllm.verdict == alone.verdict == "no"
    assert of_vllm.remedies == alone.remedies
    remedy, card = of_vllm.remedies
    assert remedy.change["file_type"] == "awq"
    assert card.key == "machine"
    assert all(row.remedies == () for row in rows.values())


def test_where_no_context_surely_fits_all_answer_for_the_one_that_is_told() -> None:
    # on its own LM Studio would take 4,096 tokens and Ollama, by the memory, 4,096 as well
    machine = load_machine("m2 16gb")
    plan = planned("gpt-oss-20b", machine, name="gpt-oss-20b")
    assert plan.largest_context_tokens is None
    assert plan.workload.context_tokens == 8192
    told = {row.runtime: row.context_tokens for row in plan.runtimes if row.commands}
    assert set(told) == set(TAKES_A_FILE)
    assert set(told.values()) == {8192}


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
