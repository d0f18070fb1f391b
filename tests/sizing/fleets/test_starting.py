"""What starts a fleet has only flags and fields that the programs' documentation names."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest
from documented import CASES, DOCUMENTED, check_command, lines, plan_of
from fleet_machines import model, nodes, planned

from whatfits.sizing.fleets.starting.exo_start import exo_start
from whatfits.sizing.fleets.starting.vllm_start import vllm_start
from whatfits.sizing.fleets.vllm_split import split_vllm
from whatfits.sizing.workload import Workload


@pytest.mark.parametrize("case", CASES)
def test_every_command_has_only_documented_flags(case: str) -> None:
    plan = plan_of(case)
    assert plan.verdict == "fits"
    assert len(lines(plan)) >= 2
    for _, line in lines(plan):
        check_command(line)


def test_every_documented_program_names_its_source() -> None:
    for kind in ("commands", "manifests", "configurations"):
        assert all(len(entry["source"]) > 5 for entry in DOCUMENTED[kind].values())


def test_a_flag_that_nobody_documented_would_be_noticed() -> None:
    with pytest.raises(AssertionError):
        check_command("rpc-server -H pc --turbo")
    with pytest.raises(AssertionError):
        check_command("VLLM_MAGIC=1 vllm serve model")


def test_each_node_has_its_own_rank_and_all_know_the_first() -> None:
    plan = plan_of("vllm")
    own = [e for e in plan.commands if e.way == "vLLM's own processes"]
    assert [entry.node for entry in own] == list(plan.nodes)
    for rank, entry in enumerate(own):
        (line,) = entry.commands
        assert f"--nnodes 2 --node-rank {rank} --master-addr n0" in line
        assert line.endswith("--headless") == (rank > 0)
        assert line.startswith("vllm serve ")  # it finds its own address where a report has a name
    ray = [line for e in plan.commands if e.way == "a Ray cluster" for line in e.commands]
    assert ray[0] == "ray start --head --port=6379"
    assert ray[1] == "ray start --address=n0:6379"
    assert ray[2].endswith("--distributed-executor-backend ray")


def test_unequal_layers_are_told_and_left_to_nobody_else() -> None:
    plan = plan_of("vllm unequal")
    counts = [share.layers for share in plan.shares]
    assert counts[0] != counts[1]
    assert plan.files == ()
    for _, line in lines(plan):
        assert f"VLLM_PP_LAYER_PARTITION={','.join(map(str, counts))} " in line
        assert "ray" not in line


def test_only_the_devices_of_the_plan_are_seen() -> None:
    spec = model("llama-3.1-70b", "vllm")
    given = nodes("8x rtx-4090 + 64gb", "4x rtx-4090 + 64gb")
    split = split_vllm(spec, given, Workload(), None)
    assert split is not None
    assert spec.checkpoint is not None
    started = vllm_start(spec.checkpoint, split, given)
    by_node = {e.node: e.commands[0] for e in started if "processes" in e.way}
    assert "CUDA_VISIBLE_DEVICES=0,1,2,3 " in by_node["n0"]
    assert "CUDA_VISIBLE_DEVICES" not in by_node["n1"]


def test_the_program_knows_every_server_in_the_order_of_the_layers() -> None:
    plan = plan_of("rpc")
    *servers, (main, line) = lines(plan)
    assert main == plan.nodes[-1]
    words = shlex.split(line)
    assert words[words.index("--rpc") + 1] == ",".join(f"{node}:50052" for node, _ in servers)
    shares = [int(n) for n in words[words.index("-ts") + 1].split(",")]
    layers = [share.layers for share in plan.shares]
    assert shares[:-1] == layers[:-1]
    assert shares[-1] == layers[-1] + 1  # with the output layer


def test_exo_is_started_on_every_mac_and_told_the_model_once() -> None:
    plan = plan_of("exo")
    started = [node for node, line in lines(plan) if line == "exo"]
    assert started == list(plan.nodes)
    (add,) = (line for _, line in lines(plan) if "models/add" in line)
    body = json.loads(shlex.split(add)[-1])
    assert body == {"model_id": "mlx-community/MODEL"}  # nobody named a repository of MLX weights


def test_exo_is_told_the_repository_without_a_revision() -> None:
    read = replace(model("llama-3.1-70b", "mlx"), planned=False)
    spec = replace(read, source="hf:mlx-community/a-model@v2")
    found = planned(spec, nodes("m4 max 36gb", "m4 max 36gb"), runtimes=("mlx",))
    plan = next(plan for plan in found.plans if plan.strategy == "pipeline")
    (add,) = (line for _, line in lines(plan) if "models/add" in line)
    assert json.loads(shlex.split(add)[-1]) == {"model_id": "mlx-community/a-model"}


def test_a_repositorys_name_stays_one_word_of_a_command() -> None:
    for entry in exo_start(["mac"], "org/it's; rm -rf ~"):
        for line in entry.commands:
            check_command(line)


def test_what_a_report_calls_a_device_stays_one_word_of_a_command() -> None:
    first, second = nodes("4x rtx-4090 + 64gb", "4x rtx-4090 + 64gb")
    hostile = first.machine.devices[0]
    renamed = replace(hostile, id="cuda0; reboot #")
    extra = replace(hostile, id="cuda9", features=(*hostile.features, "unusable"))
    machine = replace(first.machine, devices=(renamed, *first.machine.devices[1:], extra))
    found = planned("llama-3.1-70b", (replace(first, machine=machine), second), runtimes=("vllm",))
    cut = next(plan for plan in found.plans if plan.strategy == "pipeline")
    line = next(e.commands[0] for e in cut.commands if e.node == first.node)
    told = next(word for word in shlex.split(line) if word.startswith("CUDA_VISIBLE_DEVICES="))
    assert told == "CUDA_VISIBLE_DEVICES=0; reboot #,1,2,3"
