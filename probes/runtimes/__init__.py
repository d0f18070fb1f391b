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
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol, cast

from whatfits.sizing.errors import ProbeError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from whatfits.probes.report import Finding
    from whatfits.probes.runtimes.answers import Answers
    from whatfits.probes.runtimes.http_ask import Answer
    from whatfits.probes.runtimes.listeners import Listener
    from whatfits.probes.runtimes.report import (
        InstalledRuntime,
        LoadedModel,
        RunningServer,
        RuntimesReport,
    )
    from whatfits.probes.runtimes.surroundings import Surroundings

__all__ = ["RUNTIMES", "RuntimeProbe", "identify", "look", "runtime_probes", "server_on"]

RUNTIMES: Final = ("llama_cpp", "ollama", "lm_studio", "jan", "vllm", "sglang", "mlx")
_LISTENERS: Final = "whatfits.probes.runtimes.listeners:read_listeners"
_LISTENERS_DEADLINE_S: Final = 0.8
_ASK_DEADLINE_S: Final = 1.0
_MARGIN_S: Final = 0.1
_MOST_PORTS: Final = 24
_UNAUTHORISED: Final = 401
_PROGRAMS: Final = ("llama-server", "ollama", "lm studio", "llmster", "jan", "vllm")
_MODULES: Final = ("vllm", "sglang", "mlx_lm")
_STARTERS: Final = ("ollama", "lm studio", "llmster", "jan")


class RuntimeProbe(Protocol):
    """What each file of a runtime has."""

    ID: str
    LABEL: str
    PORTS: tuple[int, ...]
    TELL_TALES: tuple[str, ...]
    FACTS: tuple[str, ...]

    def read_installed(self, here: Surroundings) -> InstalledRuntime | None:
        """Return it when it is on this machine."""
        ...

    def is_it(self, answers: Answers, listener: Listener | None) -> bool:
        """Return whether a server that answers so is this runtime."""
        ...

    def server_version(self, answers: Answers) -> str | None:
        """Return the version that the server tells."""
        ...

    def parse_loaded(self, answers: Answers) -> tuple[LoadedModel, ...] | None:
        """Return what it has loaded; None when it does not say."""
        ...


def runtime_probes() -> tuple[RuntimeProbe, ...]:
    """Return the registry, imported."""
    return tuple(
        cast("RuntimeProbe", import_module(f"whatfits.probes.runtimes.{name}")) for name in RUNTIMES
    )


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
    from whatfits.probes.runtimes.report import RuntimesReport  # noqa: PLC0415 - same
    from whatfits.probes.runtimes.surroundings import Surroundings  # noqa: PLC0415 - same

    ends_s = time.monotonic() + deadline_s - _MARGIN_S
    probes = runtime_probes()
    findings: list[Finding] = []
    # before there are other threads: the process that reads them is forked more cheaply
    listeners = _listeners(findings, deadline_s=min(_LISTENERS_DEADLINE_S, deadline_s / 3))
    left_s = ends_s - time.monotonic()
    surroundings = here or Surroundings(deadline_s=left_s)
    asked = tuple(ports) if ports is not None else _ports(probes, listeners)
    calls: list[Callable[[], object]] = [
        partial(probe.read_installed, surroundings) for probe in probes
    ]
    calls.append(partial(_servers, probes, asked, listeners))
    *installed, servers = all_at_once(calls, deadline_s=left_s)
    found = []
    for probe, result in zip(probes, installed, strict=True):
        if isinstance(result, Exception) or result is None:
            findings += _failure(probe.LABEL, result)
        else:
            found.append(cast("InstalledRuntime", result))
    running: tuple[RunningServer, ...] = ()
    if isinstance(servers, tuple):
        running, others = servers
        findings += others
    elif isinstance(servers, Exception):
        findings += _failure("the servers on this machine", servers)
    return RuntimesReport(tuple(found), running, tuple(findings))


def server_on(
    host: str,
    port: int,
    *,
    listener: Listener | None = None,
    api_key: str | None = None,
    deadline_s: float = _ASK_DEADLINE_S,
) -> tuple[RuntimeProbe | None, Answers]:
    """Return which runtime answers at an address, and what it said; None for no known one."""
    probes = runtime_probes()
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    answers = _asked(host, port, _paths(probes), headers=headers, deadline_s=deadline_s)
    probe = identify(probes, answers, listener)
    if probe is not None and probe.FACTS:
        more = _asked(host, port, probe.FACTS, headers=headers, deadline_s=deadline_s)
        answers = {**answers, **more}
    return probe, answers


def identify(
    probes: Iterable[RuntimeProbe], answers: Answers, listener: Listener | None
) -> RuntimeProbe | None:
    """Return the runtime that a server's answers show it to be; the port alone shows nothing."""
    return next((probe for probe in probes if probe.is_it(answers, listener)), None)


