"""What the GPU probes share: values checked on the way in, and a collector for what they find.

A driver's answer is untrusted: any field may be missing, an error, a text, negative or absurd.
`count`, `text` and the rest return None instead of passing such a value on.
"""

from __future__ import annotations

from collections.abc import Mapping

from whatfits.probes.report import Evidence, Finding, Holder, Partial
from whatfits.sizing.errors import CatalogError, ProbeError, printable
from whatfits.sizing.machine import Link
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.probes.system import System
    from whatfits.sizing.machine import Device, Pool

__all__ = [
    "MAX_PLAUSIBLE_BYTES",
    "Draft",
    "Rates",
    "catalog_rates",
    "count",
    "error_name",
    "has_node",
    "items",
    "mapping",
    "read_text_or_none",
    "size",
    "text",
    "whole_number",
]

MAX_PLAUSIBLE_BYTES: Final = 2**46
"""64 TiB: above every memory built so far, below the wrapped -1 and all-ones of broken drivers."""

_MAX_PLAUSIBLE_COUNT: Final = 2**40
_MAX_DIGITS: Final = 20  # of 2**64; Python refuses to read thousands
EvidenceKind = Literal["measured", "reported", "derived", "unknown"]


def count(value: object) -> int | None:
    """Return a whole number from 0 to 2**40, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MAX_PLAUSIBLE_COUNT else None


def size(value: object) -> int | None:
    """Return a size in bytes from 0 to 64 TiB, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_PLAUSIBLE_BYTES else None


def whole_number(digits: str | None) -> int | None:
    """Return the number that a file or program writes in decimal digits, None for anything else."""
    if digits is None or not digits.isascii() or not digits.isdecimal():
        return None
    return int(digits) if len(digits) <= _MAX_DIGITS else None


def text(value: object) -> str | None:
    """Return text without control characters, None when there is none."""
    if not isinstance(value, str):
        return None
    return printable(value.strip()) or None


def mapping(value: object) -> Mapping[str, object]:
    """Return a JSON object, empty for anything else."""
    return value if isinstance(value, Mapping) else {}


def items(value: object, *, at_most: int = 1024) -> Sequence[object]:
    """Return a JSON list cut to `at_most` entries, empty for anything else."""
    return value[:at_most] if isinstance(value, (list, tuple)) else ()


def error_name(value: object) -> str | None:
    """Return the error in an answer of the form `{"error": name}`, None when it is no error."""
    return text(mapping(value).get("error"))


def has_node(system: System, name: str) -> bool:
    """Return whether `/dev` has a node or folder of that name; True when it cannot be listed."""
    try:
        return name in system.list_dir("/dev")
    except ProbeError:
        return True


def read_text_or_none(system: System, path: str) -> str | None:
    """Return a small file without surrounding blanks; None when it cannot be read."""
    try:
        return system.read_text(path).strip()
    except ProbeError:
        return None


@dataclass(frozen=True, slots=True)
class Rates:
    """What the catalog knows of a chip's speed; None where it knows nothing."""

    bandwidth_bytes_per_s: int | None = None
    fp16_flops_per_s: int | None = None


def catalog_rates(
    name: str, *, vendor: str, memory_bytes: int | None = None, gpu_cores: int | None = None
) -> Rates:
    """Return the catalog's speeds of the device that a driver calls `name`.

    A broken catalog must not cost the device: its speeds are unknown then.
    """
    from whatfits.sizing.catalog.lookup import match_driver_name  # noqa: PLC0415 - cold path

    try:
        entry = match_driver_name(
            name, vendor=vendor, memory_bytes=memory_bytes, gpu_cores=gpu_cores
        )
    except CatalogError:
        return Rates()
    if entry is None:
        return Rates()
    memory_gib = entry.option_of(memory_bytes)
    return Rates(
        _per_die(entry.bandwidth_of(memory_gib), entry.dies),
        _per_die(entry.compute_flops_per_s, entry.dies),
    )


def _per_die(rate: int | None, dies: int) -> int | None:
    """Return what one of the devices has that a card of several dies shows."""
    return None if rate is None else rate // dies


@dataclass(slots=True)
class Draft:
    """Collects what one source contributes; `partial()` freezes it."""

    pools: list[Pool] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)

    def know(
        self,
        key: str,
        value: float | str | bool | None,
        *,
        unit: str,
        source: str,
        kind: EvidenceKind = "reported",
    ) -> None:
        """Record a value with its source; a value of None is recorded as unknown."""
        self.evidence.append(
            Evidence(key, value, unit, source, "unknown" if value is None else kind)
        )

    def know_rates(self, device: Device, link_bytes_per_s: int | None) -> None:
        """Record how fast a card's memory is, and add its link to the host where that is known."""
        self.know(
            f"devices.{device.id}.bandwidth_bytes_per_s",
            device.bandwidth_bytes_per_s,
            unit="bytes/s",
            source="catalog",
        )
        if link_bytes_per_s is not None:
            self.links.append(Link("cpu", device.id, link_bytes_per_s))
            self.know(
                f"links.cpu.{device.id}",
                link_bytes_per_s,
                unit="bytes/s",
                source="max_link_speed × max_link_width, narrowest hop",
                kind="derived",
            )

    def next_pool(self) -> str:
        """Return the id of the next card's memory."""
        return f"vram{sum(pool.kind == 'vram' for pool in self.pools)}"

    def next_device(self, kind: str) -> str:
        """Return the id of the next device of a kind."""
        return f"{kind}{sum(device.kind == kind for device in self.devices)}"

    def say(self, code: str, text: str, *, next_step: str = "", warn: bool = False) -> None:
        """Record something a person should know."""
        self.findings.append(Finding(code, "warning" if warn else "info", text, next_step))

    def add(self, part: Partial) -> None:
        """Take in what another source contributes, as it is."""
        self.pools += part.pools
        self.devices += part.devices
        self.links += part.links
        self.evidence += part.evidence
        self.findings += part.findings
        self.holders += part.holders

    def partial(self) -> Partial:
        """Return what was collected."""
        return Partial(
            pools=tuple(self.pools),
            devices=tuple(self.devices),
            links=tuple(self.links),
            evidence=tuple(self.evidence),
            findings=tuple(self.findings),
            holders=tuple(self.holders),
        )
