"""What starts a fleet has only flags and fields that the programs' documentation names."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fleet_machines import model, nodes, planned

from whatfits.sizing.fleets.starting.exo_start import exo_start
from whatfits.sizing.fleets.starting.routers import router_commands, router_files
from whatfits.sizing.fleets.starting.vllm_start import vllm_start
from whatfits.sizing.fleets.vllm_split import split_vllm
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.fleets.plans import FleetPlan

yaml = pytest.importorskip("yaml", reason="needs PyYAML")

RECORDED = Path(__file__).parents[2] / "recorded" / "fleet" / "documented.json"
DOCUMENTED: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
CASES = {
    "vllm": ("llama-3.1-70b", ["4x rtx-4090 + 128gb"] * 2, "vllm", "pipeline"),
    "vllm on amd": ("llama-3.1-70b", ["4x rx 7900 xtx + 128gb"] * 2, "vllm", "pipeline"),
    "vllm unequal": ("qwen3-14b", ["rtx-5090 + 64gb", "rtx-4080 + 64gb"], "vllm", "pipeline"),
    "rpc": ("llama-3.1-70b", ["rtx-4090 + 64gb", "rtx-3090 + 32gb"], "llama.cpp", "pipeline"),
    "rpc experts": ("gpt-oss-120b", ["2x rtx-4090 + 64gb"] * 2, "llama.cpp", "pipeline"),
    "exo": ("llama-3.1-70b", ["m4 max 36gb"] * 2, "mlx", "pipeline"),
    "copies of llama.cpp": ("qwen3-8b", ["rtx-4090 + 64gb"] * 2, "llama.cpp", "replicas"),
    "copies of vllm": ("qwen3-8b", ["rtx-4090 + 64gb"] * 2, "vllm", "replicas"),
    "copies of mlx": ("qwen3-8b", ["m4 max 64gb"] * 2, "mlx", "replicas"),
}


@cache
def plan_of(case: str) -> FleetPlan:
    name, machines, runtime, strategy = CASES[case]
    found = planned(name, nodes(*machines), runtimes=(runtime,))
    return next(plan for plan in found.plans if plan.strategy == strategy)


def lines(plan: FleetPlan) -> list[tuple[str, str]]:
    return [(entry.node, line) for entry in plan.commands for line in entry.commands]


def paths(value: object, before: str = "") -> Iterator[str]:
    """Yield the path of every scalar."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, f"{before}.{key}" if before else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from paths(item, f"{before}[]")
    else:
        yield before


def undocumented(value: object, fields: list[str]) -> list[str]:
    """Return the paths that no documented field allows; `*` stands for any key."""
    patterns = [re.compile(re.escape(field).replace(r"\*", ".+")) for field in fields]
    return [path for path in paths(value) if not any(p.fullmatch(path) for p in patterns)]


def check_command(line: str) -> None:
    """Hold one command line against what is documented of its program."""
    words = shlex.split(line)
    environment = []
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        environment.append(words.pop(0).partition("=")[0])
    known = DOCUMENTED["commands"][words[0]]
    assert set(environment) <= set(known["environment"]), line
    flags = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[A-Za-z]", word)}
    assert flags <= set(known["flags"]), (sorted(flags - set(known["flags"])), line)
    for word in words:
        if word.startswith("http://localhost"):
            assert word in known["addresses"]


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


def test_manifests_hold_only_documented_fields() -> None:
    kinds = []
    for file in plan_of("vllm").files:
        for document in yaml.safe_load_all(file.text):
            kind, version = document.pop("kind"), document.pop("apiVersion")
            known = DOCUMENTED["manifests"][kind]
            assert version == known["apiVersion"]
            assert undocumented(document, known["fields"]) == []
            variables = set(re.findall(r"\$\(([A-Z_]+)\)", json.dumps(document)))
            assert variables <= set(known["variables"])
            kinds.append(kind)
    assert kinds == ["LeaderWorkerSet", "Service", "RayService"]


def test_images_for_cuda_are_not_given_to_other_devices() -> None:
    assert plan_of("vllm on amd").files == ()


def test_a_field_that_nobody_documented_would_be_noticed() -> None:
    fields = DOCUMENTED["manifests"]["Service"]["fields"]
    assert undocumented({"spec": {"type": "ClusterIP"}}, fields) == []
    assert undocumented({"spec": {"tpye": "ClusterIP"}}, fields) == ["spec.tpye"]


