"""Which servers answer on which ports, and as what they show themselves."""

from __future__ import annotations

from functools import partial

from whatfits.probes.report import Finding
from whatfits.probes.runtimes.answers import UNAUTHORISED
from whatfits.probes.runtimes.http_ask import Request, ask
from whatfits.probes.runtimes.lm_studio import parse_http_server
from whatfits.probes.runtimes.ollama import parse_host
from whatfits.probes.runtimes.parallel import all_at_once
from whatfits.probes.runtimes.registry import runtime_probes
from whatfits.probes.runtimes.report import RunningServer
from whatfits.sizing.errors import ProbeError, printable
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Final

    from whatfits.probes.runtimes.answers import Answers
    from whatfits.probes.runtimes.http_ask import Answer
    from whatfits.probes.runtimes.listeners import Listener
    from whatfits.probes.runtimes.registry import RuntimeProbe
    from whatfits.probes.runtimes.surroundings import Surroundings

__all__ = ["failure", "identify", "ports_to_ask", "running_servers", "server_on"]

_ASK_DEADLINE_S: Final = 1.0
_MARGIN_S: Final = 0.1
_MOST_PORTS: Final = 24
_PROGRAMS: Final = ("llama-server", "ollama", "lm studio", "llmster", "jan", "vllm")
_MODULES: Final = ("vllm", "sglang", "mlx_lm", "llama_cpp.server", "llama_cpp/server")
_STARTERS: Final = ("ollama", "lm studio", "llmster", "jan")


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


def ports_to_ask(
    probes: Iterable[RuntimeProbe], listeners: Mapping[int, Listener], here: Surroundings
) -> tuple[int, ...]:
    """Return the usual ports, those that were set, and those of programs of known names."""
    usual = [port for probe in probes for port in probe.PORTS]
    known = [port for port, listener in listeners.items() if _is_known(listener)]
    return tuple(dict.fromkeys((*usual, *_set_ports(here), *known)))[:_MOST_PORTS]


def _set_ports(here: Surroundings) -> Iterator[int]:
    """Yield the ports that a variable or an app's own note says."""
    note = here.below_home(".lmstudio/.internal/http-server.json")
    for port in (
        parse_host(here.environment.get("OLLAMA_HOST", "")),
        parse_http_server(here.read_text(note)) if note else None,
    ):
        if port is not None:
            yield port


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


def running_servers(
    probes: tuple[RuntimeProbe, ...],
    ports: Sequence[int],
    listeners: Mapping[int, Listener],
    *,
    deadline_s: float,
) -> tuple[tuple[RunningServer, ...], list[Finding]]:
    """Return the servers that answer, and findings on what else does, all ports at once.

    A port that takes longer than the deadline costs only itself.
    """
    calls = [partial(_server, probes, port, listeners.get(port)) for port in ports]
    servers, findings = [], []
    for port, result in zip(ports, all_at_once(calls, deadline_s=deadline_s), strict=True):
        if isinstance(result, tuple):
            servers += [result[0]] if result[0] is not None else []
            findings += result[1]
        else:
            findings += failure(f"port {port}", result)
    return tuple(sorted(servers, key=lambda server: server.port)), findings


def _server(
    probes: tuple[RuntimeProbe, ...], port: int, listener: Listener | None
) -> tuple[RunningServer | None, list[Finding]]:

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
    loaded = probe.parse_loaded(answers, listener)
    needs_key = loaded is None and any(a.status == UNAUTHORISED for a in answers.values())
    server = RunningServer(
        probe.ID, probe.LABEL, url, port, process, probe.server_version(answers), needs_key, loaded
    )
    return server, []


def _asked(
    host: str, port: int, paths: Sequence[str], *, headers: Mapping[str, str], deadline_s: float
) -> dict[str, Answer]:
    """Return what the paths answered, all asked at once; nothing for those that did not."""
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


def failure(what: str, error: object) -> list[Finding]:
    """Return a finding on a defect of ours; none for what is merely absent or slow."""
    if not isinstance(error, Exception) or isinstance(error, ProbeError):
        return []
    said = f"Looking for {what} failed: {type(error).__name__}: {printable(error)}."
    return [Finding("runtime_probe_failed", "warning", said)]
