"""Which release of which system this is, as people call it."""

from __future__ import annotations

from whatfits.probes.drafts import read_text_or_none, text
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.probes.system import System

__all__ = ["parse_os_release", "read_os_version"]


def read_os_version(system: System) -> str | None:
    """Return `Debian GNU/Linux 12 (bookworm)`, `15.5`, `Windows 11 Pro 24H2 (26100)`, or None."""
    try:
        if system.platform == "darwin":
            from whatfits.probes.sysctl import read_sysctl  # noqa: PLC0415 - only there

            return read_sysctl(system).text("kern.osproductversion")
        if system.platform == "win32":
            from whatfits.probes.windows import parse_version  # noqa: PLC0415 - only there

            return parse_version(system.query("windows"))
    except ProbeError:
        return None
    return parse_os_release(read_text_or_none(system, "/etc/os-release") or "")


def parse_os_release(content: str) -> str | None:
    """Return PRETTY_NAME of `/etc/os-release`; None when it names none."""
    for line in content.splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            word = value.strip()
            is_cut = word[:1] in ("'", '"') and (len(word) == 1 or word[-1] != word[0])
            return None if is_cut else text(word.strip("\"'"))
    return None