def test_a_leader_worker_set_starts_as_many_nodes_and_devices_as_the_plan() -> None:
    plan = plan_of("vllm")
    text = next(file.text for file in plan.files if file.name == "leaderworkerset.yaml")
    group, service = yaml.safe_load_all(text)
    template = group["spec"]["leaderWorkerTemplate"]
    assert template["size"] == len(plan.nodes)
    leader = template["leaderTemplate"]["spec"]["containers"][0]
    worker = template["workerTemplate"]["spec"]["containers"][0]
    for container in (leader, worker):
        assert container["resources"]["limits"] == {"nvidia.com/gpu": "4"}
        check_command(container["command"][2].replace("$(", "").replace(")", ""))
    assert worker["command"][2] == f"{leader['command'][2]} --headless"
    assert "--tensor-parallel-size 4 --pipeline-parallel-size 2" in leader["command"][2]
    assert (
        service["spec"]["selector"]["leaderworkerset.sigs.k8s.io/name"]
        == (group["metadata"]["name"])
    )


def test_a_ray_service_takes_the_flags_of_the_command_as_arguments() -> None:
    plan = plan_of("vllm")
    text = next(file.text for file in plan.files if file.name == "rayservice.yaml")
    service = yaml.safe_load(text)["spec"]
    serve = yaml.safe_load(service["serveConfigV2"])
    known = DOCUMENTED["configurations"]["serveConfigV2"]["fields"]
    assert undocumented(serve, known) == []
    (workers,) = service["rayClusterConfig"]["workerGroupSpecs"]
    assert workers["replicas"] == workers["minReplicas"] == len(plan.nodes)
    assert workers["rayStartParams"] == {"num-gpus": "4"}
    (served,) = serve["applications"][0]["args"]["llm_configs"]
    told = served["engine_kwargs"]
    words = shlex.split(lines(plan)[0][1])
    for flag, value in told.items():
        word = words[words.index(f"--{flag.replace('_', '-')}") + 1]
        assert word == str(value)
    assert told["tensor_parallel_size"] == 4
    assert told["pipeline_parallel_size"] == 2


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


def test_vllm_is_told_addresses_that_are_numbers() -> None:
    first, second = nodes(*["4x rtx-4090 + 128gb"] * 2)
    given = (replace(first, address="10.0.0.7"), replace(second, address="10.0.0.8"))
    plans = planned("llama-3.1-70b", given, runtimes=("vllm",)).plans
    cut = next(plan for plan in plans if plan.strategy == "pipeline")
    told = {"n0": "VLLM_HOST_IP=10.0.0.7 ", "n1": "VLLM_HOST_IP=10.0.0.8 "}
    for entry in cut.commands:
        (line,) = entry.commands
        assert line.startswith(told[entry.node]) != ("distributed-executor" in line)
        check_command(line)


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


@pytest.mark.parametrize(
    ("address", "bound"),
    [("10.0.0.7", "10.0.0.7"), ("pc", "0.0.0.0")],  # noqa: S104
)
def test_a_server_listens_at_numbers_alone_and_is_called_by_its_address(
    address: str, bound: str
) -> None:
    first, second = nodes("rtx-4090 + 64gb", "rtx-3090 + 32gb")
    given = (replace(first, address=address), replace(second, address=address))
    plan = planned("llama-3.1-70b", given, runtimes=("llama.cpp",)).plans[0]
    (_, server), (_, program) = lines(plan)
    assert server == f"rpc-server -H {bound} -p 50052 -c"
    assert shlex.split(program)[-2:] == ["--rpc", f"{address}:50052"]


def test_a_server_at_an_address_of_ipv6_alone_is_said_to_be_out_of_reach() -> None:
    first, second = nodes("rtx-4090 + 64gb", "rtx-3090 + 32gb")
    given = (replace(first, address="[fd00::1]"), second)
    plans = planned("llama-3.1-70b", given, runtimes=("llama.cpp",)).plans
    cut = next(plan for plan in plans if plan.strategy == "pipeline")
    assert cut.verdict == "no"
    assert "IPv4 alone, and n0 is at fd00::1" in cut.verdict_reason
    assert cut.commands == ()
    # whoever calls needs no address that others reach
    turned = (first, replace(second, address="[fd00::2]"))
    plan = planned("llama-3.1-70b", turned, runtimes=("llama.cpp",)).plans[0]
    assert (plan.verdict, plan.nodes) == ("fits", ("n0", "n1"))


def test_ranks_keep_to_the_interface_that_a_node_names() -> None:
    first, second = nodes(*["4x rtx-4090 + 128gb"] * 2)
    given = (replace(first, interface="enp5s0"), replace(second, interface="ib0"))
    found = planned("llama-3.1-70b", given, runtimes=("vllm",))
    cut = next(plan for plan in found.plans if plan.strategy == "pipeline")
    named = {"n0": "enp5s0", "n1": "ib0"}
    for entry in cut.commands:
        (line,) = entry.commands
        check_command(line)
        words = [word for word in shlex.split(line) if "_SOCKET_IFNAME=" in word]
        name = named[entry.node]
        started = [f"NCCL_SOCKET_IFNAME=={name}", f"GLOO_SOCKET_IFNAME={name}"]
        assert words == ([] if "distributed-executor" in line else started)
    assert not any("interface" in note for note in cut.notes)
    half = (given[0], second)
    plans = planned("llama-3.1-70b", half, runtimes=("vllm",)).plans
    cut = next(plan for plan in plans if plan.strategy == "pipeline")
    assert any('"interface": ' in note for note in cut.notes)