def _listeners(findings: list[Finding], *, deadline_s: float) -> dict[int, Listener]:
    from whatfits.probes.isolate import run_isolated  # noqa: PLC0415 - where it looks
    from whatfits.probes.report import Finding  # noqa: PLC0415 - same
    from whatfits.probes.runtimes.listeners import parse_listeners  # noqa: PLC0415 - same

    try:
        raw = run_isolated(_LISTENERS, deadline_s=deadline_s)
    except ProbeError as error:
        said = f"Which programs listen could not be read: {printable(error)}."
        findings.append(Finding("listeners_unknown", "info", said))
        return {}
    return {listener.port: listener for listener in parse_listeners(raw)}


def _ports(probes: Iterable[RuntimeProbe], listeners: Mapping[int, Listener]) -> tuple[int, ...]:
    """Return the usual ports, and those that programs of known names listen on."""
    known = [port for port, listener in listeners.items() if _is_known(listener)]
    usual = [port for probe in probes for port in probe.PORTS]
    return tuple(dict.fromkeys((*usual, *known)))[:_MOST_PORTS]


def _is_known(listener: Listener) -> bool:
    """Return whether a process is one of the known programs, and not started by another of them.

    Ollama, LM Studio and Jan start llama-server themselves: that one is theirs, and not listed.
    """
    if (listener.parent or "").lower().startswith(_STARTERS):
        return False
    name = (listener.name or "").lower()
    words = " ".join(listener.command)
    return name.startswith(_PROGRAMS) or any(module in words for module in _MODULES)


def _paths(probes: Iterable[RuntimeProbe]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for probe in probes for path in probe.TELL_TALES))


def _servers(
    probes: tuple[RuntimeProbe, ...], ports: Sequence[int], listeners: Mapping[int, Listener]
) -> tuple[tuple[RunningServer, ...], list[Finding]]:
    """Return the servers that answer, and findings on what else does, all ports at once."""
    from whatfits.probes.runtimes.parallel import all_at_once  # noqa: PLC0415 - where it looks

    calls = [partial(_server, probes, port, listeners.get(port)) for port in ports]
    servers, findings = [], []
    for port, result in zip(ports, all_at_once(calls, deadline_s=3 * _ASK_DEADLINE_S), strict=True):
        if isinstance(result, tuple):
            servers += [result[0]] if result[0] is not None else []
            findings += result[1]
        else:
            findings += _failure(f"port {port}", result)
    return tuple(sorted(servers, key=lambda server: server.port)), findings


def _server(
    probes: tuple[RuntimeProbe, ...], port: int, listener: Listener | None
) -> tuple[RunningServer | None, list[Finding]]:
    from whatfits.probes.report import Finding  # noqa: PLC0415 - where it looks
    from whatfits.probes.runtimes.report import RunningServer  # noqa: PLC0415 - same

    host = "::1" if listener is not None and listener.is_ipv6 else "127.0.0.1"
    probe, answers = server_on(host, port, listener=listener)
    process = listener.name if listener is not None else None
    usual = any(port in known.PORTS for known in probes)
    if probe is None:
        if not answers or not usual:
            return None, []
        name = f" ({printable(process)})" if process else ""
        said = f"Something that is none of the known servers answers on port {port}{name}."
        return None, [Finding("unknown_server", "info", said)]
    url = f"http://{'[::1]' if host == '::1' else host}:{port}/v1"
    loaded = probe.parse_loaded(answers)
    needs_key = loaded is None and any(a.status == _UNAUTHORISED for a in answers.values())
    server = RunningServer(
        probe.ID, probe.LABEL, url, port, process, probe.server_version(answers), needs_key, loaded
    )
    return server, []


def _asked(
    host: str, port: int, paths: Sequence[str], *, headers: Mapping[str, str], deadline_s: float
) -> dict[str, Answer]:
    """Return what the paths answered, all asked at once; nothing for those that did not."""
    from whatfits.probes.runtimes.http_ask import Request, ask  # noqa: PLC0415 - where it looks
    from whatfits.probes.runtimes.parallel import all_at_once  # noqa: PLC0415 - same

    calls = [
        partial(ask, Request(host, port, path, headers=headers), deadline_s=deadline_s)
        for path in paths
    ]
    results = all_at_once(calls, deadline_s=deadline_s + _MARGIN_S)
    return {
        path: result
        for path, result in zip(paths, results, strict=True)
        if result is not None and not isinstance(result, Exception)
    }


def _failure(what: str, error: object) -> list[Finding]:
    """Return a finding on a defect of ours; none for what is merely absent or slow."""
    from whatfits.probes.report import Finding  # noqa: PLC0415 - where it looks

    if not isinstance(error, Exception) or isinstance(error, ProbeError):
        return []
    said = f"Looking for {what} failed: {type(error).__name__}: {printable(error)}."
    return [Finding("runtime_probe_failed", "warning", said)]
