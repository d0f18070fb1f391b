"""The server: where it listens, what it is told, how it ends."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pytest

from whatfits.sizing.cli import main
from whatfits.sizing.errors import InvalidRequestError
from whatfits.webapp.launch import free_port, options, send_at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
ROOT = Path(__file__).parents[2]


def test_a_port_that_is_taken_is_passed_over_or_refused() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidRequestError, match="--port"):
            free_port(LOOPBACK, port)
    assert free_port(LOOPBACK, None) >= 8501


def test_an_address_that_is_not_here_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="address to serve on"):
        free_port("203.0.113.1", None)


@pytest.mark.parametrize("bad", ["0", "65536", "x", "-1"])
def test_a_port_is_a_number_of_a_port(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["web", f"--port={bad}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_without_the_extra_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whatfits.sizing.cli.web.find_spec", lambda _: None)
    assert main(["web"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'whatfits[web]'" in line


def test_a_message_is_sent_when_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    streamlit = pytest.importorskip("streamlit.web.server.starlette.starlette_server")
    monkeypatch.setattr(streamlit, "_bind_socket", streamlit._bind_socket)
    send_at_once()
    with (
        streamlit._bind_socket(LOOPBACK, 0, 1) as listening,
        socket.create_connection(listening.getsockname()),
        selectors.DefaultSelector() as waiting,
    ):
        waiting.register(listening, selectors.EVENT_READ)
        assert waiting.select(timeout=10)
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


EFFECTIVE = """
import json, sys
from streamlit import config
from streamlit.web import bootstrap
from whatfits.webapp.launch import options
chosen = options(port=8765, host="127.0.0.1", browser=False, public=False)
bootstrap.load_config_options(flag_options=chosen)
print(json.dumps({key: config.get_option(key) for key in (*chosen, "server.enableCORS")}))
"""


def test_streamlit_takes_every_setting(tmp_path: Path) -> None:
    pytest.importorskip("streamlit", reason="needs the extra [web]")
    import json

    # a configuration of the visitor's own must not open what is closed
    folder = tmp_path / ".streamlit"
    folder.mkdir()
    (folder / "config.toml").write_text(
        "[server]\naddress='0.0.0.0'\nenableCORS=false\nenableXsrfProtection=false\n"
        "enableStaticServing=true\n[browser]\ngatherUsageStats=true\n",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-c", EFFECTIVE],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        text=True,
    )
    found = json.loads(done.stdout)
    asked = options(port=8765, host=LOOPBACK, browser=False, public=False)
    assert {key: found[key] for key in asked} == asked
    assert found["server.address"] == LOOPBACK
    assert found["server.enableCORS"] is True
    assert found["server.enableXsrfProtection"] is True
    assert found["server.enableStaticServing"] is False
    assert found["browser.gatherUsageStats"] is False
    assert found["client.showErrorDetails"] == "none"
    assert found["client.toolbarMode"] == "minimal"
    assert found["server.maxUploadSize"] == 0


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    pytest.importorskip("streamlit", reason="needs the extra [web]")
    port = free_port(LOOPBACK, None)
    command = [sys.executable, "-m", "whatfits.sizing", "web", "--no-browser", "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        end = time.monotonic() + 60
        while True:
            assert process.poll() is None
            assert time.monotonic() < end
            try:
                with urlopen(f"http://{LOOPBACK}:{port}/_stcore/health", timeout=5) as answer:
                    assert answer.read() == b"ok"
                break
            except URLError:
                time.sleep(0.1)
        yield process, port
        if process.poll() is None:
            process.kill()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.skipif(os.name != "posix", reason="other systems have other signals")
def test_it_listens_on_loopback_alone_and_ends_without_a_trace(
    server: tuple[subprocess.Popen[str], int], sent: signal.Signals
) -> None:
    process, port = server
    watched = psutil.Process(process.pid)
    listening = {c.laddr for c in watched.net_connections("inet") if c.status == "LISTEN"}
    assert listening == {(LOOPBACK, port)}
    children = watched.children(recursive=True)
    assert children == []
    process.send_signal(sent)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0, out
    assert f"http://{LOOPBACK}:{port}" in out
    assert "Traceback" not in out
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((LOOPBACK, port))
