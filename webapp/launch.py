"""Starts the pages' server in this process and opens a browser; ends with it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from threading import Thread
from typing import Any, Final

from whatfits.sizing.errors import InvalidRequestError
from whatfits.webapp.mode import set_mode

__all__ = ["free_port", "options", "send_at_once", "serve"]

LOOPBACK: Final = "127.0.0.1"
_LOOPBACK_NAMES: Final = ("localhost", LOOPBACK, "::1")
USUAL_PORT: Final = 8501
_PORTS_TRIED: Final = 50
_MOST_UPLOADED_MB: Final = 0  # nothing is uploaded: of a dropped file a message has the beginning
_MOST_SENT_MB: Final = 24  # that message: 16 MiB in base64, its name and size
# Strangers choose from lists and type names. Streamlit keeps each value twice, of some thirty.
_MOST_STRANGERS_SEND_MB: Final = 0.08
_MOST_SHOWN_STRANGERS_MB: Final = 1
_CONNECTIONS: Final = 8192
_THEME: Final = {
    "theme.light.primaryColor": "#1d5fd1",
    "theme.dark.primaryColor": "#7aa7f7",
}


def options(*, port: int, host: str, browser: bool, public: bool) -> dict[str, Any]:
    """Return Streamlit's settings: nothing leaves this machine, and nothing of it shows."""
    return {
        "server.port": port,
        "server.address": host,
        "server.allowedHosts": _hosts(host),
        "server.headless": not browser,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.corsAllowedOrigins": [],
        "server.enableAgentApi": False,
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.enableStaticServing": False,
        "server.scriptHealthCheckEnabled": False,
        "server.maxUploadSize": _MOST_UPLOADED_MB,
        "server.maxMessageSize": _MOST_SHOWN_STRANGERS_MB if public else _MOST_SENT_MB,
        "server.maxWidgetStateSize": _MOST_STRANGERS_SEND_MB if public else _MOST_SENT_MB,
        "browser.gatherUsageStats": False,
        "browser.serverAddress": "localhost" if host in ("0.0.0.0", "::") else host,  # noqa: S104 - compared
        "client.allowedOrigins": [],  # of pages that may frame this one and steer it
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        "global.developmentMode": False,
        # going through every object after every run takes longer than the run; Python collects too
        "runner.postScriptGC": False,
        "logger.hideWelcomeMessage": True,
        **_THEME,
    }


def _hosts(address: str) -> list[str]:
    """Return the names that a browser may call this server by; empty for any.

    On loopback they are known. Else a site whose name is first the site's own address and then this
    one's is the same origin to a browser, and could read what this machine is.
    """
    return [*_LOOPBACK_NAMES] if address in _LOOPBACK_NAMES else []


def free_port(host: str, port: int | None) -> int:
    """Return the port that was asked for, or the first free one from the usual on.

    Raises:
        InvalidRequestError: it is taken, or the host is no address of this machine.
    """
    wanted = range(USUAL_PORT, USUAL_PORT + _PORTS_TRIED) if port is None else (port,)
    failed: OSError | None = None
    for number in wanted:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((host, number))
            except OSError as error:
                failed = error
                continue
            return int(tried.getsockname()[1])
    raise InvalidRequestError(
        what="address to serve on",
        got=f"{host}:{wanted[0]}",
        allowed="a free port of this machine",
        next_step=f"it says: {failed.strerror if failed else 'nothing'}; choose one with --port",
    )


def _get_ready() -> None:
    """Load code and catalog while the first visitor's browser is still loading its own."""
    from whatfits.webapp import answer_view, inputs  # noqa: F401, PLC0415 - they load the rest
    from whatfits.webapp.choices import machine_choices, model_choices  # noqa: PLC0415

    model_choices()
    machine_choices(with_here=False)


def _allow_many_connections() -> None:
    """Let slow visitors hold many connections, where the system's usual limit is a few hundred."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS if most == resource.RLIM_INFINITY else min(most, _CONNECTIONS)
    if usual != resource.RLIM_INFINITY and usual < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def send_at_once() -> None:
    """Have the server send each message when it is written, not when the last one was acknowledged.

    Streamlit opens its socket without naming a protocol. asyncio then leaves Nagle's delay on
    (`base_events._set_nodelay` asks for one), and each answer waits for an acknowledgement that
    the browser's system holds back for 40 ms. A connection takes the option from the socket that
    accepted it.
    """
    from streamlit.web.server.starlette import starlette_server  # noqa: PLC0415 - an extra

    bind = starlette_server._bind_socket  # noqa: SLF001 - no setting reaches the socket

    def bound(*arguments: Any, **more: Any) -> socket.socket:  # noqa: ANN401 - Streamlit's
        opened: socket.socket = bind(*arguments, **more)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    starlette_server._bind_socket = bound  # noqa: SLF001 - as above


def serve(*, port: int | None, host: str, browser: bool, public: bool) -> None:
    """Serve the pages until somebody ends it (Ctrl-C, or a signal to terminate)."""
    from streamlit.web import bootstrap  # noqa: PLC0415 - an extra

    set_mode(public=public)
    send_at_once()
    _allow_many_connections()
    chosen = options(port=free_port(host, port), host=host, browser=browser, public=public)
    script = Path(__file__).with_name("app.py")
    bootstrap.load_config_options(flag_options=chosen)
    shown = chosen["browser.serverAddress"]
    sys.stdout.write(f"whatfits is at http://{shown}:{chosen['server.port']} (Ctrl-C ends it)\n")
    sys.stdout.flush()
    Thread(target=_get_ready, daemon=True).start()
    bootstrap.run(str(script), False, [], chosen)
