"""Which memory belongs to which processors.

A node without processors is not RAM like the rest: it is a GPU's memory (Grace), a CXL expander or
a card's HBM. It is named and left out of what models are placed in by default.

Source: Linux kernel documentation, ABI/stable/sysfs-devices-node.
"""

from __future__ import annotations

from whatfits.probes.drafts import Draft, read_text_or_none
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import KIB, format_bytes
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["NumaNode", "parse_cpu_list", "parse_node_meminfo", "probe", "read_numa_nodes"]

_NODES: Final = "/sys/devices/system/node"
_MAX_CPUS: Final = 8192


@dataclass(frozen=True, slots=True)
class NumaNode:
    """One node.

    Attributes:
        number: its number.
        total_bytes: memory in it; None when it cannot be read.
        idle_bytes: free memory and page cache in it.
        has_cpus: whether processors are near it; None when that cannot be read.
    """

    number: int
    total_bytes: int | None
    idle_bytes: int
    has_cpus: bool | None


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Return the numbers in a kernel list such as `0-3,8,10-11`; nonsense is left out."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first  # a range cut short is nonsense, not one processor
        if first.isdecimal() and last.isdecimal() and int(last) < _MAX_CPUS:
            numbers.update(range(int(first), int(last) + 1))
    return tuple(sorted(numbers))


def parse_node_meminfo(text: str) -> dict[str, int]:
    """Return the fields of a node's `meminfo` in bytes: `Node 0 MemTotal:  5596960 kB`."""
    fields = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 5 and words[3].isdecimal():  # noqa: PLR2004 - the form above
            fields[words[2].rstrip(":")] = int(words[3]) * KIB
    return fields


def read_numa_nodes(system: System) -> tuple[NumaNode, ...]:
    """Return the nodes that hold memory; one node alone is returned without its figures."""
    with_memory = parse_cpu_list(read_text_or_none(system, f"{_NODES}/has_memory") or "")
    listed = read_text_or_none(system, f"{_NODES}/has_cpu")
    with_cpus = parse_cpu_list(listed or "")
    if len(with_memory) < 2:  # noqa: PLR2004 - its figures are those of the machine
        return tuple(NumaNode(n, None, 0, has_cpus=True) for n in with_memory)
    nodes = []
    for number in with_memory:
        fields = parse_node_meminfo(
            read_text_or_none(system, f"{_NODES}/node{number}/meminfo") or ""
        )
        idle = sum(fields.get(key, 0) for key in ("MemFree", "Active(file)", "Inactive(file)"))
        has_cpus = None if listed is None else number in with_cpus
        nodes.append(NumaNode(number, fields.get("MemTotal"), idle, has_cpus=has_cpus))
    return tuple(nodes)


def probe(system: System) -> Partial:
    """Return what each node holds, and how to use several."""
    draft = Draft()
    nodes = read_numa_nodes(system)
    if not nodes:
        return draft.partial()
    draft.know("numa.nodes", len(nodes), unit="count", source=f"{_NODES}/has_memory")
    for node in nodes if len(nodes) > 1 else ():
        key, source = f"numa.node{node.number}", f"{_NODES}/node{node.number}/meminfo"
        draft.know(f"{key}.total_bytes", node.total_bytes, unit="bytes", source=source)
        draft.know(f"{key}.has_cpus", node.has_cpus, unit="flag", source=f"{_NODES}/has_cpu")
    near = [node for node in nodes if node.has_cpus]
    if len(near) > 1:
        draft.say(
            "numa_nodes",
            f"The RAM is split over {len(near)} NUMA nodes; a model that spans them is read partly "
            "over the link between sockets, which is slower than the bandwidth of one socket.",
            next_step="try 'llama-server --numa distribute', or 'numactl --cpunodebind=0 "
            "--membind=0' when the model fits into one node",
        )
    for node in nodes:
        if node.has_cpus is False:
            held = "" if node.total_bytes is None else f" ({format_bytes(node.total_bytes)})"
            draft.say(
                "numa_memory_only_node",
                f"NUMA node {node.number}{held} has no processors: it is GPU, CXL or HBM memory "
                "and is not counted as RAM.",
                next_step=f"'numactl --membind={node.number}' places a program there on purpose",
            )
    return draft.partial()
