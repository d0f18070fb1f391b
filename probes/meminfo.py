"""Pure parsers of what kernels print about memory."""

from __future__ import annotations

from whatfits.probes.drafts import MAX_PLAUSIBLE_BYTES
from whatfits.probes.system import SourceGarbledError
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.units import KIB
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

__all__ = ["HostRam", "parse_arcstats", "parse_meminfo", "parse_vm_stat"]

_TAKEN_PAGES: Final = (
    "Pages active",
    "Pages inactive",
    "Pages speculative",
    "Pages wired down",
    "Pages occupied by compressor",
)


@dataclass(frozen=True, slots=True)
class HostRam:
    """The RAM of the system this process runs in.

    Attributes:
        total_bytes: what the system has; None when unknown.
        available_bytes: what programs could get without swapping; None when unknown.
        source: where both were read.
        available_kind: how sure the second is.
        huge_pages_bytes: set aside for programs that ask for huge pages.
        zfs_cache_bytes: held by ZFS, which gives it back slowly.
        swap_bytes: swap space, never counted as RAM; None when not told.
        installed_bytes: what is built in, where that is more than the system may use.
        is_clamped: a source claimed more available than there is.
    """

    total_bytes: int | None
    available_bytes: int | None
    source: str
    available_kind: Literal["measured", "reported", "derived", "unknown"]
    huge_pages_bytes: int = 0
    zfs_cache_bytes: int = 0
    swap_bytes: int | None = None
    installed_bytes: int | None = None
    is_clamped: bool = False


def parse_meminfo(text: str, *, arcstats: str | None = None) -> HostRam:
    """Return the RAM from `/proc/meminfo` (all its figures are KiB).

    Source: Linux kernel documentation, filesystems/proc.

    Raises:
        SourceGarbledError: it tells no total.
    """
    fields = _kib_fields(text)
    total = fields.get("MemTotal", 0)
    if not 0 < total <= MAX_PLAUSIBLE_BYTES:
        raise SourceGarbledError("/proc/meminfo tells no MemTotal")
    reported = fields.get("MemAvailable")
    available = _derived_available(fields) if reported is None else reported
    return HostRam(
        total_bytes=total,
        available_bytes=None if available is None else min(total, available),
        source="/proc/meminfo",
        available_kind="derived" if reported is None else "reported",
        huge_pages_bytes=_huge_pages_bytes(fields),
        zfs_cache_bytes=0 if arcstats is None else parse_arcstats(arcstats),
        swap_bytes=fields.get("SwapTotal"),
        is_clamped=available is not None and available > total,
    )


def _kib_fields(text: str) -> dict[str, int]:
    """Return the non-negative fields in bytes, and counts of huge pages; a cut line has no unit."""
    fields: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal() and words[0].isascii():
            value = int(words[0][:18])
            if words[1:] == ["kB"]:
                fields[name] = value * KIB
            elif name.startswith("HugePages_"):
                fields[name] = value
    return fields


def _derived_available(fields: Mapping[str, int]) -> int | None:
    """Return free memory and page cache, where the kernel (before 3.14) gives no MemAvailable."""
    if "MemFree" not in fields:
        return None
    if "Active(file)" in fields:
        cache = fields["Active(file)"] + fields.get("Inactive(file)", 0)
    else:
        # Cached counts shared memory, which cannot be dropped.
        cache = max(0, fields.get("Cached", 0) - fields.get("Shmem", 0))
    return fields["MemFree"] + cache


def _huge_pages_bytes(fields: Mapping[str, int]) -> int:
    """Return memory set aside as huge pages, of all sizes where the kernel sums them (Hugetlb)."""
    default_size = fields.get("HugePages_Total", 0) * fields.get("Hugepagesize", 0)
    return max(default_size, fields.get("Hugetlb", 0))


def parse_arcstats(text: str) -> int:
    """Return the size of ZFS's cache from `arcstats` (name, type, data); 0 when it does not say.

    Source: OpenZFS documentation, Module Parameters, and the kstat format.
    """
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "size" and words[2].isdecimal():  # noqa: PLR2004
            return int(words[2])
    return 0


def parse_vm_stat(text: str, *, total_bytes: int) -> int:
    """Return what programs could get on macOS, from `vm_stat`.

    Taken: active, inactive, speculative, wired and compressor pages; given back: purgeable pages
    and pages of files. Stricter than Activity Monitor's "available", which counts all inactive.

    Raises:
        SourceGarbledError: it tells no page size, or not all pages that are taken.
    """
    pages: dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        number, end, _ = value.strip().partition(".")  # without its point a number was cut short
        if end and number.isdecimal() and number.isascii():
            pages[name.strip().strip('"')] = int(number)
    page_bytes = _page_bytes(text)
    if not pages.keys() >= set(_TAKEN_PAGES) or not page_bytes:
        raise SourceGarbledError("vm_stat does not tell all pages that are taken")
    taken = sum(pages[name] for name in _TAKEN_PAGES)
    given_back = pages.get("Pages purgeable", 0) + pages.get("File-backed pages", 0)
    used_bytes = max(0, taken - given_back) * page_bytes
    return max(0, total_bytes - used_bytes)


def _page_bytes(vm_stat: str) -> int:
    """Return the page size in its first line: `… (page size of 16384 bytes)`."""
    _, _, rest = vm_stat.partition("page size of ")
    word = rest.split(" ", 1)[0]
    return int(word) if word.isdecimal() and len(word) < 9 else 0  # noqa: PLR2004 - no page is that large
