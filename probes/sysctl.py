"""The figures of macOS's `sysctl`, asked once for everybody."""

from __future__ import annotations

from whatfits.probes.drafts import size, text, whole_number
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.probes.system import System

__all__ = ["NATIVE_SYSCTL_COMMAND", "SYSCTL_COMMAND", "Sysctl", "parse_sysctl", "read_sysctl"]

# Whole families, and no name that only some versions know: each missing one is a complaint.
SYSCTL_COMMAND: Final = (
    "/usr/sbin/sysctl",
    "hw",
    "machdep.cpu",
    "sysctl",
    "iogpu",
    "kern.osproductversion",
    "kern.hv_vmm_present",
)
# In a translated process every program starts translated, and then names no real chip.
NATIVE_SYSCTL_COMMAND: Final = ("/usr/bin/arch", "-arm64", *SYSCTL_COMMAND)


@dataclass(frozen=True, slots=True)
class Sysctl:
    """Names and values as text.

    Attributes:
        values: as printed.
        is_translated: this process runs under Rosetta.
        is_native: the values are those of the real chip.
    """

    values: Mapping[str, str]
    is_translated: bool = False
    is_native: bool = True

    def text(self, name: str) -> str | None:
        """Return a value as text; None when it is not there."""
        return text(self.values.get(name))

    def count(self, name: str) -> int | None:
        """Return a whole number; None when it is not there or none."""
        return whole_number(self.values.get(name))

    def size(self, name: str) -> int | None:
        """Return a plausible size in bytes above zero; None when it is not there or none."""
        return size(self.count(name)) or None


def parse_sysctl(printed: str) -> dict[str, str]:
    """Return names and values of lines such as `hw.memsize: 17179869184`; a cut line is none."""
    values = {}
    for line in printed[: printed.rfind("\n") + 1].splitlines():
        name, separator, value = line.partition(": ")
        if separator and " " not in name:
            values[name] = value.strip()
    return values


def read_sysctl(system: System) -> Sysctl:
    """Return the figures of this Mac; of the real chip where this process is translated.

    Raises:
        ProbeError: sysctl gave no answer.
    """
    values = parse_sysctl(system.run(SYSCTL_COMMAND))
    if values.get("sysctl.proc_translated") != "1":
        return Sysctl(values)
    try:
        native = parse_sysctl(system.run(NATIVE_SYSCTL_COMMAND))
    except ProbeError:
        native = {}
    if not native:
        return Sysctl(values, is_translated=True, is_native=False)
    return Sysctl(native, is_translated=True)
