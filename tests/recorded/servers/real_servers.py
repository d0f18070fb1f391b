"""Starts real servers with a small model on the loopback interface; records what they answer.

python tests/recorded/servers/real_servers.py llama-cpp-python mlx-lm

needs `llama-cpp-python[server]`, and mlx-lm (`mlx[cpu]` on Linux), in the Python that runs it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from small_models import write_small_checkpoint, write_small_gguf

from whatfits.probes.runtimes.http_ask import Request, ask
from whatfits.sizing.errors import ProbeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FOLDER = Path(__file__).parent
HOST = "127.0.0.1"
START_S = 90.0
PATHS = ("/health", "/v1/models", "/props", "/version", "/api/version", "/server_info")
SHOWN_FOLDER = "/models"


class RealServer(NamedTuple):
    """How one server is started.

    Attributes:
        runtime: what it has to be recognised as.
        modules: what has to be importable for it.
        packages: whose versions tell what was recorded.
        write: writes its model below a folder.
        words: of its command, the model and the port left out.
    """

    runtime: str
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    write: Callable[[Path], Path]
    words: tuple[str, ...]

    @property
    def missing(self) -> str | None:
        """Why it cannot be started here; None when it can."""
        lacking = [name for name in self.modules if importlib.util.find_spec(name) is None]
        return f"needs {', '.join(lacking)}" if lacking else None


SERVERS = {
    "llama-cpp-python": RealServer(
        runtime="llama-cpp-python",
        modules=("llama_cpp", "uvicorn", "fastapi", "sse_starlette", "starlette_context"),
        packages=("llama-cpp-python", "uvicorn"),
        write=lambda folder: write_small_gguf(folder / "small.gguf"),
        words=("-m", "llama_cpp.server", "--n_ctx", "2048"),
    ),
    "mlx-lm": RealServer(
        runtime="mlx",
        modules=("mlx", "mlx_lm"),
        packages=("mlx-lm", "mlx"),
        write=lambda folder: write_small_checkpoint(folder / "small"),
        words=("-m", "mlx_lm.server"),
    ),
}


class Running(NamedTuple):
    """A server that answers."""

    port: int
    model: Path

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"


@contextmanager
def running(server: RealServer, folder: Path, *, has_downloads: bool = True) -> Iterator[Running]:
    """Start a server below `folder`, wait until it answers, and stop it at the end.

    `has_downloads`: whether the Hub's cache of downloads exists, which is empty.
    """
    model = server.write(folder)
    cache = folder / "hub"
    if has_downloads:
        cache.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    words = [sys.executable, *server.words, "--model", str(model), "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=environment, cwd=folder)
        try:
            _wait(process, port, folder / "server.log")
            yield Running(port, model)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            ask(Request(HOST, port, "/v1/models"), deadline_s=1.0)
        except ProbeError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"the server did not answer: {log.read_text(errors='replace')[-2000:]}")


def answers_of(running: Running) -> dict[str, Any]:
    """Return what the known paths answer, in the form of a recording."""
    found: dict[str, Any] = {}
    for path in PATHS:
        answer = ask(Request(HOST, running.port, path), deadline_s=3.0)
        text = answer.body.decode().replace(str(running.model.parent), SHOWN_FOLDER)
        row: dict[str, Any] = {} if answer.status == 200 else {"status": answer.status}
        try:
            row["json"] = json.loads(text)
        except ValueError:
            row["text"] = text
        found[path] = row
    return found


def recording_of(server: RealServer, running: Running) -> dict[str, Any]:
    """Return a recording of a running server."""
    versions = ", ".join(f"{name} {version(name)}" for name in server.packages)
    shown = " ".join(("python", *server.words, "--model", f"{SHOWN_FOLDER}/{running.model.name}"))
    answers = answers_of(running)
    first = ask(Request(HOST, running.port, "/v1/models"), deadline_s=3.0)
    nowhere = ask(Request(HOST, running.port, "/nowhere"), deadline_s=3.0)
    return {
        "runtime": server.runtime,
        "provenance": f"recorded by real_servers.py from {versions}: {shown}",
        "server": first.headers.get("server", ""),
        "answers": answers,
        "otherwise": {"status": nowhere.status, "text": nowhere.body.decode()},
    }


def main() -> None:
    """Record the servers that are named."""
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder, running(SERVERS[name], Path(folder)) as found:
            recording = recording_of(SERVERS[name], found)
        path = FOLDER / f"{name}.json"
        path.write_text(json.dumps(recording, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
