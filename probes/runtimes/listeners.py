"""Who listens on this machine, as far as this user may know: psutil, in a process of its own."""

from __future__ import annotations

from whatfits.probes.runtimes.answers import count, entries, text
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final

__all__ = ["Listener", "listeners_here", "parse_listeners", "read_listeners"]

_READ: Final = "whatfits.probes.runtimes.listeners:read_listeners"
# Addresses that can be reached over the loopback interface.
_REACHABLE: Final = frozenset(("127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"))  # noqa: S104 - compared, not bound
_MOST_LISTENERS: Final = 200
_MOST_ARGUMENTS: Final = 200


class Listener(NamedTuple):
    """A port that someone listens on.

    Attributes:
        port: the port.
        is_ipv6: whether it listens on IPv6 alone.
        pid: its process; None when that is someone else's.
        name: the program's name; None as above.
        parent: name of the program that started it; None as above.
        command: its command line, for its settings; never shown.
        resident_bytes: memory the process holds; None as above.
        folder: where it was started, from where its relative paths count; None as above.
    """

    port: int
    is_ipv6: bool = False
    pid: int | None = None
    name: str | None = None
    parent: str | None = None
    command: tuple[str, ...] = ()
    resident_bytes: int | None = None
    folder: str | None = None


def listeners_here(*, deadline_s: float) -> tuple[Listener, ...]:
    """Return who listens on this machine.

    Raises:
        ProbeError: the process that was to read it gave no answer.
    """
    from whatfits.probes.isolate import run_isolated  # noqa: PLC0415 - not in the child

    return parse_listeners(run_isolated(_READ, deadline_s=deadline_s))


def read_listeners() -> dict[str, object]:
    """Return a raw snapshot of listening TCP ports with their processes."""
    import psutil  # noqa: PLC0415 - in the child only

    rows: list[dict[str, object]] = []
    for pid, connection in _connections(psutil):
        local = connection.laddr
        if connection.status != psutil.CONN_LISTEN or not local or local.ip not in _REACHABLE:
            continue
        row: dict[str, object] = {"port": local.port, "address": local.ip, "pid": pid}
        rows.append({**row, **(_process(psutil, pid) if pid else {})})
        if len(rows) >= _MOST_LISTENERS:
            break
    return {"listeners": rows}


def _connections(psutil: Any) -> Iterator[tuple[int | None, Any]]:  # noqa: ANN401 - a module
    """Yield (process id, connection): of all, or of this user's where all are not told."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            yield connection.pid, connection
    except psutil.AccessDenied:
        for process in psutil.process_iter():
            try:
                own = process.net_connections(kind="tcp")
            except psutil.Error:
                continue
            for connection in own:
                yield process.pid, connection


def _process(psutil: Any, pid: int) -> dict[str, object]:  # noqa: ANN401 - a module
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            parent = process.parent()
            return {
                "name": process.name(),
                "parent": parent.name() if parent else None,
                "command": process.cmdline()[:_MOST_ARGUMENTS],
                "resident_bytes": process.memory_info().rss,
                "folder": _folder(psutil, process),
            }
    except psutil.Error:
        return {}


def _folder(psutil: Any, process: Any) -> str | None:  # noqa: ANN401 - a module, an object of it
    try:
        folder: str = process.cwd()
    except psutil.Error:
        return None
    return folder


def parse_listeners(raw: Mapping[str, object]) -> tuple[Listener, ...]:
    """Return the listeners of a snapshot, one a port; of two on a port, the one on IPv4."""
    found: dict[int, Listener] = {}
    for row in entries(raw.get("listeners")):
        port = count(row.get("port"))
        if port is None:
            continue
        command = row.get("command")
        words = command if isinstance(command, list) else []
        listener = Listener(
            port=port,
            is_ipv6=row.get("address") == "::1",
            pid=count(row.get("pid")),
            name=text(row.get("name")),
            parent=text(row.get("parent")),
            command=tuple(str(word) for word in words),
            resident_bytes=count(row.get("resident_bytes")),
            folder=text(row.get("folder")),
        )
        if port not in found or found[port].is_ipv6:
            found[port] = listener
    return tuple(found[port] for port in sorted(found))
