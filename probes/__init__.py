"""Read this machine: one file a source, pure parsers beside thin readers.

    from whatfits.probes import detect
    report = detect()
    report.machine.pools, report.findings

Nothing is raised for hardware that is absent, and nothing hangs: a source that fails is a finding.
"""

from __future__ import annotations

from importlib import import_module

from whatfits.sizing.errors import ProbeError, printable
from whatfits.sizing.typed import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.report import Partial, ProbeReport
    from whatfits.probes.system import System

__all__ = ["detect"]

_MARGIN_S: Final = 0.3
_EVERY: Final = ("linux", "darwin", "win32", "other")
_SOURCES: Final = (
    # RAM and processor first: whatever a driver does later, these are known.
    ("memory", _EVERY),
    ("cpu", _EVERY),
    ("numa", ("linux",)),
    ("wsl", ("linux",)),
    ("disk", _EVERY),
    ("gpus", _EVERY),
)


class _Source(Protocol):
    def probe(self, system: System) -> Partial: ...


def detect(system: System | None = None, *, deadline_s: float = 3.0) -> ProbeReport:
    """Return what can be read of a machine, with evidence, and findings on what cannot.

    Args:
        system: the machine; this one when it is None.
        deadline_s: the longest to wait for this machine's drivers and programs, all together.
    """
    from whatfits.probes.once import OnceSystem  # noqa: PLC0415 - importing a parser needs none

    if system is not None:
        return _detect(system if isinstance(system, OnceSystem) else OnceSystem(system))
    from whatfits.probes.live import LiveSystem  # noqa: PLC0415 - a replay needs none

    live = LiveSystem(total_s=max(0.0, deadline_s - _MARGIN_S))
    try:
        return _detect(OnceSystem(live))
    finally:
        live.close()


def _detect(system: System) -> ProbeReport:
    from whatfits.probes.assemble import assemble  # noqa: PLC0415 - importing a parser needs none
    from whatfits.probes.checked import CheckedSystem  # noqa: PLC0415 - as above
    from whatfits.probes.os_version import read_os_version  # noqa: PLC0415 - as above

    platform = system.platform if system.platform in _EVERY else "other"
    checked = CheckedSystem(system)
    parts = [_safely(name, checked) for name, platforms in _SOURCES if platform in platforms]
    try:
        version = read_os_version(checked)
    except Exception:  # noqa: BLE001 - a name that is only shown
        version = None
    parts.append(checked.failures(finding for part in parts for finding in part.findings))
    return assemble(parts, platform=system.platform, os_version=version)


def _safely(name: str, system: System) -> Partial:
    """Return what a source tells; its failure becomes a finding and costs only itself."""
    from whatfits.probes.report import Finding, Partial  # noqa: PLC0415 - as above

    try:
        if name == "gpus":
            from whatfits.probes.gpu_signs import has_signs_of_gpu  # noqa: PLC0415 - as above

            if not has_signs_of_gpu(system):
                return Partial()  # the probes for GPUs cost more to import than all the others
        source = cast("_Source", import_module(f"whatfits.probes.{name}"))
        return source.probe(system)
    except ProbeError as error:
        text = f"The source '{name}' gave nothing: {printable(error)}."
    except Exception as error:  # noqa: BLE001 - a defect in one source must not lose the others
        text = f"The source '{name}' failed: {type(error).__name__}: {printable(error)}."
    step = "please report it with the output of 'whatfits hardware --doctor'"
    return Partial(findings=(Finding(f"{name}_failed", "warning", text, step),))