def test_pods_keep_to_their_own_network() -> None:
    told = {"NCCL_SOCKET_IFNAME": "=eth0", "GLOO_SOCKET_IFNAME": "eth0"}
    containers = []
    for file in plan_of("vllm").files:
        for document in yaml.safe_load_all(file.text):
            containers += _containers(document)
    assert len(containers) == 4
    for container in containers:
        own, *others = container["env"]
        assert own["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
        assert {one["name"]: one["value"] for one in others} == told


def _containers(value: object) -> list[dict[str, Any]]:
    """Return every container in a manifest."""
    if isinstance(value, dict):
        found = value.get("containers", [])
        return [*found, *(one for inner in value.values() for one in _containers(inner))]
    if isinstance(value, list):
        return [one for inner in value for one in _containers(inner)]
    return []


def test_an_address_of_ipv6_has_brackets_only_before_a_port() -> None:
    first, second = nodes(*["4x rtx-4090 + 128gb"] * 2)
    given = (replace(first, address="[fd00::1]"), replace(second, address="[fd00::2]"))
    found = planned("llama-3.1-70b", given, runtimes=("vllm",))
    cut = next(plan for plan in found.plans if plan.strategy == "pipeline")
    own = [line for e in cut.commands if "processes" in e.way for line in e.commands]
    assert [line.split()[0] for line in own] == ["VLLM_HOST_IP=fd00::1", "VLLM_HOST_IP=fd00::2"]
    assert all("--master-addr fd00::1" in line for line in own)
    ray = [line for e in cut.commands if e.way == "a Ray cluster" for line in e.commands]
    assert shlex.split(ray[1])[-1] == "--address=[fd00::1]:6379"
    copies = planned("qwen3-8b", given, runtimes=("llama.cpp",)).plans[1]
    servers = [entry.commands[-1] for entry in copies.commands if entry.node != "router"]
    assert [line.rpartition(" --host ")[2] for line in servers] == ["fd00::1", "fd00::2"]
    assert "server [fd00::1]:8080;" in next(f.text for f in copies.files if "nginx" in f.name)


@pytest.mark.parametrize("runtime", ["llama.cpp", "vllm", "mlx"])
def test_routers_know_every_copy(runtime: str) -> None:
    given = nodes("rtx-4090 + 64gb", "rtx-4090 + 64gb", "rtx-4090 + 64gb")
    files = {file.name: file.text for file in router_files("org/model", given, runtime=runtime)}
    known = DOCUMENTED["configurations"]
    lite = yaml.safe_load(files["litellm.yaml"])
    assert undocumented(lite, known["litellm.yaml"]["fields"]) == []
    strategy = lite["router_settings"]["routing_strategy"]
    assert strategy in known["litellm.yaml"]["routing_strategies"]
    port = 8000 if runtime == "vllm" else 8080
    bases = [entry["litellm_params"]["api_base"] for entry in lite["model_list"]]
    assert bases == [f"http://n{i}:{port}/v1" for i in range(3)]
    directives = set(re.findall(r"^\s*([a-z_]+)", files["nginx.conf"], re.MULTILINE))
    assert directives <= set(known["nginx.conf"]["directives"])
    assert files["nginx.conf"].count("{") == files["nginx.conf"].count("}")
    for i in range(3):
        assert f"server n{i}:{port};" in files["nginx.conf"]
    routers = [
        line for e in router_commands("org/model", given, runtime=runtime) for line in e.commands
    ]
    for line in routers:
        check_command(line)
    assert any(line.startswith("vllm-router") for line in routers) == (runtime == "vllm")


@pytest.mark.parametrize("case", ["copies of llama.cpp", "copies of mlx"])
def test_a_copy_that_listens_on_its_own_machine_alone_is_told_its_address(case: str) -> None:
    plan = plan_of(case)
    servers = {entry.node: entry.commands[-1] for entry in plan.commands if entry.node != "router"}
    assert {node: line.rpartition(" ")[2] for node, line in servers.items()} == {
        node: node for node in plan.nodes
    }
    assert all("--host" in line for line in servers.values())


def test_exo_is_started_on_every_mac_and_told_the_model_once() -> None:
    plan = plan_of("exo")
    started = [node for node, line in lines(plan) if line == "exo"]
    assert started == list(plan.nodes)
    (add,) = (line for _, line in lines(plan) if "models/add" in line)
    body = json.loads(shlex.split(add)[-1])
    assert body == {"model_id": "mlx-community/MODEL"}  # nobody named a repository of MLX weights


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
