"""Machine expressions (`2x rtx-3090 + 64gb`, `m4 max 64gb`) as machines, from catalog facts alone.

Nothing here is measured: such a machine is idle, its card totals are what drivers show (or an
interval from the marketed size), its limits are the default rules of the operating systems.
"""

from __future__ import annotations

from whatfits.sizing.catalog.cpu_part import CPU_ID, cpu_device, cpu_part
from whatfits.sizing.catalog.device_entries import DeviceChoice, find_device_and_memory
from whatfits.sizing.catalog.expressions import parse_expression, with_memory, without_machine
from whatfits.sizing.catalog.machine_parts import card_pool, features_of, unified_pool
from whatfits.sizing.catalog.memory_rates import (
    pcie_bandwidth_bytes_per_s,
    ram_bandwidth_bytes_per_s,
)
from whatfits.sizing.errors import UnknownMachineError
from whatfits.sizing.machine import Device, Link, Machine, Pool
from whatfits.sizing.reserve import idle_ram_reserve_bytes
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB
from whatfits.sizing.values import dataclass, field, replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.catalog.cpu_part import CpuPart
    from whatfits.sizing.catalog.device_entries import DeviceEntry
    from whatfits.sizing.catalog.expressions import DevicePart, RamPart

__all__ = ["KIND_OF_VENDOR", "machine_expression"]

_UNKNOWN: Final = "unknown device"
KIND_OF_VENDOR: Final = {"NVIDIA": "cuda", "AMD": "rocm", "Intel": "vulkan", "Apple": "metal"}


def machine_expression(text: str) -> Machine:
    """Return the machine that an expression describes.

    Raises:
        UnknownMachineError: the form is wrong, a device is unknown or could be several, or its
            memory is left out and matters.
        CatalogError: the packaged index is missing or broken.
    """
    parts, ram = parse_expression(text)
    draft = _Draft(text=text, ram=ram)
    for part in parts:
        draft.add(part)
    return draft.machine()


def _refused(what: str, got: object, *, allowed: str, next_step: str) -> UnknownMachineError:
    return UnknownMachineError(what=what, got=got, allowed=allowed, next_step=next_step)


