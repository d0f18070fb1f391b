"""What a broken machine's report may say beside the sound one's: less, or what else is told.

A value is the sound one, or unknown, or one that another source of the same machine tells, or a
stated derivation from what is left (its evidence says `derived`); and whatever is lost or derived
anew has a finding.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from whatfits.probes.report import ProbeReport

Value = int | float | str | bool | None
_DERIVED_FIELDS = ("used_bytes", "reserve_bytes", "limit_low_bytes")


def values_of(report: ProbeReport) -> dict[str, Value]:
    """Return every value of a report by a name; devices go by their place on the bus."""
    machine = report.machine
    found: dict[str, Value] = {"os_version": machine.os_version}
    for pool in machine.pools:
        for name in ("total_bytes", "limit_bytes", "used_bytes"):
            found[f"pools.{pool.id}.{name}"] = getattr(pool, name)
    for device in machine.devices:
        place = next((f for f in device.features if f.startswith("pci:")), device.id)
        place += f" {device.id}" if any("partition" in f for f in device.features) else ""
        for name in ("name", "bandwidth_bytes_per_s", "fp16_flops_per_s"):
            found[f"{place}.{name}"] = getattr(device, name)
        for feature in device.features:
            found[f"{place} is {feature}"] = True
    for link in machine.links:
        found[f"links.{link.from_}.{link.to}"] = link.bandwidth_bytes_per_s
    for item in report.evidence:
        found.setdefault(item.key, item.value)
    return found


def told_by(recording: Mapping[str, Any]) -> set[str]:
    """Return every number and word that stands anywhere in a recording."""
    return set(re.findall(r"[\w.]+", json.dumps(recording, ensure_ascii=False)))


def contradictions(
    sound: ProbeReport, broken: ProbeReport, *, told: set[str], architecture: str
) -> Iterator[str]:
    """Yield what the broken machine's report claims against the sound one's."""
    true, claimed = values_of(sound), values_of(broken)
    derived = {item.key for item in broken.evidence if item.kind == "derived"}
    known = {value for value in true.values() if isinstance(value, int | float)}
    for name, value in claimed.items():
        if value is None or true.get(name) == value or name in derived:
            continue
        if name.endswith(_DERIVED_FIELDS) or name.split(".")[-1] == "name":
            if isinstance(value, str) and not _is_less(value, true, told, architecture):
                yield f"{name} is {value!r}"
        elif isinstance(value, bool):
            if not _is_admission(name):
                yield f"{name}, which it is not"
        elif isinstance(value, str):
            if not _is_less(value, true, told, architecture):
                yield f"{name} is {value!r} instead of {true.get(name)!r}"
        elif value not in known and str(value) not in told:
            yield f"{name} is {value!r} instead of {true.get(name)!r}"


def _is_less(
    value: str, true: Mapping[str, Value], told: set[str], architecture: str
) -> bool:
    """Return whether a text is part of a true one, of words the machine tells, or says unknown."""
    if value.startswith("unknown") or value in (f"{architecture} CPU", "unknown CPU", "Apple GPU"):
        return True
    words = set(re.findall(r"[\w.]+", value))
    return any(isinstance(t, str) and value in t for t in true.values()) or words <= told


def _is_admission(name: str) -> bool:
    """Return whether a fact gained says that less is possible, or how it is counted."""
    return name.endswith((" is unusable", " is integrated", ".visible_to_runtimes")) or (
        " is partition:" in name
    )


def silent_guess(sound: ProbeReport, broken: ProbeReport) -> bool:
    """Return whether values differ although no finding says more than those of the sound one."""
    if values_of(sound) == values_of(broken):
        return False
    return not set(broken.findings) - set(sound.findings)
