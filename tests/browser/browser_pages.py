"""The server and the browser of the tests, and how they know that a page has said everything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from whatfits.webapp.launch import free_port

LOOPBACK = "127.0.0.1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

WAIT_MS = 60_000  # a busy machine is five times slower
CALM_MS = 300
READY = (
    '[data-testid="stApp"][data-test-script-state="notRunning"]'
    '[data-test-connection-state="CONNECTED"]'
)


def wait(page: Any) -> None:  # noqa: ANN401 - playwright's own
    """Wait until the page has said everything."""
    page.wait_for_selector(READY, timeout=WAIT_MS)
    page.get_by_role("heading", level=1).wait_for(timeout=WAIT_MS)
    # a run may follow a run, as when inputs take their values from the address
    for _ in range(WAIT_MS // CALM_MS):
        page.wait_for_selector(READY, timeout=WAIT_MS)
        page.wait_for_timeout(CALM_MS)
        if page.locator(READY).count():
            return


def browser_path() -> str | None:
    """Return where Chromium is; None without one."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Server:
    """The pages' server in a process of its own; `program` is what Python runs in it."""

    def __init__(
        self,
        *options: str,
        program: tuple[str, ...] = ("-m", "whatfits.sizing"),
        **more: Any,  # noqa: ANN401 - what a process is started with
    ) -> None:
        self.port = free_port(LOOPBACK, None)
        self.url = f"http://{LOOPBACK}:{self.port}/"
        self._output = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - until stop
        command = [sys.executable, *program, "web", "--no-browser", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, *options],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            **({"env": {**os.environ, "PYTHONUTF8": "1"}} | more),
        )
        end = time.monotonic() + 60
        while True:
            try:
                with urlopen(f"{self.url}_stcore/health", timeout=5):  # noqa: S310 - ours
                    return
            except URLError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def stop(self) -> str:
        """End it; return what it wrote."""
        self.process.terminate()
        self.process.wait(20)
        with self._output as output:
            output.seek(0)
            return output.read()
