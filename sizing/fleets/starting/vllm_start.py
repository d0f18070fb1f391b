"""vLLM over nodes by commands: its own processes, or a Ray cluster.

Source: vllm-project/vllm 0.33.0 docs/serving/parallelism_scaling.md (--nnodes, --node-rank,
--master-addr, --headless; VLLM_HOST_IP; --distributed-executor-backend ray), vllm/envs.py
(VLLM_PP_LAYER_PARTITION), vllm/v1/executor/ray_utils.py (a node of Ray by its IP address),
docs/usage/troubleshooting.md (the interface of NCCL and Gloo); NCCL's environment variables (`=`:
this interface, not all whose names begin so); docs.ray.io, `ray start`.
"""

from __future__ import annotations

import shlex

from whatfits.sizing.fleets.plans import NodeCommands
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.runtimes.cuda_order import BY_BUS, must_count_by_bus
from whatfits.sizing.runtimes.vllm_command import vllm_command
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.fleets.vllm_split import VllmSplit
    from whatfits.sizing.model import CheckpointFacts

__all__ = ["interface_variables", "vllm_start"]

_OWN: Final = "vLLM's own processes"
_RAY: Final = "a Ray cluster"
_RAY_PORT: Final = 6379  # of `ray start --head`


def vllm_start(
    facts: CheckpointFacts, split: VllmSplit, nodes: Sequence[Node]
) -> Iterator[NodeCommands]:
    """Yield what to type on each node, in both ways.

    Ray decides by itself which node has which layers, so that unequal shares go without it.
    """
    settings = split.settings
    line = vllm_command(facts, settings, split.found.bill, split.machine)
    each, head = split.devices_each, nodes[0]
    over = f"--nnodes {len(nodes)} --node-rank {{}} --master-addr {shlex.quote(head.host)}"
    counts = settings.cut.layer_counts
    told = [] if counts is None else [f"VLLM_PP_LAYER_PARTITION={','.join(map(str, counts))}"]
    for rank, node in enumerate(nodes):
        words = [*_environment(node, each), *told, line, over.format(rank)]
        words += ["--headless"] if rank else []
        yield NodeCommands(node.node, _OWN, (" ".join(words),))
    if counts is not None:
        return
    for rank, node in enumerate(nodes):
        start = ["ray", "start"]
        start += (
            [f"--address={head.address}:{_RAY_PORT}"] if rank else ["--head", f"--port={_RAY_PORT}"]
        )
        started = " ".join([*_environment(node, each), shlex.join(start)])
        yield NodeCommands(node.node, _RAY, (started,))
    yield NodeCommands(head.node, _RAY, (f"{line} --distributed-executor-backend ray",))


def _environment(node: Node, each: int) -> list[str]:
    """Return what vLLM has to know of a node: its address, and which devices are the plan's.

    Only numbers are told: of a name vLLM would make a node of Ray's that there is not.
    """
    words = [] if node.ip is None else [f"VLLM_HOST_IP={node.ip}"]
    if node.interface is not None:
        told = interface_variables(node.interface)
        words += [f"{name}={shlex.quote(value)}" for name, value in told.items()]
    usable = usable_accelerators(node.machine)
    kind = usable[0].kind
    there = [device for device in node.machine.accelerators if device.kind == kind]
    if kind == "cuda" and len(there) > each:
        numbers = (device.id.removeprefix(kind) for device in usable[:each])
        words += [BY_BUS] if must_count_by_bus(node.machine) else []
        words.append(f"CUDA_VISIBLE_DEVICES={shlex.quote(','.join(numbers))}")
    return words


def interface_variables(interface: str) -> dict[str, str]:
    """Return what keeps NCCL and Gloo, which vLLM's ranks talk by, to one network interface."""
    return {"NCCL_SOCKET_IFNAME": f"={interface}", "GLOO_SOCKET_IFNAME": interface}
