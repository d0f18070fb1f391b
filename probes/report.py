"""What a probe found out, how it knows, and what a person can do about it."""

from __future__ import annotations

from whatfits.sizing.machine import Machine  # noqa: TC001 - resolved by pydantic for the schema
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from whatfits.sizing.machine import Device, Link, Pool

__all__ = ["Evidence", "Finding", "Holder", "Partial", "ProbeReport"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One value and where it came from.

    Attributes:
        key: the field it fills, as `pools.vram0.total_bytes`.
        value: the value, None when it is unknown.
        unit: `bytes`, `bytes/s`, `count`, `text`, ….
        source: file, call or program it was read from.
        kind: `measured`, `reported`, `derived` (by a stated rule) or `unknown`.
    """

    key: str
    value: int | float | str | bool | None
    unit: str
    source: str
    kind: Literal["measured", "reported", "derived", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a person should know.

    Attributes:
        code: stable name, as `nvidia_driver_mismatch`.
        severity: `info` or `warning`.
        text: what was seen, one sentence.
        next_step: what to do about it; empty when there is nothing to do.
    """

    code: str
    severity: Literal["info", "warning"]
    text: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds memory others could use.

    Attributes:
        pool: id of the pool.
        name: name of the program.
        pid: process id; None when it is not visible.
        held_bytes: what it holds; None when the driver does not say.
    """

    pool: str
    name: str
    pid: int | None
    held_bytes: int | None


@dataclass(frozen=True, slots=True)
class Partial:
    """What one source contributes to the machine."""

    pools: tuple[Pool, ...] = ()
    devices: tuple[Device, ...] = ()
    links: tuple[Link, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    findings: tuple[Finding, ...] = ()
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """The machine as read, with everything that backs it.

    Attributes:
        machine: pools, devices and links.
        evidence: every value with its source.
        findings: warnings, and how to raise each limit.
        holders: processes that hold GPU memory, most first.
        free_disk_bytes: room for downloads; None when unknown.
    """

    machine: Machine
    evidence: tuple[Evidence, ...] = ()
    findings: tuple[Finding, ...] = ()
    holders: tuple[Holder, ...] = ()
    free_disk_bytes: int | None = None
