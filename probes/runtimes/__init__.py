"""Which runtimes and apps are on this machine, which of them answer, and what they have loaded.

    from whatfits.probes.runtimes import look
    report = look()
    report.installed, report.servers

One file a runtime. Nothing is raised for what is absent; what a server says is checked before it
is believed; the whole look ends within its deadline.
"""

from __future__ import annotations

import time
from functools import partial

from whatfits.sizing.errors import ProbeError, printable
from whatfits.sizing.typed import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.probes.report import Finding
    from whatfits.probes.runtimes.listeners import Listener
    from whatfits.probes.runtimes.report import InstalledRuntime, RunningServer, RuntimesReport
    from whatfits.probes.runtimes.surroundings import Surroundings

__all__ = ["look"]

_LISTENERS_DEADLINE_S: Final = 0.8
_MARGIN_S: Final = 0.1


def look(
    here: Surroundings | None = None,
    *,
    deadline_s: float = 3.0,
    ports: Sequence[int] | None = None,
) -> RuntimesReport:
    """Return which runtimes and apps are here, and which answer on the loopback interface.

    Args:
        here: the machine; this one when it is None.
        deadline_s: the longest to take, all together.
        ports: ports to ask, when not the usual ones and those of programs of known names.
    """
    from whatfits.probes.runtimes.parallel import all_at_once  # noqa: PLC0415 - where it looks
    from whatfits.probes.runtimes.registry import runtime_probes  # noqa: PLC0415 - same
    from whatfits.probes.runtimes.report import RuntimesReport  # noqa: PLC0415 - same
    from whatfits.probes.runtimes.servers import (  # noqa: PLC0415 - same
        failure,
        ports_to_ask,
        running_servers,
    )
    from whatfits.probes.runtimes.surroundings import Surroundings  # noqa: PLC0415 - same

    ends_s = time.monotonic() + deadline_s - _MARGIN_S
    probes = runtime_probes()
    findings: list[Finding] = []
    # before there are other threads: the process that reads them is forked more cheaply
    listeners = _listeners(findings, deadline_s=min(_LISTENERS_DEADLINE_S, deadline_s / 3))
    left_s = ends_s - time.monotonic()
    surroundings = here or Surroundings(deadline_s=left_s)
    asked = tuple(ports) if ports is not None else ports_to_ask(probes, listeners, surroundings)
    calls: list[Callable[[], object]] = [
        partial(probe.read_installed, surroundings) for probe in probes
    ]
    calls.append(partial(running_servers, probes, asked, listeners, deadline_s=left_s - _MARGIN_S))
    *installed, servers = all_at_once(calls, deadline_s=left_s)
    found = []
    for probe, result in zip(probes, installed, strict=True):
        if isinstance(result, Exception) or result is None:
            findings += failure(probe.LABEL, result)
        else:
            found.append(cast("InstalledRuntime", result))
    running: tuple[RunningServer, ...] = ()
    if isinstance(servers, tuple):
        running, others = servers
        findings += others
    elif isinstance(servers, Exception):
        findings += failure("the servers on this machine", servers)
    return RuntimesReport(tuple(found), running, tuple(findings))


def _listeners(findings: list[Finding], *, deadline_s: float) -> dict[int, Listener]:
    from whatfits.probes.report import Finding  # noqa: PLC0415 - where it looks
    from whatfits.probes.runtimes.listeners import listeners_here  # noqa: PLC0415 - same

    try:
        found = listeners_here(deadline_s=deadline_s)
    except ProbeError as error:
        said = f"Which programs listen could not be read: {printable(error)}."
        findings.append(Finding("listeners_unknown", "info", said))
        return {}
    return {listener.port: listener for listener in found}
