"""vLLM over nodes under Kubernetes: a LeaderWorkerSet, or a RayService of KubeRay.

Source: vllm-project/vllm docs/deployment/frameworks/lws.md and docs/serving/parallelism_scaling.md;
ray-project/kuberay ray-operator/config/samples/ray-service.llm-serve.yaml; kubernetes.io, "Expose
Pod Information to Containers Through Environment Variables".
"""

from __future__ import annotations

import re

from whatfits.sizing.fleets.plans import FleetFile
from whatfits.sizing.fleets.starting.vllm_start import interface_variables
from whatfits.sizing.fleets.starting.yaml_text import yaml_documents, yaml_text
from whatfits.sizing.runtimes.vllm_command import vllm_command, vllm_options
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.fleets.starting.yaml_text import Yaml
    from whatfits.sizing.fleets.vllm_split import VllmSplit
    from whatfits.sizing.model import CheckpointFacts

__all__ = ["kubernetes_files"]

_PORT: Final = 8000
_VLLM_IMAGE: Final = "vllm/vllm-openai:latest"
_RAY_IMAGE: Final = "rayproject/ray-llm:2.50.1-py311-cu124"
_RAY_VERSION: Final = "2.50.1"
_SHARED_MEMORY: Final = "15Gi"  # what vLLM's own example gives /dev/shm
_HEAD_CPUS, _HEAD_MEMORY = 2, "4Gi"  # KubeRay's sample
_POD_INTERFACE: Final = "eth0"  # of the pods' own network, whatever others a pod is given
_CUDA: Final = "cuda"
_GPU: Final = "nvidia.com/gpu"
_NOT_IN_LABELS: Final = re.compile(r"[^a-z0-9-]+")
_LONGEST_LABEL: Final = 40  # the controllers add to it


def kubernetes_files(facts: CheckpointFacts, split: VllmSplit, name: str) -> Iterator[FleetFile]:
    """Yield the manifests of a split over CUDA devices that is equal on all nodes; none otherwise.

    Kubernetes decides which node a pod lands on, so that shares of one size fit any; the images
    are for CUDA.
    """
    if split.settings.cut.layer_counts is not None or split.settings.devices[0].kind != _CUDA:
        return
    label = _NOT_IN_LABELS.sub("-", name.lower()).strip("-")[:_LONGEST_LABEL].strip("-") or "model"
    yield FleetFile(
        "leaderworkerset.yaml",
        "with the LeaderWorkerSet controller installed: kubectl apply -f leaderworkerset.yaml",
        yaml_documents(_leader_worker_set(facts, split, label)),
    )
    yield FleetFile(
        "rayservice.yaml",
        "with the KubeRay operator installed: kubectl apply -f rayservice.yaml",
        yaml_text(_ray_service(facts, split, label)),
    )


