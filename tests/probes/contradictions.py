"""What a broken machine's report may say beside the sound one's: less, or what else is told.

A value is the sound one, or unknown, or one that another source of the same machine tells, or a
stated derivation from what is left (its evidence says `derived`); and whatever is lost or derived
anew has a finding.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from whatfits.probes.report import ProbeReport
    from whatfits.sizing.machine import Device

Value = int | float | str | bool | None
_POOL_FIELDS = ("total_bytes", "limit_bytes", "used_bytes")
_RATES = ("bandwidth_bytes_per_s", "fp16_flops_per_s")
# said of a device of which less is known; none promises anything
_ADMISSIONS = ("unusable", "integrated")
_NAMELESS = ("unknown", "Apple GPU")


@dataclass(frozen=True)
class Sound:
    """A machine without fault: its report, and every word and number its sources tell.

    Attributes:
        report: what is said of it.
        values: every value of that by its name.
        told: words and numbers of the recording, those of the report among them.
        architecture: what its kernel calls the processor.
    """

    report: ProbeReport
    values: Mapping[str, Value]
    told: frozenset[str]
    architecture: str

    @classmethod
    def of(cls, recording: Mapping[str, Any], report: ProbeReport) -> Sound:
        """Return the machine of a recording with its report."""
        values = _values_of(report, {})
        texts = [json.dumps(recording, ensure_ascii=False), *map(str, values.values())]
        told = frozenset(re.findall(r"[\w.]+", " ".join(texts)))
        return cls(report, values, told, recording["architecture"])

    def contradicted_by(self, broken: ProbeReport) -> Iterator[str]:
        """Yield what the report of the machine with a fault claims against this one."""
        derived = {_name(item.key, broken) for item in broken.evidence if item.kind == "derived"}
        for name, value in self._values_of(broken).items():
            true = self.values.get(name)
            if value is None or value == true or name in derived or name.endswith(".used_bytes"):
                continue
            if not self._is_less(name, value, true):
                yield f"{name} is {value!r} instead of {true!r}"

    def is_guessed_by(self, broken: ProbeReport) -> bool:
        """Return whether values are lost or others and nothing says so.

        A finding says so, or the evidence, that the value is unknown.
        """
        now = self._values_of(broken)
        said = {_name(item.key, broken) for item in broken.evidence if item.kind == "unknown"}
        other = {name for name, value in self.values.items() if now.get(name) != value} - said
        return bool(other) and not set(broken.findings) - set(self.report.findings)

    def has_lost_a_device_to(self, broken: ProbeReport) -> bool:
        """Return whether a device is missing and nothing says so."""
        lost = len(broken.machine.devices) < len(self.report.machine.devices)
        return lost and not set(broken.findings) - set(self.report.findings)

    def _values_of(self, broken: ProbeReport) -> dict[str, Value]:
        return _values_of(broken, {d.id: _place(d) for d in self.report.machine.devices})

    def _is_less(self, name: str, value: Value, true: Value) -> bool:
        """Return whether a value says less than the true one, or what another source tells."""
        if isinstance(value, str):
            return value.startswith((*_NAMELESS, f"{self.architecture} CPU")) or self._tells(value)
        if isinstance(value, bool):
            feature = name.partition(" is ")[2]
            known = feature in _ADMISSIONS or name.endswith(".visible_to_runtimes")
            features = {f for device in self.report.machine.devices for f in device.features}
            is_moved = feature in features  # the devices behind a lost one have new numbers
            is_kind = feature.startswith(("partition:", "gfx"))
            return known or is_moved or is_kind or self._tells(feature)
        is_slower = name.endswith(_RATES) or name.startswith("links.")
        return str(value) in self.told or (is_slower and isinstance(true, int) and value <= true)

    def _tells(self, text: str) -> bool:
        """Return whether every word of a text stands somewhere in this machine's sources."""
        words = re.findall(r"[\w.]+", text.removeprefix("pci:").removeprefix("pciid:"))
        return bool(words) and all(
            word in self.told or _decimal(word) in self.told for word in words
        )


def _values_of(report: ProbeReport, places: Mapping[str, str]) -> dict[str, Value]:
    """Return every value by a name; a device goes by its place on the bus, in `places` if lost."""
    machine = report.machine
    found: dict[str, Value] = {"os_version": machine.os_version}
    for pool in machine.pools:
        found |= {f"pools.{pool.id}.{name}": getattr(pool, name) for name in _POOL_FIELDS}
    for device in machine.devices:
        place = _place(device)
        place = places.get(device.id, place) if place == device.id else place
        found |= {f"{place}.{name}": getattr(device, name) for name in ("name", *_RATES)}
        found |= {f"{place} is {feature}": True for feature in device.features}
    for link in machine.links:
        found[f"links.{link.from_}.{link.to}"] = link.bandwidth_bytes_per_s
    for item in report.evidence:
        found.setdefault(_name(item.key, report), item.value)
    return found


def _name(key: str, report: ProbeReport) -> str:
    """Return the name of a piece of evidence: of a device, by its place."""
    parts = key.split(".")
    device = next((d for d in report.machine.devices if parts[:2] == ["devices", d.id]), None)
    return key if device is None else f"{_place(device)}.{'.'.join(parts[2:])}"


def _place(device: Device) -> str:
    address = next((f for f in device.features if f.startswith("pci:")), None)
    is_part = any(feature.startswith(("partition:", "mig")) for feature in device.features)
    return device.id if address is None or is_part else address


def _decimal(word: str) -> str:
    """Return a hexadecimal word as recordings of Windows write it."""
    try:
        return str(int(word, 16))
    except ValueError:
        return word
