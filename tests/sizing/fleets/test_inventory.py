"""Names, addresses and sets of nodes."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from fleet_machines import nodes

from whatfits.sizing.api import load_machine
from whatfits.sizing.calibration import Calibration, DeviceCalibration
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.fleets.inventory import (
    MOST_NODES,
    Node,
    checked_address,
    checked_interface,
    free_bytes,
    named_apart,
    node_name,
)
from whatfits.sizing.fleets.node_sets import MOST_SETS, alike, sets_of

MACHINE = load_machine("rtx-4090 + 64gb")


def test_nodes_of_one_name_are_told_apart_and_keep_addresses_of_their_own() -> None:
    given = [Node("pc", MACHINE, "pc"), Node("pc", MACHINE, "10.0.0.9"), Node("pc", MACHINE, "pc")]
    found = named_apart(given)
    assert [(n.node, n.address) for n in found] == [
        ("pc", "pc"),
        ("pc-2", "10.0.0.9"),
        ("pc-3", "pc-3"),
    ]


def test_a_name_that_is_taken_by_another_is_not_given_twice() -> None:
    given = [Node(name, MACHINE, name) for name in ("pc", "pc-2", "pc")]
    assert [n.node for n in named_apart(given)] == ["pc", "pc-2", "pc-3"]


@pytest.mark.parametrize("count", [0, MOST_NODES + 1])
def test_no_nodes_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(InvalidRequestError, match="nodes"):
        named_apart([Node("pc", MACHINE, "pc")] * count)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my pc", "my-pc"),
        ("a/../b; rm -rf", "a-..-b-rm--rf"),
        ("\x1b[31m", "31m"),
        ("…", "node"),
        ("x" * 99, "x" * 63),
    ],
)
def test_a_name_can_stand_in_a_command(text: str, name: str) -> None:
    assert node_name(text) == name


@pytest.mark.parametrize("text", ["10.0.0.2", "pc-2.local", "[fd00::1]"])
def test_an_address_is_taken_as_it_is(text: str) -> None:
    assert checked_address(text) == text


@pytest.mark.parametrize("text", ["", "a b", "pc;reboot", "$(id)", "a\nb", "-flag", "a/b"])
def test_what_could_mean_something_to_a_shell_is_no_address(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        checked_address(text)


@pytest.mark.parametrize("text", ["eth0", "enp5s0f1", "eth0.100", "br-lan", "wlan_1"])
def test_an_interface_is_taken_as_it_is(text: str) -> None:
    assert checked_interface(text) == text


@pytest.mark.parametrize(
    "text", ["", "=eth0", "^docker", "a,b", "eth0;id", "-i", "sixteencharacter"]
)
def test_what_no_system_calls_an_interface_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="interface"):
        checked_interface(text)


def test_free_memory_is_that_of_the_accelerators_or_of_the_host_without_any() -> None:
    machine = load_machine("2x rtx-3060-12gb + 64gb")
    vram = [pool.free_low_bytes or 0 for pool in machine.pools if pool.kind == "vram"]
    assert free_bytes(machine) == sum(vram)
    plain = load_machine("64gb")
    assert free_bytes(plain) == plain.pools[0].free_low_bytes


def test_sets_of_different_nodes_are_all_there_is() -> None:
    given = nodes("rtx-4090 + 64gb", "rtx-3090 + 64gb", "m4 max 64gb", "32gb")
    for size in range(1, 5):
        found = {frozenset(node.node for node in one) for one in sets_of(given, size)}
        assert found == {frozenset(node.node for node in one) for one in combinations(given, size)}


def test_nodes_that_are_alike_are_tried_once() -> None:
    given = nodes(*["rtx-4090 + 64gb"] * 20, *["rtx-3090 + 64gb"] * 2)
    assert sorted(map(len, alike(given))) == [2, 20]
    assert len(list(sets_of(given, 5))) == 3  # with no, one and two of the others


def test_the_sets_of_many_different_nodes_are_bounded() -> None:
    given = nodes(*(f"{n}gb" for n in range(16, 46)))
    assert len(list(sets_of(given, 15))) == MOST_SETS


def test_nodes_of_which_one_was_measured_are_not_alike() -> None:
    one, other = nodes("rtx-4090 + 64gb", "rtx-4090 + 64gb")
    found = DeviceCalibration("cuda0", "a card", read_bytes_per_s=9e11)
    measured = Calibration("1.0", "2026-11-26T00:00:00Z", "of this machine", devices=(found,))
    machine = replace(other.machine, calibration=measured)
    assert len(alike([one, replace(other, machine=machine)])) == 2