def _leader_worker_set(
    facts: CheckpointFacts, split: VllmSplit, label: str
) -> list[dict[str, Yaml]]:
    line = vllm_command(facts, split.settings, split.found.bill, split.machine)
    group = (
        f"--port {_PORT} --nnodes $(LWS_GROUP_SIZE) --node-rank $(LWS_WORKER_INDEX) "
        "--master-addr $(LWS_LEADER_ADDRESS)"
    )
    leader = _vllm_container("vllm-leader", f"{line} {group}", split)
    leader["ports"] = [{"containerPort": _PORT}]
    leader["readinessProbe"] = {
        "tcpSocket": {"port": _PORT},
        "initialDelaySeconds": 15,
        "periodSeconds": 10,
    }
    worker = _vllm_container("vllm-worker", f"{line} {group} --headless", split)
    return [
        {
            "apiVersion": "leaderworkerset.x-k8s.io/v1",
            "kind": "LeaderWorkerSet",
            "metadata": {"name": label},
            "spec": {
                "replicas": 1,
                "leaderWorkerTemplate": {
                    "size": len(split.plan.nodes),
                    "restartPolicy": "RecreateGroupOnPodRestart",
                    "leaderTemplate": {
                        "metadata": {"labels": {"role": "leader"}},
                        "spec": _pod(leader),
                    },
                    "workerTemplate": {"spec": _pod(worker)},
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"{label}-leader"},
            "spec": {
                "ports": [{"name": "http", "port": _PORT, "protocol": "TCP", "targetPort": _PORT}],
                "selector": {"leaderworkerset.sigs.k8s.io/name": label, "role": "leader"},
                "type": "ClusterIP",
            },
        },
    ]


def _vllm_container(name: str, line: str, split: VllmSplit) -> dict[str, Yaml]:
    return {
        "name": name,
        "image": _VLLM_IMAGE,
        "env": _environment(),
        "command": ["sh", "-c", line],
        "resources": {"limits": {_GPU: str(split.devices_each)}},
        "volumeMounts": [{"mountPath": "/dev/shm", "name": "dshm"}],  # noqa: S108 - in the pod
    }


def _environment() -> list[Yaml]:
    """Return what keeps ranks to the pods' own network where pods have several."""
    own: dict[str, Yaml] = {"fieldRef": {"fieldPath": "status.podIP"}}
    address: dict[str, Yaml] = {"name": "VLLM_HOST_IP", "valueFrom": own}
    found: list[Yaml] = [address]
    for name, value in interface_variables(_POD_INTERFACE).items():
        found.append({"name": name, "value": value})
    return found


def _pod(container: dict[str, Yaml]) -> dict[str, Yaml]:
    memory: Yaml = {"medium": "Memory", "sizeLimit": _SHARED_MEMORY}
    return {"containers": [container], "volumes": [{"name": "dshm", "emptyDir": memory}]}


def _ray_service(facts: CheckpointFacts, split: VllmSplit, label: str) -> dict[str, Yaml]:
    each, n_nodes = split.devices_each, len(split.plan.nodes)
    options = vllm_options(facts, split.settings, split.found.bill)
    arguments: dict[str, Yaml] = {
        key.replace("-", "_"): {**value} if isinstance(value, dict) else value
        for key, value in options.items()
    }
    serve: dict[str, Yaml] = {
        "applications": [
            {
                "name": "llms",
                "import_path": "ray.serve.llm:build_openai_app",
                "route_prefix": "/",
                "args": {
                    "llm_configs": [
                        {
                            "model_loading_config": {
                                "model_id": label,
                                "model_source": facts.reference,
                            },
                            "engine_kwargs": arguments,
                            "deployment_config": {
                                "autoscaling_config": {"min_replicas": 1, "max_replicas": 1}
                            },
                        }
                    ]
                },
            }
        ]
    }
    head: dict[str, Yaml] = {"cpu": _HEAD_CPUS, "memory": _HEAD_MEMORY}
    gpus: dict[str, Yaml] = {_GPU: str(each)}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": label},
        "spec": {
            "serveConfigV2": yaml_text(serve),
            "rayClusterConfig": {
                "rayVersion": _RAY_VERSION,
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0", "num-gpus": "0"},
                    "template": {"spec": {"containers": [_ray_container("ray-head", head)]}},
                },
                "workerGroupSpecs": [
                    {
                        "replicas": n_nodes,
                        "minReplicas": n_nodes,
                        "maxReplicas": n_nodes,
                        "groupName": "gpu-group",
                        "rayStartParams": {"num-gpus": str(each)},
                        "template": {"spec": {"containers": [_ray_container("ray-worker", gpus)]}},
                    }
                ],
            },
        },
    }


def _ray_container(name: str, resources: dict[str, Yaml]) -> Yaml:
    return {
        "name": name,
        "image": _RAY_IMAGE,
        "env": _environment(),
        "resources": {"limits": resources, "requests": dict(resources)},
    }
