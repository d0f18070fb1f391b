"""Runs commands: in this process for their answers, in a child for streams and terminals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing.cli import main
from whatfits.sizing.cli.schema import answer_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMAND = [sys.executable, "-m", "whatfits.sizing"]


@dataclass(frozen=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON is untyped
        """Standard output as the one JSON value it has to be."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that stands in for the user's own: what was measured here stays out."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.delenv("WHATFITS_API_KEY", raising=False)
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small model without values, as a server has it loaded."""
    path = tmp_path_factory.mktemp("models") / "small.gguf"
    write_catalog_model(path, "smollm2-135m", file_type="F16")
    return path


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Return a function that runs a command in this process."""

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


@pytest.fixture
def spawn() -> Callable[..., Said]:
    """Return a function that runs a command in a process of its own."""

    def run(*arguments: str, stdin: bytes = b"", **environment: str) -> Said:
        done = subprocess.run(
            [*COMMAND, *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONUTF8": "1", **environment},
        )
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = _closed(answer_schema())
    return schema


def _closed(schema: Any) -> Any:  # noqa: ANN401 - JSON is untyped
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        changed["additionalProperties"] = False
    return changed


@pytest.fixture
def closed() -> Callable[[Any], Any]:
    """Return a function that makes a schema refuse fields it does not name."""
    return _closed


@pytest.fixture
def is_valid() -> Callable[[str, object], None]:
    """Return a function that holds an answer against the schema of its command, closed."""

    def check(command: str, answer: object) -> None:
        schema = {"$ref": f"#/answers/{command}", **_schema()}
        Draft202012Validator(schema).validate(answer)

    return check


@pytest.fixture
def on_terminal() -> Callable[..., str]:
    """Return a function that runs a command on a terminal of 100 columns and returns its screen."""
    pty = pytest.importorskip("pty")

    def run(*arguments: str, **environment: str) -> str:
        ours, theirs = pty.openpty()
        size = {"COLUMNS": "100", "LINES": "50", "TERM": "xterm-256color"}
        kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
        with subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**kept, **size, **environment},
        ) as process:
            os.close(theirs)
            screen = b""
            while True:
                try:
                    part = os.read(ours, 65_536)
                except OSError:  # Linux says so when the other end is closed
                    break
                if not part:
                    break
                screen += part
            os.close(ours)
            process.wait()
        return screen.decode().replace("\r\n", "\n")

    return run
