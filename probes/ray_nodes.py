"""Read the machines of a running Ray cluster: our own probe, as a small task on every node.

A task asks for no processor and no GPU, is pinned to its node, and is not waited for longer than
the deadline; what does not answer is a finding. Ray comes with the extra `fleet`; the nodes need
this package too. Source: docs.ray.io, ray.nodes, NodeAffinitySchedulingStrategy, `ray.init`.
"""

from __future__ import annotations

import contextlib
import os
import socket
from importlib import import_module

from whatfits.probes.report import Finding
from whatfits.probes.runtimes.parallel import all_at_once
from whatfits.sizing.errors import MissingExtraError, UnreachableError, printable
from whatfits.sizing.typed import TYPE_CHECKING, Any
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

__all__ = ["DEFAULT_DEADLINE_S", "RayNode", "RayReport", "parse_nodes", "read_ray_nodes"]

DEFAULT_DEADLINE_S: Final = 30.0
_CONNECT_S: Final = 5.0
_JOIN_S: Final = 30.0
_PURPOSE: Final = "asking the nodes of a Ray cluster"
_NEXT_STEP: Final = "give the address of the cluster's head, as HOST:6379, or auto on one of them"
# Ray empties these for a task that asks for no GPU: then they say nothing about the machine.
_EMPTIED: Final = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class RayNode:
    """One node that answered.

    Attributes:
        name: what the cluster calls it.
        address: where the others reach it.
        document: the report of its machine, as `whatfits hardware --json` has it.
    """

    name: str
    address: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RayReport:
    """The nodes that answered, and a finding for each that did not."""

    nodes: tuple[RayNode, ...]
    findings: tuple[Finding, ...]


def read_ray_nodes(address: str, *, deadline_s: float = DEFAULT_DEADLINE_S) -> RayReport:
    """Return what every node of a cluster says of itself.

    Args:
        address: `HOST:PORT` of the head, or `auto` on a machine of the cluster.
        deadline_s: the longest to wait for the answers, all together.

    Raises:
        MissingExtraError: Ray is not installed.
        UnreachableError: no cluster answers there.
    """
    try:
        ray: Any = import_module("ray")  # an extra, without types
    except ImportError as error:
        raise MissingExtraError(extra="fleet", purpose=_PURPOSE) from error
    _check_reachable(address)
    with _connected(ray, address):
        alive, dead = parse_nodes(ray.nodes())
        answers = _ask(ray, [node_id for node_id, _, _ in alive], deadline_s)
    nodes, findings = [], [*dead]
    for (_, name, where), answer in zip(alive, answers, strict=True):
        if isinstance(answer, dict):
            nodes.append(RayNode(name, where, answer))
        else:
            findings.append(_finding(name, answer, deadline_s))
    return RayReport(tuple(nodes), tuple(findings))


def parse_nodes(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[list[tuple[str, str, str]], list[Finding]]:
    """Return (id, name, address) of the nodes that are alive, and a finding for each other one."""
    alive, dead = [], []
    for row in rows:
        name = printable(row.get("NodeManagerHostname") or row.get("NodeName") or "node")
        if row.get("Alive"):
            where = str(row.get("NodeManagerAddress") or name)
            alive.append((str(row["NodeID"]), name, f"[{where}]" if ":" in where else where))
        else:
            text = f"{name} left the cluster: it is not planned for."
            dead.append(Finding("ray_node_dead", "info", text))
    return alive, dead


def _check_reachable(address: str) -> None:
    """Refuse an address that nobody listens at: Ray itself would end the whole process."""
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise UnreachableError(address, reason="is no HOST:PORT", next_step=_NEXT_STEP)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise UnreachableError(address, next_step=_NEXT_STEP) from error


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:  # noqa: ANN401 - a module
    """Connect for the time of the block; a connection that was there already stays."""
    if ray.is_initialized():
        yield
        return

    def join() -> object:
        return ray.init(address=address, log_to_driver=False, logging_level="ERROR")

    (outcome,) = all_at_once([join], deadline_s=_JOIN_S)
    if outcome is None or isinstance(outcome, Exception):
        raise UnreachableError(
            address, reason="has no Ray cluster that answers", next_step=_NEXT_STEP
        ) from outcome
    try:
        yield
    finally:
        ray.shutdown()


def _ask(
    ray: Any,  # noqa: ANN401 - a module
    node_ids: Sequence[str],
    deadline_s: float,
) -> list[dict[str, Any] | Exception | None]:
    """Return each node's document, what went wrong there, or None where nothing came in time."""
    pinned: Any = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
    task = ray.remote(_document)
    calls = [
        task.options(
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=pinned(node_id=node_id, soft=False),
        ).remote()
        for node_id in node_ids
    ]
    if not calls:
        return []
    ready, _ = ray.wait(calls, num_returns=len(calls), timeout=deadline_s)
    answers: list[dict[str, Any] | Exception | None] = []
    for call in calls:
        if call not in ready:
            ray.cancel(call, force=True)
            answers.append(None)
            continue
        try:
            answers.append(ray.get(call))
        except Exception as error:  # noqa: BLE001 - one node's failure must not lose the others
            answers.append(error)
    return answers


def _document() -> dict[str, Any]:
    """Return the report of the machine that this runs on; Ray calls it in a worker."""
    from whatfits.probes import detect  # noqa: PLC0415 - where it runs
    from whatfits.sizing.json_values import to_json_value  # noqa: PLC0415 - same

    for name in _EMPTIED:
        if os.environ.get(name) == "":
            del os.environ[name]
    document: dict[str, Any] = to_json_value(detect())
    return document


def _finding(name: str, answer: Exception | None, deadline_s: float) -> Finding:
    """Return why a node is left out."""
    if answer is None:
        text = f"{name} did not answer within {deadline_s:g} seconds: it is not planned for."
        return Finding("ray_node_silent", "warning", text)
    reason = printable(str(answer).strip().rpartition("\n")[2])
    return Finding(
        "ray_node_failed",
        "warning",
        f"{name} could not be read: {reason}",
        "install whatfits on it, in the environment that Ray runs in",
    )