@dataclass(slots=True)
class _Draft:
    """The machine as it grows, part by part."""

    text: str
    ram: RamPart | None
    pools: list[Pool] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    host_pool: Pool | None = None
    os: str | None = None
    desktop_card_seen: bool = False
    cpu: CpuPart | None = None

    def add(self, part: DevicePart) -> None:
        """Add the devices of one part."""
        try:
            entry, memory_gib = self._find(part.text)
        except UnknownMachineError as refused:
            if not self._add_cpu(part):
                self._add_without_machine(part, refused)
            return
        if entry.kind == "integrated":
            self._add_integrated(entry, part)
        elif entry.unified_memory:
            self._add_unified(entry, part, memory_gib)
        else:
            self._add_cards(entry, part, memory_gib)

    def _add_without_machine(self, part: DevicePart, refused: UnknownMachineError) -> None:
        """Add what a name is without a word for the machine around it, as `rtx 4090 pc`."""
        name = without_machine(part.text)
        if name == part.text:
            raise refused
        try:
            self.add(replace(part, text=name))
        except UnknownMachineError as shorter:
            # what is asked further is asked of a device that is known
            raise (refused if shorter.what == _UNKNOWN else shorter) from None

    def _find(self, text: str) -> DeviceChoice:
        """Return a device; what was written as RAM may tell variants with shared memory apart."""
        try:
            return find_device_and_memory(text)
        except UnknownMachineError:
            if self.ram is None or self.ram.total_bytes % GIB:
                raise
            try:
                entry = find_device_and_memory(f"{text} {self.ram.total_bytes // GIB}gb").entry
            except UnknownMachineError:
                entry = None
            if entry is None or not entry.unified_memory:
                raise
            return DeviceChoice(entry, None)

    def _add_cpu(self, part: DevicePart) -> bool:
        """Take a part for the CPU, with the RAM behind its name; False where it names none."""
        found = cpu_part(part)
        if found is None:
            return False
        if self.cpu is not None or (found.ram is not None and self.ram is not None):
            allowed = "one CPU, and the RAM once, as 'raspberry pi 5 8gb'"
            raise _refused("machine", self.text, allowed=allowed, next_step="")
        self.cpu, self.ram = found, found.ram or self.ram
        self.names.append(found.name)
        return True

    def machine(self) -> Machine:
        """Return the machine: accelerators in the order they were named, the host last."""
        self._refuse_more_in_a_mac()
        host = self.host_pool or self._ram_pool()
        return Machine(
            pools=(*self.pools, host),
            devices=(*self.devices, cpu_device(host, self.ram, self.cpu)),
            links=tuple(self.links),
            name=" + ".join((*self.names, *self._ram_name(host))),
            os=self.os,
        )

    def _refuse_more_in_a_mac(self) -> None:
        """Refuse a GPU or a CPU beside Apple silicon: macOS drives no other there."""
        if self.os == "macos" and (len(self.devices) > 1 or self.cpu is not None):
            mac = next(device for device in self.devices if device.kind == "metal")
            raise _refused(
                "machine",
                self.text,
                allowed="no GPU beside Apple silicon's own, and no CPU",
                next_step=f"{mac.name} is a whole machine: size each one by itself",
            )

    def _ram_name(self, host: Pool) -> list[str]:
        if self.ram is None or host.kind != "ram":
            return []
        kind = "RAM" if self.ram.type is None else f"{self.ram.type}-{self.ram.mt_per_s}"
        return [f"{self.ram.total_bytes / GIB:g} GiB {kind}"]

    def _ram_pool(self) -> Pool:
        total = None if self.ram is None else self.ram.total_bytes
        return Pool("ram", "ram", total, reserve_bytes=idle_ram_reserve_bytes(self.os))

    def _memory_gib(self, entry: DeviceEntry, part: DevicePart, typed_gib: int | None) -> int:
        """Return the memory option that was meant; the only one needs no naming."""
        if typed_gib is not None:
            return typed_gib
        if len(entry.memory_gib) == 1:
            return entry.memory_gib[0]
        raise _refused(
            f"memory of {entry.name}",
            None,
            allowed=", ".join(f"{size} GiB" for size in entry.memory_gib),
            next_step="name it with its memory, as "
            f"'{with_memory(self.text, part.text, entry.memory_gib[-1])}'",
        )

    def _id(self, kind: str) -> str:
        if kind == "metal":  # a Mac has one
            return kind
        return f"{kind}{sum(device.kind == kind for device in self.devices)}"

    def _add_cards(self, entry: DeviceEntry, part: DevicePart, typed_gib: int | None) -> None:
        memory_gib = self._memory_gib(entry, part, typed_gib)
        for _ in range(part.count * entry.dies):
            headless = self.desktop_card_seen or entry.kind == "datacentre"
            self.desktop_card_seen |= not headless
            number = sum(pool.kind == "vram" for pool in self.pools)
            pool = card_pool(entry, memory_gib, number=number, headless=headless)
            self.pools.append(pool)
            self._add_device(entry, pool, bandwidth=entry.bandwidth_of(memory_gib))
        size = f" {memory_gib} GiB" if len(entry.memory_gib) > 1 else ""
        self.names.append(f"{_times(part.count)}{entry.name}{size}")

    def _add_device(self, entry: DeviceEntry, pool: Pool, *, bandwidth: int | None) -> None:
        kind = KIND_OF_VENDOR[entry.vendor]
        flops = entry.compute_flops_per_s
        device = Device(
            id=self._id(kind),
            kind=kind,
            name=entry.name,
            pool=pool.id,
            bandwidth_bytes_per_s=None if bandwidth is None else bandwidth // entry.dies,
            fp16_flops_per_s=None if flops is None else flops // entry.dies,
            features=features_of(entry),
            power_watts=None if entry.power_watts is None else entry.power_watts // entry.dies,
        )
        self.devices.append(device)
        if pool.kind == "vram":
            link = None
            if entry.pcie_gen is not None and entry.pcie_lanes is not None:
                link = pcie_bandwidth_bytes_per_s(entry.pcie_gen, entry.pcie_lanes)
            self.links.append(Link(CPU_ID, device.id, link))

    def _add_unified(self, entry: DeviceEntry, part: DevicePart, typed_gib: int | None) -> None:
        if self.host_pool is not None or part.count > 1:
            raise _refused(
                "machine",
                self.text,
                allowed="one device that shares the CPU's memory",
                next_step=f"{entry.name} is a whole machine: size each one by itself",
            )
        if self.ram is not None:
            typed_gib = self._shared_memory_gib(entry, typed_gib)
        memory_gib = self._memory_gib(entry, part, typed_gib)
        if entry.vendor == "Apple":
            self.os = "macos"
        elif entry.vendor == "NVIDIA":
            self.os = "linux"
        self.host_pool = unified_pool(entry, memory_gib, os=self.os)
        self._add_device(entry, self.host_pool, bandwidth=entry.bandwidth_of(memory_gib))
        size = f" {memory_gib} GiB" if len(entry.memory_gib) > 1 else ""
        self.names.append(f"{entry.name}{size}")

    def _shared_memory_gib(self, entry: DeviceEntry, typed_gib: int | None) -> int:
        """Return the memory that was written as RAM: here RAM and GPU memory are one."""
        total = 0 if self.ram is None else self.ram.total_bytes
        if typed_gib is None and any(size * GIB == total for size in entry.memory_gib):
            return total // GIB
        raise _refused(
            f"memory of {entry.name}",
            f"{total / GIB:g} GiB" if typed_gib is None else f"{typed_gib} GiB and RAM",
            allowed=", ".join(f"{size} GiB" for size in entry.memory_gib),
            next_step=f"CPU and GPU share it: write it once, as '{entry.name} "
            f"{entry.memory_gib[-1]}gb'",
        )

    def _add_integrated(self, entry: DeviceEntry, part: DevicePart) -> None:
        if self.ram is None or part.count > 1:
            raise _refused(
                "machine",
                self.text,
                allowed=f"{entry.name} once, with the RAM it uses",
                next_step=f"write '{entry.name} + 32gb'; it adds no memory of its own",
            )
        rate = self.ram.mt_per_s
        bandwidth = (
            None if rate is None else ram_bandwidth_bytes_per_s(rate, channels=self.ram.channels)
        )
        self._add_device(entry, self._ram_pool(), bandwidth=bandwidth)
        self.names.append(entry.name)


def _times(count: int) -> str:
    return f"{count}x " if count > 1 else ""
