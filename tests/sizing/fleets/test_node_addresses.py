"""Who listens at which address of a node, and who calls it there."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from documented import check_command, lines, plan_of
from fleet_machines import nodes, planned


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


@pytest.mark.parametrize("case", ["copies of llama.cpp", "copies of mlx"])
def test_a_copy_that_listens_on_its_own_machine_alone_is_told_its_address(case: str) -> None:
    plan = plan_of(case)
    servers = {entry.node: entry.commands[-1] for entry in plan.commands if entry.node != "router"}
    assert {node: line.rpartition(" ")[2] for node, line in servers.items()} == {
        node: node for node in plan.nodes
    }
    assert all("--host" in line for line in servers.values())
