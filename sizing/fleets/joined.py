"""Several nodes as one machine, so that the engine for one machine sizes them.

Pools, devices and links get the node's name before theirs: `pc-2/cuda0`. What was measured on one
node alone is left out.
"""

from __future__ import annotations

from whatfits.sizing.fleets.inventory import at_node, node_of
from whatfits.sizing.machine import Machine, MeasuredOverhead
from whatfits.sizing.overhead import device_overhead
from whatfits.sizing.placement import usable_accelerators
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.fleets.inventory import Node
    from whatfits.sizing.machine import Device, Link, Pool

__all__ = ["RPC", "joined_machine", "rpc_machine"]

RPC: Final = "rpc"


def joined_machine(nodes: Sequence[Node], *, devices_each: int | None = None) -> Machine:
    """Return the accelerators of all nodes, so many of each, over the host of the first."""
    devices: list[Device] = []
    for node in nodes:
        devices += [_of_node(d, node) for d in usable_accelerators(node.machine)[:devices_each]]
    return _machine(nodes, devices)


def rpc_machine(main: Node, workers: Sequence[Node]) -> tuple[Machine, dict[str, Device]]:
    """Return the machine that llama.cpp on `main` sees, and what each of its devices really is.

    Servers' devices come before its own: llama.cpp puts them first, so that the last layers and
    the output stay where the program runs. A server without an accelerator offers its processor.
    Source: ggml-org/llama.cpp pull 9296, tools/rpc/README.md.
    """
    real: dict[str, Device] = {}
    devices: list[Device] = []
    overheads: list[MeasuredOverhead] = []
    for node in workers:
        for device in _offered(node.machine):
            named = _of_node(device, node)
            real[named.id] = named
            devices.append(replace(named, kind=RPC))
            own = device_overhead(device.kind, device.features)
            overheads.append(MeasuredOverhead(named.id, *own))
    for device in usable_accelerators(main.machine):
        named = _of_node(device, main)
        real[named.id] = named
        devices.append(named)
    machine = _machine((main, *workers), devices)
    # what a server offers counts as an accelerator, be it a processor and its RAM
    pools = tuple(
        replace(p, kind="vram") if p.kind == "ram" and node_of(p.id) != main.node else p
        for p in machine.pools
    )
    return replace(machine, pools=pools, overheads=tuple(overheads)), real


def _offered(machine: Machine) -> tuple[Device, ...]:
    usable = usable_accelerators(machine)
    if usable or machine.host is None:
        return usable
    return (machine.host,)


def _machine(nodes: Sequence[Node], devices: Sequence[Device]) -> Machine:
    first = nodes[0]
    host = first.machine.host
    kept = [*devices, *(() if host is None else (_of_node(host, first),))]
    used = {device.pool for device in kept}
    ids = {device.id for device in kept}
    pools = [_pool_of_node(pool, node) for node in nodes for pool in node.machine.pools]
    links = [_link_of_node(link, node) for node in nodes for link in node.machine.links]
    return Machine(
        pools=tuple(pool for pool in pools if pool.id in used),
        devices=tuple(kept),
        links=tuple(link for link in links if link.to in ids),
        name=" + ".join(node.node for node in nodes),
        os=first.machine.os,
        os_version=first.machine.os_version,
    )


def _of_node(device: Device, node: Node) -> Device:
    return replace(device, id=at_node(node.node, device.id), pool=at_node(node.node, device.pool))


def _pool_of_node(pool: Pool, node: Node) -> Pool:
    return replace(pool, id=at_node(node.node, pool.id))


def _link_of_node(link: Link, node: Node) -> Link:
    return replace(link, from_=at_node(node.node, link.from_), to=at_node(node.node, link.to))
