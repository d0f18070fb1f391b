"""AMD's compute nodes (KFD): the LLVM target of each GPU, and how it is partitioned."""

from __future__ import annotations

from whatfits.probes.drafts import read_text_or_none, whole_number
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.probes.system import System

__all__ = ["KfdNode", "gfx_target", "nodes_of", "parse_kfd_node", "read_kfd_nodes"]

_NODES: Final = "/sys/class/kfd/kfd/topology/nodes"
_MAX_NODES: Final = 256


@dataclass(frozen=True, slots=True)
class KfdNode:
    """One GPU, or one partition of it, as compute programs are shown it.

    Attributes:
        address: PCI address it belongs to.
        target_version: major × 10000 + minor × 100 + stepping, as 110501.
        simd_count: SIMD units; two make a compute unit on RDNA, four on CDNA.
    """

    address: str
    target_version: int
    simd_count: int


def parse_kfd_node(properties: str) -> KfdNode | None:
    """Return the node in a `properties` file; None for a node that is no GPU (a CPU)."""
    values: dict[str, int] = {}
    for line in properties.splitlines():
        name, _, value = line.partition(" ")
        number = whole_number(value)
        if number is not None:
            values[name] = number
    target, simds = values.get("gfx_target_version", 0), values.get("simd_count", 0)
    location = values.get("location_id")
    if not target or not simds or location is None:
        return None
    bus, device, function = location >> 8 & 0xFF, location >> 3 & 0x1F, location & 7
    address = f"{values.get('domain', 0):04x}:{bus:02x}:{device:02x}.{function}"
    return KfdNode(address, target, simds)


def read_kfd_nodes(system: System) -> tuple[tuple[KfdNode, ...], bool]:
    """Return the GPU nodes of the topology, and whether each of its nodes could be read.

    There are none without AMD's compute driver.
    """
    try:
        names = system.list_dir(_NODES)[:_MAX_NODES]
    except ProbeError:
        return (), True
    texts = [read_text_or_none(system, f"{_NODES}/{name}/properties") for name in names]
    nodes = tuple(node for text in texts if text and (node := parse_kfd_node(text)))
    return nodes, all(texts)


def nodes_of(nodes: Sequence[KfdNode], address: str) -> tuple[KfdNode, ...]:
    """Return the nodes at a PCI address; a partition's function number counts as its card's."""
    card = address.rpartition(".")[0]
    return tuple(node for node in nodes if node.address.rpartition(".")[0] == card)


def gfx_target(version: int) -> str:
    """Return LLVM's name: 110501 is `gfx1151`, 90010 is `gfx90a`."""
    return f"gfx{version // 10_000}{version // 100 % 100:x}{version % 100:x}"
