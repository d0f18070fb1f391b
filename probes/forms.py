"""The form that each small file of the Linux kernel has: a text of another form is no answer.

A parser that meets junk finds nothing in it, and a limit that was not found is easily taken for
none. So the text is held to its form first. A number that lost its last digits keeps its form:
the kernel hands such a file over in one piece.

Source: Linux kernel documentation, ABI/stable, ABI/testing, admin-guide/cgroup-v1 and -v2; proc(5).
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

__all__ = ["has_its_form"]

_TREES: Final = ("/sys/", "/proc/")
_MOUNTINFO_WORDS: Final = 9
_HEX: Final = frozenset("0123456789abcdefABCDEF")


def has_its_form(path: str, text: str) -> bool:
    """Return whether a file's text has the form of such files; True where none is known."""
    folder, _, name = path.rpartition("/")
    is_form = _WHOLE.get(path) or (_BY_NAME.get(name) if folder.startswith(_TREES) else None)
    if is_form is None:
        return True
    if name == "size" and "/cache/" not in folder:
        return True
    return is_form(text)


def _is_number(text: str) -> bool:
    word = text.strip()
    return word.isascii() and word.isdecimal()


def _is_signed(text: str) -> bool:
    return _is_number(text.strip().removeprefix("-"))


def _is_limit(text: str) -> bool:
    return text.strip() == "max" or _is_number(text)


def _is_cpu_list(text: str) -> bool:
    """A list may be empty, but not without the end of its line: `offline` often is."""
    parts = text.strip().split(",")
    return text == "\n" or all(_is_cpu_range(part) for part in parts)


def _is_cpu_range(part: str) -> bool:
    first, dash, last = part.partition("-")
    return _is_number(first) and (_is_number(last) or not dash)


def _is_quota(text: str) -> bool:
    quota, _, period = text.strip().partition(" ")
    return _is_limit(quota) and _is_number(period)


def _is_hexadecimal(text: str) -> bool:
    digits = text.strip().removeprefix("0x")
    return bool(digits) and _HEX.issuperset(digits)


def _is_id(text: str) -> bool:
    word = text.strip()
    return len(word) in (len("0x10de"), len("0x030000")) and _is_hexadecimal(word)


def _is_cache_size(text: str) -> bool:
    word = text.strip()
    return word[-1:] in ("K", "M") and _is_number(word[:-1])


def _is_speed(text: str) -> bool:
    return text.startswith("Unknown") or " GT/s" in text


def _is_membership(text: str) -> bool:
    return _every(text, lambda line: line[:1].isdecimal() and ":/" in line)


def _is_mountinfo(text: str) -> bool:
    """Each line tells what is mounted behind a dash: kind, source and options."""
    return _every(text, _is_mount)


def _is_mount(line: str) -> bool:
    before, dash, after = line.partition(" - ")
    return bool(dash) and len(before.split()) + len(after.split()) >= _MOUNTINFO_WORDS


def _is_memory_stat(text: str) -> bool:
    """The page cache that can be given back stands in the middle: a cut text has lost it."""
    return _every(text, _is_counter) and "inactive_file " in text and "active_file " in text


def _is_counters(text: str) -> bool:
    return _every(text, _is_counter)


def _is_counter(line: str) -> bool:
    name, _, value = line.partition(" ")
    return bool(name) and _is_signed(value)


def _has_fields(*names: str) -> Callable[[str], bool]:
    return lambda text: all(name in text for name in names)


def _every(text: str, is_form: Callable[[str], bool]) -> bool:
    lines = text.splitlines()
    return text.endswith("\n") and all(is_form(line) for line in lines)


def _is_processors(text: str) -> bool:
    """Lines of `name : value`; the last one ends, unless the text was cut."""
    return text.endswith("\n") and ":" in text and "\0" not in text


def _is_line(text: str) -> bool:
    """One line that a firmware wrote: any words."""
    return text.endswith("\n") and text[:-1].isprintable()


def _is_tree_string(text: str) -> bool:
    """A string of the device tree ends with a zero."""
    return text.endswith("\0") and text[:-1].isprintable()


def _is_assignments(text: str) -> bool:
    return _every(text, lambda line: not line or line.startswith("#") or "=" in line)


_WHOLE: Final[dict[str, Callable[[str], bool]]] = {
    "/proc/self/cgroup": _is_membership,
    "/proc/self/mountinfo": _is_mountinfo,
    "/proc/self/status": _has_fields("Cpus_allowed_list:\t"),
    "/proc/self/limits": _has_fields("Max address space"),
    "/proc/cpuinfo": _is_processors,
    "/proc/device-tree/model": _is_tree_string,
    "/etc/os-release": _is_assignments,
    "/proc/version": _has_fields(" version "),
    "/proc/spl/kstat/zfs/arcstats": _has_fields("\nsize "),
}
_BY_NAME: Final[dict[str, Callable[[str], bool]]] = {
    **dict.fromkeys(("online", "present", "has_cpu", "has_memory", "cpus"), _is_cpu_list),
    **dict.fromkeys(("core_cpus_list", "thread_siblings_list"), _is_cpu_list),
    **dict.fromkeys(("package_cpus_list", "core_siblings_list"), _is_cpu_list),
    "shared_cpu_list": _is_cpu_list,
    **dict.fromkeys(("active", "level", "cpu_capacity", "max_link_width"), _is_signed),
    "size": _is_cache_size,
    **dict.fromkeys(("memory.max", "memory.high"), _is_limit),
    **dict.fromkeys(("memory.current", "memory.usage_in_bytes"), _is_number),
    **dict.fromkeys(("memory.limit_in_bytes", "cpu.cfs_period_us"), _is_number),
    "cpu.cfs_quota_us": _is_signed,
    "cpu.max": _is_quota,
    "memory.stat": _is_memory_stat,
    **dict.fromkeys(("mem_info_vram_total", "mem_info_vram_used"), _is_number),
    **dict.fromkeys(("mem_info_gtt_total", "mem_info_gtt_used"), _is_number),
    "mem_info_vis_vram_total": _is_number,
    **dict.fromkeys(("physical_vram_size_bytes", "lmem_total_bytes"), _is_hexadecimal),
    **dict.fromkeys(("vendor", "device", "class"), _is_id),
    **dict.fromkeys(("revision", "unique_id"), _is_hexadecimal),
    **dict.fromkeys(("major", "minor"), _is_number),
    "max_link_speed": _is_speed,
    "properties": _is_counters,
    **dict.fromkeys(("sys_vendor", "product_name"), _is_line),
    "uevent": _is_assignments,
    "meminfo": _has_fields("MemTotal:", " kB"),
    "information": _has_fields("Model:"),
}
