"""Models cut over nodes: bytes that add up, layers that are all there, traffic by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fleet_machines import model, nodes

from whatfits.sizing import check
from whatfits.sizing.catalog.networks import find_network
from whatfits.sizing.fleets.exo_split import layers_by_memory, split_exo
from whatfits.sizing.fleets.rpc_split import split_rpc
from whatfits.sizing.fleets.vllm_split import split_vllm
from whatfits.sizing.runtimes.vllm_parallel import Cut
from whatfits.sizing.runtimes.vllm_weights import stage_weights
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.fleets.plans import FleetPlan

NETWORK = find_network("10gbe")
LLAMA_70B = {"width": 8192, "layers": 80, "vocabulary": 128_256}
F32, HALF = 4, 2


def check_sums(plan: FleetPlan) -> None:
    """Hold a plan's bytes against themselves: rows, shares and the bill are one sum."""
    memory = plan.memory
    assert sum(row.total_bytes for row in memory.devices) == memory.total_bytes
    assert sum(share.total_bytes for share in plan.shares) == memory.total_bytes
    assert sum(share.high_bytes for share in plan.shares) == memory.high_bytes
    assert {row.device.partition("/")[0] for row in memory.devices} == set(plan.nodes)


@pytest.mark.parametrize(
    ("machines", "ranks", "stages"),
    [
        (["4x rtx-4090 + 128gb"] * 2, 4, 2),
        (["8x rtx-4090 + 128gb"] * 3, 8, 3),
        (["3x rtx-4090 + 128gb"] * 3, 1, 9),  # 3 does not divide 64 heads
        (["6x rtx-4090 + 128gb"] * 2, 2, 6),  # 6 does not, 2 does
        (["8x rtx-4090 + 128gb", "4x rtx-3090 + 64gb"], 4, 2),
    ],
)
def test_ranks_stay_within_a_node_and_stages_go_across(
    machines: list[str], ranks: int, stages: int
) -> None:
    split = split_vllm(model("llama-3.1-70b", "vllm"), nodes(*machines), Workload(), NETWORK)
    assert split is not None
    assert (split.plan.ranks, split.plan.stages) == (ranks, stages)
    check_sums(split.plan)
    assert sum(share.layers for share in split.plan.shares) == LLAMA_70B["layers"]
    owners = [device.id.partition("/")[0] for device in split.settings.devices]
    for stage in range(stages):
        assert len(set(owners[stage * ranks : (stage + 1) * ranks])) == 1


def test_llama_cpp_over_nodes_tells_every_default_as_one_machine_does() -> None:
    spec = model("llama-3.1-70b", "llama.cpp")
    given = nodes("rtx-4090 + 64gb", "rtx-3090 + 32gb")
    split = split_rpc(spec, given, Workload(parallel=2), NETWORK)
    assert split is not None
    alone = check("llama-3.1-70b", machine="h100-sxm5-80gb + 256gb", workload={"parallel": 2})
    told, theirs = split.plan.workload, alone.workload
    assert replace(told, cache_ram_mib=None) == replace(theirs, cache_ram_mib=None)
    # what the host's memory allows
    assert told.cache_ram_mib is not None
    assert (told.kv_type_k, told.batch, told.micro_batch) == ("f16", 2048, 512)


def test_weights_of_all_ranks_are_those_of_the_model() -> None:
    spec = model("llama-3.1-70b", "vllm")
    split = split_vllm(spec, nodes(*["4x rtx-4090 + 128gb"] * 2), Workload(), NETWORK)
    assert split is not None
    whole = stage_weights(spec, Cut(1, 1))[0].mid_bytes
    cut = sum(one.weights.mid_bytes for one in split.found.bill.devices)
    norms = LLAMA_70B["width"] * HALF * (2 * LLAMA_70B["layers"] + 1)
    rotary = 131_072 * 128 * HALF  # cosines and sines of every position
    assert whole <= cut <= whole + 8 * (norms + rotary)  # both are on every rank


def test_stages_of_unequal_memory_get_unequal_layers_that_hold_more_cache() -> None:
    spec = model("llama-3.1-8b", "vllm")
    given = nodes("rtx-4090 + 64gb", "rtx-3060-12gb + 64gb")
    split = split_vllm(spec, given, Workload(), NETWORK)
    assert split is not None
    counts = split.settings.cut.layer_counts
    assert counts is not None
    assert sum(counts) == spec.n_layers
    assert counts[0] > counts[1]
    check_sums(split.plan)
    assert [share.layers for share in split.plan.shares] == list(counts)
    assert split.plan.verdict == "fits"


def test_a_stage_sends_hidden_states_and_residual_and_the_token_comes_back() -> None:
    given = nodes(*["4x rtx-4090 + 128gb"] * 3)
    split = split_vllm(model("llama-3.1-70b", "vllm"), given, Workload(), NETWORK)
    assert split is not None
    assert split.plan.traffic is not None
    assert split.plan.traffic.token_bytes == 2 * 2 * LLAMA_70B["width"] * HALF
    assert split.plan.traffic.messages == 3


