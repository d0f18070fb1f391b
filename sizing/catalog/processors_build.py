"""Checks the catalog's processors and makes the index that `processor_facts` reads."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from whatfits.sizing.catalog.processor_facts import processor_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whatfits.sizing.catalog.memory_schema import PlatformRow
    from whatfits.sizing.catalog.processor_schema import ProcessorRow, ProcessorSeriesRow

__all__ = ["processor_problems", "processors_index"]

_HZ_PER_MHZ = 1_000_000


def processor_problems(
    series: Sequence[ProcessorSeriesRow], platforms: Sequence[PlatformRow]
) -> Iterator[str]:
    """Yield what is wrong with the processors, one sentence each."""
    patterns = {row.id: row.brand_pattern for row in platforms}
    seen: set[str] = set()
    for row in series:
        pattern = patterns.get(row.platform)
        if pattern is None:
            yield f"processors of {row.platform!r}: no such platform, or it has no pattern"
            continue
        for name, cpu in row.cpus.items():
            key = _key(name, pattern)
            if key is None:
                yield f"{name}: the pattern of {row.platform} does not find it"
            elif key in seen:
                yield f"processor {key!r} occurs twice"
            else:
                seen.add(key)
            if (cpu.performance_cores or cpu.worth_in_cores or 0) > cpu.cores:
                yield f"{name}: its fast cores are more than its {cpu.cores}"


def processors_index(
    series: Sequence[ProcessorSeriesRow], platforms: Sequence[PlatformRow]
) -> bytes:
    """Return the index: lists of features, and a line a processor that names one of them."""
    patterns = {row.id: row.brand_pattern or "" for row in platforms}
    features = sorted({row.features for row in series})
    lines = [
        f"{_json(_key(name, patterns[row.platform]))}:"
        f"{_json(_record(name, cpu, features.index(row.features)))}"
        for row in series
        for name, cpu in row.cpus.items()
    ]
    body = ",\n".join(lines)
    return f'{{"features":{_json(features)},\n"cpus":{{\n{body}\n}}}}\n'.encode()


def _record(name: str, cpu: ProcessorRow, features: int) -> list[Any]:
    fast = cpu.performance_cores
    of_two_kinds = fast is not None and fast < cpu.cores
    # its JSON tells the cores that work: the name says that these are not all
    kinds = f"{fast} fast cores of {cpu.cores}" if of_two_kinds else cpu.kinds
    shown = name if kinds is None else f"{name} ({kinds})"
    clock_hz = None if cpu.boost_mhz is None else cpu.boost_mhz * _HZ_PER_MHZ
    return [shown, fast or cpu.cores, cpu.worth_in_cores, clock_hz, features]


def _key(name: str, pattern: str) -> str | None:
    found = re.search(pattern, name, re.IGNORECASE)
    return None if found is None else processor_key(found.group())


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
