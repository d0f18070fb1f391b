"""The machines of a fleet: what each is, how it is called, and what it hangs on."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Machine  # noqa: TC001 - resolved by pydantic for the schema
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

__all__ = [
    "MOST_NODES",
    "Node",
    "at_node",
    "checked_address",
    "checked_interface",
    "free_bytes",
    "named_apart",
    "node_name",
    "node_of",
    "total_free_bytes",
]

MOST_NODES: Final = 256
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9.-]+")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\]")
_INTERFACE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}")
_UNNAMED: Final = "node"
_LONGEST_NAME: Final = 63  # of a label in DNS


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of a fleet.

    Attributes:
        node: its name, which is unique in the fleet.
        machine: its memory and devices.
        address: host name or address that the others reach it at.
        network: id of the network it hangs on, as `10gbe`; None when nobody said.
        interface: what its system calls the way to that network, as `enp5s0`; None when nobody
            said.
    """

    node: str
    machine: Machine
    address: str
    network: str | None = None
    interface: str | None = None

    @property
    def host(self) -> str:
        """The address where no port follows it: of IPv6 without its brackets."""
        return self.address.strip("[]")

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        """The address as numbers; None where it is a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None


def at_node(node: str, name: str) -> str:
    """Return what a device or a pool of a node is called in the fleet: `pc-2/cuda0`."""
    return f"{node}/{name}"


def node_of(name: str) -> str:
    """Return the node that a device or a pool of the fleet belongs to."""
    return name.partition("/")[0]


def checked_address(text: str) -> str:
    """Return an address that may stand in a command or a configuration.

    Raises:
        InvalidRequestError: it has other characters than names and addresses have.
    """
    if not _ADDRESS.fullmatch(text):
        raise InvalidRequestError(
            what="address of a node", got=text, allowed="a host name, or an IP address"
        )
    return text


def checked_interface(text: str) -> str:
    """Return the name of a network interface that may stand in a command.

    Raises:
        InvalidRequestError: it has other characters than such names have, or more.
    """
    if not _INTERFACE.fullmatch(text):
        raise InvalidRequestError(
            what="interface of a node", got=text, allowed="a network interface, as 'enp5s0'"
        )
    return text


def node_name(text: str) -> str:
    """Return a name that can stand in a command and in a host name."""
    return _NOT_IN_NAMES.sub("-", text).strip("-.")[:_LONGEST_NAME] or _UNNAMED


def named_apart(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return the nodes with names of their own: the second `pc` becomes `pc-2`.

    An address that was only the name goes with it.

    Raises:
        InvalidRequestError: there are none, or too many.
    """
    taken: set[str] = set()
    found = []
    for node in nodes:
        name, number = node.node, 1
        while name in taken:
            number += 1
            name = f"{node.node}-{number}"
        taken.add(name)
        address = name if node.address == node.node else node.address
        found.append(replace(node, node=name, address=address))
    if not 1 <= len(found) <= MOST_NODES:
        raise InvalidRequestError(
            what="nodes",
            got=len(found),
            allowed=f"1 to {MOST_NODES}",
            next_step="give reports that 'whatfits hardware --json' saved, or --machine NAME",
        )
    return tuple(found)


def free_bytes(machine: Machine) -> int:
    """Return what is surely free in the pools of the accelerators, or of the host without any."""
    pools = {device.pool for device in usable_accelerators(machine)}
    if not pools and machine.host_pool is not None:
        pools = {machine.host_pool.id}
    return sum(machine.pool(pool).free_low_bytes or 0 for pool in pools)


def total_free_bytes(nodes: Sequence[Node]) -> int:
    """Return what is surely free on the accelerators of all nodes."""
    return sum(free_bytes(node.machine) for node in nodes)
