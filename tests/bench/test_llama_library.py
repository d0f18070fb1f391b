"""llama.cpp's libraries: by the names of each system, and one line where they cannot be loaded."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from whatfits.bench import llama_library
from whatfits.bench.llama_library import last_error, library
from whatfits.sizing.errors import ProbeError

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "linux": ("libggml.so", "libggml.so.0", "libggml.so.0.25.3"),
    "freebsd14": ("libggml.so",),
    "darwin": ("libggml.dylib", "libggml.0.dylib", "libggml.0.25.3.dylib"),
    "win32": ("ggml.dll",),
}
TAKEN = {
    "linux": "libggml.so.0",
    "freebsd14": "libggml.so",
    "darwin": "libggml.0.dylib",
    "win32": "ggml.dll",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of libraries of a llama-cpp-python that is made up."""
    folder = tmp_path / "llama_cpp" / "lib"
    folder.mkdir(parents=True)
    package = SimpleNamespace(__file__=str(folder.parent / "__init__.py"))
    monkeypatch.setitem(sys.modules, "llama_cpp", package)
    monkeypatch.setattr(llama_library, "backend", lambda: None)
    monkeypatch.setattr(ctypes, "CDLL", lambda path, **_: path)
    return folder


@pytest.mark.parametrize("system", FILES)
def test_each_system_has_names_of_its_own(
    installed: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    for name in FILES[system]:
        (installed / name).touch()
    assert library.__wrapped__("ggml") == str(installed / TAKEN[system])


def test_a_library_that_is_not_there_is_named(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    (installed / "libggml.so.0").touch()
    with pytest.raises(ProbeError, match=r"no libggml\.0\.dylib in "):
        library.__wrapped__("ggml")


@pytest.mark.parametrize("kind", ["RuntimeError", "FileNotFoundError", "OSError"])
def test_a_library_that_cannot_be_loaded_is_told_in_one_line(tmp_path: Path, kind: str) -> None:
    package = tmp_path / "llama_cpp"
    package.mkdir()
    (package / "__init__.py").write_text(f"raise {kind}('libcudart.so.12: cannot open')\n")
    body = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from whatfits.sizing.cli import main\n"
        "sys.exit(main(['verify', '--synthetic', 'smollm2-135m']))\n"
    )
    said = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=False)
    assert said.returncode == 3
    assert "cannot be loaded: libcudart.so.12: cannot open; install it anew" in said.stderr
    assert "internal" not in said.stderr


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (["loading\n", "error: no such", "key\n", "failed to load\n"], "error: no suchkey"),
        (["loading\n", "model does not support it\n\n"], "model does not support it"),
        ([], "no reason given"),
    ],
)
def test_the_reason_is_the_first_error_or_the_last_word(log: list[str], said: str) -> None:
    assert last_error(log) == said
