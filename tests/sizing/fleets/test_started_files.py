"""Files for Kubernetes and routers have documented fields alone, and start what the plan says."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from documented import DOCUMENTED, check_command, lines, plan_of, undocumented
from fleet_machines import nodes

from whatfits.sizing.fleets.starting.routers import router_commands, router_files

yaml = pytest.importorskip("yaml", reason="needs PyYAML")


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
