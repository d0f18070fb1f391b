"""Pure parser of the table in which Windows describes its processors.

Source: Microsoft Learn, SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX, PROCESSOR_RELATIONSHIP,
CACHE_RELATIONSHIP, GROUP_AFFINITY.
"""

from __future__ import annotations

import struct

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["parse_processor_information"]

_CORE: Final = 0
_CACHE: Final = 2
_HEADER: Final = struct.Struct("<II")
_CORE_HEAD: Final = struct.Struct("<BB20xH")
_AFFINITY: Final = struct.Struct("<QH6x")
_CACHE_HEAD: Final = struct.Struct("<BBHI")
_THIRD_LEVEL: Final = 3


def parse_processor_information(table: bytes) -> dict[str, object]:
    """Return counts of cores and threads over all groups, and one third-level cache's size.

    Entries that reach past the end of the table are left out; with no core nothing is told.
    """
    threads = 0
    classes: list[int] = []
    l3_bytes = None
    for kind, body in _entries(table):
        if kind == _CORE and len(body) >= _CORE_HEAD.size:
            _, efficiency_class, groups = _CORE_HEAD.unpack_from(body)
            classes.append(efficiency_class)
            for group in range(groups):
                at = _CORE_HEAD.size + group * _AFFINITY.size
                if at + _AFFINITY.size <= len(body):
                    threads += _AFFINITY.unpack_from(body, at)[0].bit_count()
        elif kind == _CACHE and len(body) >= _CACHE_HEAD.size:
            level, _, _, size_bytes = _CACHE_HEAD.unpack_from(body)
            if level == _THIRD_LEVEL:
                l3_bytes = max(l3_bytes or 0, size_bytes)
    if not classes:
        return {"l3_bytes": l3_bytes}
    return {
        "physical_cores": len(classes),
        "logical_cores": threads or None,
        # A higher class is a faster core; alike ones are all of class 0.
        "performance_cores": classes.count(max(classes)),
        "l3_bytes": l3_bytes,
    }


def _entries(table: bytes) -> list[tuple[int, bytes]]:
    found = []
    at = 0
    while at + _HEADER.size <= len(table):
        kind, length = _HEADER.unpack_from(table, at)
        if length < _HEADER.size or at + length > len(table):
            break
        found.append((kind, table[at + _HEADER.size : at + length]))
        at += length
    return found
