"""A Ray cluster of several nodes on this machine: asked, and planned over. Real Ray, no mocks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.probes.ray_nodes import parse_nodes, read_ray_nodes
from whatfits.sizing.cli import main
from whatfits.sizing.errors import MissingExtraError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None or sys.platform == "win32", reason="needs the extra fleet (Ray)"
)

N_NODES = 3
# Holds a cluster of nodes that share this machine, says its address, and ends with its input.
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster()
try:
    for _ in range(int(sys.argv[1])):
        cluster.add_node(num_cpus=1, num_gpus=0, object_store_memory=78_643_200)
    print(cluster.address, flush=True)
    sys.stdin.read()
finally:
    cluster.shutdown()
"""
ENVIRONMENT = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Yield the address of a running cluster; nothing of it is left afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, str(N_NODES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        found = next((line for line in process.stdout if ":" in line), "").split()
        assert found, "the cluster did not start"
        yield found[-1]
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=60)
        finally:
            process.stdout.close()
            with contextlib.suppress(ProcessLookupError):  # all of it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)


def fleet(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whatfits.sizing", "fleet", *arguments],
        capture_output=True,
        check=False,
        env=ENVIRONMENT,
        text=True,
        timeout=110,
    )


@needs_ray
@pytest.mark.slow
def test_every_node_of_a_cluster_is_read_and_planned_over(address: str) -> None:
    done = fleet("--ray", address, "--network", "10gbe", "--json", "qwen3-0.6b")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    nodes = answer["nodes"]
    assert len(nodes) == N_NODES
    assert len({node["node"] for node in nodes}) == N_NODES
    assert all(node["network"] == "10gbe" for node in nodes)
    here = json.loads(_here())["machine"]
    totals = {pool["id"]: pool["total_bytes"] for pool in here["pools"]}
    for node in nodes:
        found = {pool["id"]: pool["total_bytes"] for pool in node["machine"]["pools"]}
        assert found == totals, "a node is this very machine"
    best = answer["plans"][0]
    assert (best["strategy"], best["runtime"], best["verdict"]) == ("single", "llama.cpp", "fits")
    copies = next(plan for plan in answer["plans"] if plan["strategy"] == "replicas")
    assert sorted(copies["nodes"]) == sorted(node["node"] for node in nodes)


@needs_ray
@pytest.mark.slow
def test_what_a_cluster_said_is_read_again_from_lines(address: str) -> None:
    done = fleet("--ray", address, "--lines")
    assert done.returncode == 0, done.stderr
    again = subprocess.run(
        [sys.executable, "-m", "whatfits.sizing", "fleet", "-", "--lines"],
        input=done.stdout,
        capture_output=True,
        check=True,
        text=True,
    )
    assert again.stdout == done.stdout
    assert len(done.stdout.splitlines()) == N_NODES


@needs_ray
@pytest.mark.slow
def test_a_node_that_does_not_answer_in_time_is_a_warning(address: str) -> None:
    done = fleet("--ray", address, "--ray-timeout", "0.001", "--machine", "64gb", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    silent = [text for text in answer["warnings"] if "did not answer within 0.001 s" in text]
    assert len(silent) == N_NODES
    assert [node["node"] for node in answer["nodes"]] == ["64gb"]


@needs_ray
@pytest.mark.slow
def test_lines_alone_do_not_hide_a_node_that_does_not_answer(address: str) -> None:
    done = fleet("--ray", address, "--ray-timeout", "0.001", "--machine", "64gb", "--lines")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr.count("did not answer within 0.001 seconds") == N_NODES


def test_a_dead_node_is_told_and_left_out() -> None:
    rows = [
        {
            "Alive": True,
            "NodeID": "a1",
            "NodeManagerHostname": "pc",
            "NodeManagerAddress": "10.0.0.2",
        },
        {"Alive": True, "NodeID": "c3", "NodeName": "six", "NodeManagerAddress": "fd00::1"},
        {"Alive": False, "NodeID": "b2", "NodeManagerHostname": "old\x1b[31m"},
    ]
    alive, dead = parse_nodes(rows)
    assert alive == [("a1", "pc", "10.0.0.2"), ("c3", "six", "[fd00::1]")]
    (finding,) = dead
    assert finding.code == "ray_node_dead"
    assert "\x1b" not in finding.text


@needs_ray
def test_an_address_where_nobody_listens_is_refused_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(UnreachableError, match=r"HOST:6379"):
            read_ray_nodes(f"127.0.0.1:{port}")


@needs_ray
@pytest.mark.parametrize("text", ["nowhere", "host:", "host:port", "127.0.0.1:99999999"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UnreachableError):
        read_ray_nodes(text)


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is there")
def test_without_ray_the_extra_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingExtraError, match=r"whatfits\[fleet\]"):
        read_ray_nodes("127.0.0.1:6379")
    assert main(["fleet", "--ray", "auto"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def _here() -> str:
    done = subprocess.run(
        [sys.executable, "-m", "whatfits.sizing", "hardware", "--json"],
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout
