"""What a machine is: memory pools, devices that compute out of them, links between them."""

from __future__ import annotations

from whatfits.sizing.calibration import (
    Calibration,  # noqa: TC001 - resolved by pydantic for the schema
)
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from typing import ClassVar, Final

__all__ = [
    "UNKNOWN_MACHINE_NAME",
    "Device",
    "LimitScope",
    "Link",
    "Machine",
    "MeasuredOverhead",
    "Pool",
    "PoolKind",
]

PoolKind = Literal["ram", "vram", "unified"]
LimitScope = Literal["pool", "accelerators"]
UNKNOWN_MACHINE_NAME: Final = "unnamed machine"


@dataclass(frozen=True, slots=True)
class Pool:
    """One body of memory.

    Attributes:
        id: name used by devices, as `vram0`, `ram`, `unified`.
        kind: `ram`, `vram`, or `unified` (CPU and GPU share it).
        total_bytes: capacity as the driver or the OS reports it; None when unknown.
        limit_bytes: what may be used at most (cgroup, wired limit, driver reserve); None when
            there is no limit below the total.
        used_bytes: what others hold of that allowance now; None when it could not be read.
        reserve_bytes: kept free on purpose (OS, desktop).
        total_low_bytes: lower end of the capacity when it is only known as marketed.
        limit_low_bytes: lower end of the limit when it depends on something unknown.
        limit_source: where the limit comes from, in words.
        limit_scope: whom the limit binds: `pool` for all that lies in it (a cgroup's),
            `accelerators` for what GPUs take of it (a Mac's wired limit, GTT). In the latter case
            `used_bytes` and `reserve_bytes` are of the total, and everything together may fill it.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    id: str
    kind: PoolKind
    total_bytes: int | None
    limit_bytes: int | None = None
    used_bytes: int | None = 0
    reserve_bytes: int = 0
    total_low_bytes: int | None = None
    limit_low_bytes: int | None = None
    limit_source: str | None = None
    limit_scope: LimitScope = "pool"

    @property
    def allowance_bytes(self) -> int | None:
        """The smaller of total and limit; None when the total is unknown."""
        if self.total_bytes is None:
            return None
        if self.limit_bytes is None:
            return self.total_bytes
        return min(self.total_bytes, self.limit_bytes)

    @property
    def allowance_low_bytes(self) -> int | None:
        """As `allowance_bytes`, from the lower ends of total and limit."""
        if self.total_bytes is None:
            return None
        limit = _lower(self.limit_bytes, self.limit_low_bytes)
        return _lower(_lower(self.total_bytes, self.total_low_bytes), limit)

    @property
    def free_bytes(self) -> int | None:
        """min(limit, total) - used by others - reserve, not below zero; None when unknown.

        Of a limit that binds accelerators alone: min(limit, total - used by others - reserve).
        """
        if self.used_bytes is None:
            return None
        return self._free(self.allowance_bytes, self.total_bytes, self.used_bytes)

    @property
    def free_low_bytes(self) -> int | None:
        """As `free_bytes`, from the lower ends: what a promise may rest on."""
        if self.used_bytes is None:
            return None
        total = _lower(self.total_bytes, self.total_low_bytes)
        return self._free(self.allowance_low_bytes, total, self.used_bytes)

    @property
    def free_when_idle_bytes(self) -> int | None:
        """As `free_bytes` when nobody else holds anything."""
        return self._free(self.allowance_bytes, self.total_bytes, 0)

    @property
    def whole(self) -> Pool:
        """The pool as all devices together may fill it: without a limit of accelerators alone."""
        if self.limit_scope == "pool":
            return self
        return replace(self, limit_bytes=None, limit_low_bytes=None, limit_scope="pool")

    def of(self, device: Device) -> Pool:
        """Return the pool as one device may fill it."""
        return self.whole if device.kind == "cpu" else self

    def _free(self, allowance: int | None, total: int | None, used: int) -> int | None:
        if allowance is None or total is None:
            return None
        if self.limit_scope == "accelerators":
            return max(0, min(allowance, total - used - self.reserve_bytes))
        return max(0, allowance - used - self.reserve_bytes)


def _lower(amount: int | None, low: int | None) -> int | None:
    """Return the lower end of an amount: never above it, whatever was written."""
    return min((n_bytes for n_bytes in (amount, low) if n_bytes is not None), default=None)


@dataclass(frozen=True, slots=True)
class Device:
    """Something that computes out of a pool.

    Attributes:
        id: name within the machine, as `cuda0`, `metal`, `cpu`.
        kind: back end family: `cpu`, `cuda`, `rocm`, `metal`, `vulkan`, `sycl`, ….
        name: what the driver or the catalog calls it.
        pool: id of the pool it computes out of.
        bandwidth_bytes_per_s: peak memory bandwidth; None when unknown.
        fp16_flops_per_s: dense FP16 matrix rate; None when unknown.
        features: facts that change memory or commands, as `avx2`, `cc8.9`, `integrated`, `wddm`.
        power_watts: power limit of the board as published; None when unknown.
        cores: of a processor those that llama.cpp starts a thread on by itself; None when unknown.
        fast_cores: what those are worth in the fastest; None when all are alike, or unknown.
        clock_hz: highest clock of a core of a processor; None when unknown.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    id: str
    kind: str
    name: str
    pool: str
    bandwidth_bytes_per_s: int | None = None
    fp16_flops_per_s: int | None = None
    features: tuple[str, ...] = ()
    power_watts: int | None = None
    cores: int | None = None
    fast_cores: float | None = None
    clock_hz: int | None = None

    @property
    def is_usable(self) -> bool:
        """Whether programs can compute on it: it has a driver that lets them."""
        return "unusable" not in self.features

    @property
    def is_slice(self) -> bool:
        """Whether it is a slice of a card (MIG): a process of CUDA sees one, by its UUID alone."""
        return "mig" in self.features


@dataclass(frozen=True, slots=True)
class Link:
    """A path between two devices (or a device and the host) and its one-way bandwidth."""

    __pydantic_config__: ClassVar = {
        "extra": "forbid",
        "alias_generator": lambda name: name.rstrip("_"),
        "populate_by_name": True,
    }

    from_: str
    to: str
    bandwidth_bytes_per_s: int | None = None


@dataclass(frozen=True, slots=True)
class MeasuredOverhead:
    """What real loads on this machine took of a device beside the runtime's own buffers.

    Attributes:
        device: id of the device; the host's for the process itself.
        low_bytes: lower end of the interval.
        mid_bytes: median of the loads.
        high_bytes: upper end.
        source: how many loads, and of when.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    device: str
    low_bytes: int
    mid_bytes: int
    high_bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A computer as sizing sees it: pools, devices in the runtime's order, links.

    `disk_bandwidth_bytes_per_s` is how fast the disk with the models is read in one go; None when
    unknown. `calibration` is what was measured here; None when nothing was.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    pools: tuple[Pool, ...]
    devices: tuple[Device, ...]
    links: tuple[Link, ...] = ()
    name: str = UNKNOWN_MACHINE_NAME
    os: str | None = None
    os_version: str | None = None
    overheads: tuple[MeasuredOverhead, ...] = ()
    disk_bandwidth_bytes_per_s: int | None = None
    calibration: Calibration | None = None

    def pool(self, pool_id: str) -> Pool:
        """Return the pool of that id.

        Raises:
            KeyError: there is no such pool.
        """
        for pool in self.pools:
            if pool.id == pool_id:
                return pool
        raise KeyError(pool_id)

    @property
    def accelerators(self) -> tuple[Device, ...]:
        """The devices that are not CPUs, in order."""
        return tuple(device for device in self.devices if device.kind != "cpu")

    @property
    def host(self) -> Device | None:
        """The CPU, if it is listed."""
        return next((device for device in self.devices if device.kind == "cpu"), None)

    @property
    def host_pool(self) -> Pool | None:
        """The pool the host computes out of: the CPU's, else the RAM or unified pool."""
        if self.host is not None:
            return self.pool(self.host.pool)
        return next((p for p in self.pools if p.kind in ("ram", "unified")), None)
