"""What Streamlit goes by in the running server, whatever else on the machine sets it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from browser_pages import LOOPBACK, Server

if TYPE_CHECKING:
    from pathlib import Path

SAYS_ITS_SETTINGS = """
import json, os, sys, threading

def say():
    sys.stdin.readline()
    from streamlit import config
    found = {key: option.value for key, option in config.get_config_options().items()}
    path = os.environ["SETTINGS_GO_TO"]
    with open(path + ".part", "w") as file:
        json.dump(found, file, default=str)
    os.replace(path + ".part", path)

threading.Thread(target=say, daemon=True).start()
from whatfits.sizing.cli import main
sys.exit(main(sys.argv[1:]))
"""
SAID_S = 60
OPENED = {
    "server.address": "0.0.0.0",  # noqa: S104 - must not be taken
    "server.enableCORS": "false",
    "server.enableXsrfProtection": "false",
    "server.enableStaticServing": "true",
    "server.maxUploadSize": "4096",
    "server.maxMessageSize": "4096",
    "server.allowedHosts": '["*"]',
    "server.enableAgentApi": "true",
    "server.scriptHealthCheckEnabled": "true",
    "browser.gatherUsageStats": "true",
    "client.showErrorDetails": "full",
    "client.toolbarMode": "developer",
    "global.developmentMode": "true",
}


def variable(key: str) -> str:
    """Return the variable of the environment that sets an option."""
    words = "".join(f"_{c}" if c.isupper() else c for c in key.replace(".", "_"))
    return f"STREAMLIT_{words.upper()}".replace("C_O_R_S", "CORS")


def test_the_running_server_is_closed_whatever_the_environment_says(tmp_path: Path) -> None:
    pytest.importorskip("streamlit", reason="needs the extra [web]")
    home = tmp_path / ".streamlit"
    home.mkdir()
    (home / "config.toml").write_text('[server]\ncorsAllowedOrigins = ["http://evil.example"]\n')
    told = {variable(key): value for key, value in OPENED.items()}
    settings = tmp_path / "settings.json"
    told |= {"HOME": str(tmp_path), "PYTHONUTF8": "1", "SETTINGS_GO_TO": str(settings)}
    server = Server(
        program=("-c", SAYS_ITS_SETTINGS), env={**os.environ, **told}, stdin=subprocess.PIPE
    )
    assert server.process.stdin is not None
    with server.process.stdin as questions:
        questions.write(b"\n")
    end = time.monotonic() + SAID_S
    while not settings.exists() and time.monotonic() < end:
        time.sleep(0.1)
    server.stop()
    found = json.loads(settings.read_text("utf-8"))
    assert {key: found[key] for key in OPENED} == {
        "server.address": LOOPBACK,
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.enableStaticServing": False,
        "server.maxUploadSize": 0,
        "server.maxMessageSize": 24,
        "server.allowedHosts": ["localhost", LOOPBACK, "::1"],
        "server.enableAgentApi": False,
        "server.scriptHealthCheckEnabled": False,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "global.developmentMode": False,
    }
    assert found["server.corsAllowedOrigins"] == []
    assert found["client.allowedOrigins"] == []