@pytest.mark.parametrize(
    "machines",
    [
        ["rtx-4090 + 64gb", "rx 7900 xtx + 64gb"],  # two back ends
        ["rtx-4090 + 64gb", "64gb"],
        ["m4 max 64gb", "m4 max 64gb"],
    ],
)
def test_vllm_is_not_cut_over_what_it_does_not_run_on(machines: list[str]) -> None:
    spec = model("llama-3.1-8b", "vllm")
    assert split_vllm(spec, nodes(*machines), Workload(), NETWORK) is None


def test_servers_have_the_first_layers_and_the_program_the_output() -> None:
    given = nodes("rtx-3090 + 32gb", "rtx-4090 + 64gb", "2x rtx-3060-12gb + 32gb")
    split = split_rpc(model("llama-3.1-70b"), given, Workload(), NETWORK)
    assert split is not None
    plan, placement = split.plan, split.trial.placement
    main = plan.nodes[-1]
    homes = [
        placement.accelerators[device].id.partition("/")[0]
        for device in placement.layer_device
        if device is not None
    ]
    assert placement.output_device is not None
    assert placement.accelerators[placement.output_device].id.startswith(f"{main}/")
    assert homes[-1] == main
    assert [device.kind for device in placement.accelerators].count("rpc") == 3 - (main == "n2")
    check_sums(plan)
    assert sum(share.layers for share in plan.shares) == LLAMA_70B["layers"]


def test_a_token_goes_to_each_server_and_back_with_its_mask() -> None:
    given = nodes("rtx-4090 + 64gb", "rtx-4090 + 64gb")
    split = split_rpc(model("llama-3.1-70b"), given, Workload(prompt_tokens=300), NETWORK)
    assert split is not None
    assert split.plan.verdict == "fits"
    traffic = split.plan.traffic
    assert traffic is not None
    assert traffic.token_bytes == F32 * (2 * LLAMA_70B["width"] + 300)
    assert traffic.step_bytes == 0
    assert traffic.messages == 2


def test_from_one_server_to_the_next_a_token_goes_through_the_program() -> None:
    given = nodes(*["rtx-3090 + 32gb"] * 3)
    split = split_rpc(model("llama-3.1-70b"), given, Workload(prompt_tokens=100), NETWORK)
    assert split is not None
    assert split.plan.traffic is not None
    crossings = 1 + 2 + 1
    assert split.plan.traffic.token_bytes == F32 * (crossings * LLAMA_70B["width"] + 2 * 100)
    assert split.plan.traffic.messages == 4


def test_logits_come_back_from_a_server_where_the_program_has_no_accelerator() -> None:
    split = split_rpc(model("llama-3.1-70b"), nodes("32gb", "32gb"), Workload(), NETWORK)
    assert split is not None
    assert split.plan.traffic is not None
    assert split.plan.traffic.step_bytes == F32 * LLAMA_70B["vocabulary"]


def test_layers_on_a_servers_processor_beside_a_card_are_slow() -> None:
    given = nodes("rtx-4090 + 16gb", "64gb")
    split = split_rpc(model("llama-3.1-70b"), given, Workload(), NETWORK)
    assert split is not None
    assert split.plan.verdict == "slow"
    assert "processor of n1" in split.plan.verdict_reason


def test_macs_have_layers_by_their_memory_and_bytes_that_add_up() -> None:
    spec = model("llama-3.1-70b", "mlx")
    plan = split_exo(spec, nodes("m4 max 64gb", "m4 max 36gb"), Workload(), NETWORK)
    assert plan is not None
    check_sums(plan)
    big, small = plan.shares
    assert big.layers + small.layers == LLAMA_70B["layers"]
    assert big.layers > small.layers
    kept = sum(row.weights_bytes for row in plan.memory.devices)
    assert spec.tensor_bytes < kept < 1.05 * spec.tensor_bytes  # embedding and output twice
    assert plan.traffic is not None
    assert plan.traffic.token_bytes == 2 * LLAMA_70B["width"] * HALF


def test_exo_is_not_planned_where_a_node_is_no_mac() -> None:
    spec = model("llama-3.1-8b", "mlx")
    assert split_exo(spec, nodes("m4 max 64gb", "rtx-4090 + 64gb"), Workload(), NETWORK) is None
    assert split_exo(spec, nodes("m4 max 64gb", "64gb"), Workload(), NETWORK) is None


@pytest.mark.parametrize(
    ("n_layers", "rooms", "counts"),
    [(80, [3, 1], [60, 20]), (10, [1, 1, 1], [3, 4, 3]), (2, [100, 1], None), (4, [0, 0], None)],
)
def test_a_ring_is_cut_in_proportion(
    n_layers: int, rooms: list[int], counts: list[int] | None
) -> None:
    found = layers_by_memory(n_layers, rooms)
    assert (None if found is None else [len(layers) for layers in found]) == counts


def test_without_a_network_a_cut_fits_all_the_same_and_has_no_speed() -> None:
    split = split_rpc(
        model("llama-3.1-70b"), nodes("rtx-4090 + 64gb", "rtx-4090 + 64gb"), Workload(), None
    )
    assert split is not None
    assert split.plan.verdict == "fits"
    assert split.plan.speed is not None
    assert split.plan.speed.decode_tokens_per_s is None
    assert "--network" in (split.plan.speed.reason or "")
