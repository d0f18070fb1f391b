"""The laws of a fleet: more nodes never harm, one is one machine, a faster link never slows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fleet_machines import model, nodes, planned
from hypothesis import given, settings
from hypothesis import strategies as st

from whatfits.sizing import BadInputError, check, fleet
from whatfits.sizing.errors import InvalidRequestError, UnknownModelError
from whatfits.sizing.fleets.plans import mid_rate, preference
from whatfits.sizing.verdict import MAY_RUN, VERDICT_ORDER
from whatfits.sizing.workload import Workload

MACHINES = (
    "rtx-4090 + 64gb",
    "rtx-3090 + 32gb",
    "2x rtx-3060-12gb + 16gb",
    "4x rtx-4090 + 128gb",
    "m4 max 36gb",
    "m4 24gb",
    "16gb",
    "64gb",
)
MODELS = ("qwen3-8b", "llama-3.1-70b", "qwen3-30b-a3b")
DRAWN = st.lists(st.sampled_from(MACHINES), min_size=1, max_size=3)


@settings(max_examples=25)
@given(machines=DRAWN, more=st.sampled_from(MACHINES), name=st.sampled_from(MODELS))
def test_a_node_more_never_makes_the_first_plan_worse(
    machines: list[str], more: str, name: str
) -> None:
    before = planned(name, nodes(*machines)).plans[0]
    after = planned(name, nodes(*machines, more)).plans[0]
    assert VERDICT_ORDER[after.verdict] <= VERDICT_ORDER[before.verdict]
    if before.verdict in MAY_RUN:
        assert preference(after) <= preference(before)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("machine", MACHINES)
def test_a_fleet_of_one_is_the_machine_itself(name: str, machine: str) -> None:
    (plan,) = (p for p in planned(name, nodes(machine)).plans if p.runtime == "llama.cpp")
    alone = check(name, machine=machine)
    assert plan.strategy == "single"
    assert plan.verdict == alone.verdict
    assert plan.verdict_reason == alone.verdict_reason
    assert plan.memory.total_bytes == alone.memory.total_bytes
    assert plan.memory.high_bytes == alone.memory.high_bytes
    assert plan.largest_context_tokens == alone.largest_context_tokens
    assert plan.speed == alone.speed
    assert plan.workload == alone.workload
    lines = tuple(line for entry in plan.commands for line in entry.commands)
    assert lines == alone.commands.get("llama.cpp", ())


@pytest.mark.parametrize(
    ("machines", "runtime", "where"),
    [
        (["rtx-4090 + 64gb", "rtx-3090 + 32gb"], "llama.cpp", "llama.cpp"),
        (["4x rtx-4090 + 128gb"] * 2, "vllm", "vllm"),
        (["m4 max 36gb"] * 2, "mlx", "exo"),
    ],
)
def test_a_faster_network_never_slows_a_cut(machines: list[str], runtime: str, where: str) -> None:
    rates = []
    for network in ("1gbe", "10gbe", "100gbe", "infiniband-ndr"):
        plans = planned("llama-3.1-70b", nodes(*machines, network=network), runtimes=(runtime,))
        cut = next(plan for plan in plans.plans if plan.strategy == "pipeline")
        assert (cut.runtime, cut.verdict) == (where, "fits")
        rates.append(mid_rate(cut.speed))
    assert rates == sorted(rates)
    assert rates[0] < rates[-1]


def test_a_cut_is_only_made_where_no_node_does_alone() -> None:
    plans = planned("qwen3-8b", nodes("rtx-4090 + 64gb", "rtx-3090 + 32gb")).plans
    assert plans[0].strategy == "single"
    assert {plan.strategy for plan in plans} == {"single", "replicas"}


def test_a_cut_takes_the_fewest_nodes_that_hold_the_model() -> None:
    plans = planned("llama-3.1-70b", nodes(*["rtx-4090 + 64gb"] * 5)).plans
    best = plans[0]
    assert (best.strategy, best.verdict, len(best.nodes)) == ("pipeline", "fits", 2)
    assert "no single one holds the model" in best.reasons[0]


def test_copies_leave_out_nodes_that_are_much_slower() -> None:
    found = planned("qwen3-8b", nodes("rtx-4090 + 64gb", "rtx-3090 + 32gb", "64gb"))
    copies = next(plan for plan in found.plans if plan.strategy == "replicas")
    assert sorted(copies.nodes) == ["n0", "n1"]
    assert copies.speed is not None
    both = [check("qwen3-8b", machine=m).speed for m in ("rtx-4090 + 64gb", "rtx-3090 + 32gb")]
    alone = [one.decode_tokens_per_s for one in both if one is not None]
    assert copies.speed.throughput_tokens_per_s is not None
    mids = [rate.mid for rate in alone if rate is not None]
    assert copies.speed.throughput_tokens_per_s.mid == pytest.approx(sum(mids), rel=0.01)


def test_copies_on_equal_nodes_take_as_much_each_as_one_alone() -> None:
    found = planned("qwen3-8b", nodes(*["rtx-4090 + 64gb"] * 3), runtimes=("vllm",))
    single, copies = found.plans
    assert (single.strategy, copies.strategy) == ("single", "replicas")
    assert copies.memory.total_bytes == 3 * single.memory.total_bytes
    assert copies.speed is not None
    assert single.speed is not None
    assert copies.speed.full_decode_tokens_per_s is not None
    assert copies.speed.full_decode_tokens_per_s == single.speed.full_decode_tokens_per_s
    assert copies.speed.full_depth_tokens == single.speed.full_depth_tokens
    assert {share.total_bytes for share in copies.shares} == {single.memory.total_bytes}


def test_nodes_on_different_networks_wait_for_the_slower_one() -> None:
    fast, slow = (
        nodes("rtx-4090 + 64gb", network="100gbe"),
        nodes("rtx-3090 + 32gb", network="1gbe"),
    )
    mixed = planned(
        "llama-3.1-70b",
        (*fast, replace(slow[0], node="other", address="other")),
        runtimes=("llama.cpp",),
    ).plans[0]
    all_slow = planned(
        "llama-3.1-70b",
        nodes("rtx-4090 + 64gb", "rtx-3090 + 32gb", network="1gbe"),
        runtimes=("llama.cpp",),
    ).plans[0]
    assert mixed.strategy == all_slow.strategy == "pipeline"
    assert mixed.speed == all_slow.speed


def test_what_no_fleet_holds_says_what_is_missing() -> None:
    found = planned("llama-3.1-405b", nodes("rtx-4090 + 64gb", "rtx-3090 + 32gb"))
    assert not any(plan.may_run for plan in found.plans)
    assert not any(plan.commands or plan.files for plan in found.plans)
    assert all("short" in plan.verdict_reason for plan in found.plans)


def test_the_library_takes_names_objects_and_nodes() -> None:
    found = fleet("qwen3-8b", ["rtx-4090 + 64gb", *nodes("rtx-3090 + 32gb")], network="10gbe")
    assert found.model == "qwen3-8b"
    assert found.plans[0].nodes == ("rtx-4090-64gb",)
    assert fleet("qwen3-8b", ["64gb"], runtime="llama.cpp").plans[0].runtime == "llama.cpp"


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"runtime": "ollama"}, "runtime"),
        ({"network": "tin cans"}, "network"),
        ({"workload": {"context_tokens": -1}}, "context"),
        ({"file_type": "Q9_X"}, "Q9_X"),
    ],
)
def test_what_cannot_be_used_is_refused(asked: dict[str, object], named: str) -> None:
    with pytest.raises(BadInputError, match=named):
        fleet("qwen3-8b", ["rtx-4090 + 64gb"], **asked)  # type: ignore[arg-type]


def test_no_machine_and_no_such_model_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="nodes"):
        fleet("qwen3-8b", [])
    with pytest.raises(UnknownModelError):
        fleet("qwen9-8b-nothing", ["64gb"])


def test_users_of_a_copy_are_those_that_were_asked_for() -> None:
    plans = planned(
        "qwen3-8b", nodes(*["rtx-4090 + 64gb"] * 2), workload=Workload(parallel=4)
    ).plans
    copies = next(p for p in plans if p.strategy == "replicas" and p.runtime == "llama.cpp")
    assert copies.workload.parallel == 4
    one = check("qwen3-8b", machine="rtx-4090 + 64gb", workload={"parallel": 4}).speed
    assert one is not None
    assert one.throughput_tokens_per_s is not None
    assert copies.speed is not None
    assert copies.speed.throughput_tokens_per_s is not None
    both = 2 * one.throughput_tokens_per_s.mid
    assert copies.speed.throughput_tokens_per_s.mid == pytest.approx(both, rel=0.01)


@pytest.mark.parametrize(
    ("machines", "runtime", "filled"),
    [
        (["4x rtx-4090 + 128gb"] * 2, "vllm", ("kv_type_k", "kv_type_v", "batch", "parallel")),
        (["m4 max 36gb"] * 2, "mlx", ("kv_type_k", "kv_type_v", "micro_batch", "parallel")),
    ],
)
def test_a_cut_names_the_same_defaults_as_one_machine(
    machines: list[str], runtime: str, filled: tuple[str, ...]
) -> None:
    plans = planned("llama-3.1-70b", nodes(*machines), runtimes=(runtime,)).plans
    single, cut = (
        next(plan.workload for plan in plans if plan.strategy == strategy)
        for strategy in ("single", "pipeline")
    )
    assert cut == single
    assert all(getattr(cut, name) is not None for name in filled)


def test_a_model_with_a_table_of_experts_is_cut_as_well() -> None:
    assert model("gpt-oss-120b").hparams.n_expert
    best = planned("gpt-oss-120b", nodes(*["2x rtx-4090 + 64gb"] * 2)).plans[0]
    assert (best.strategy, best.verdict) == ("pipeline", "fits")
