"""What is installed is found in known places, and nothing of the current directory is ever run."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from whatfits.probes.runtimes import look
from whatfits.probes.runtimes.installed import parse_plist_version
from whatfits.probes.runtimes.llama_cpp import parse_version as parse_llama_version
from whatfits.probes.runtimes.ollama import parse_version as parse_ollama_version
from whatfits.probes.runtimes.registry import runtime_probes
from whatfits.probes.runtimes.surroundings import Surroundings

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(sys.platform == "win32", reason="programs are shell scripts here")
PLIST = """<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>CFBundleShortVersionString</key>
<string>0.4.6</string>
</dict></plist>"""


def script(folder: Path, name: str, lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


def around(
    tmp_path: Path, *, platform: str = "linux", path: str = "", **packages: str
) -> Surroundings:
    environment = {
        "PATH": path,
        "HOME": str(tmp_path / "home"),
        "USERPROFILE": str(tmp_path / "home"),
        "LOCALAPPDATA": str(tmp_path / "local"),
    }
    return Surroundings(
        environment, platform=platform, root=str(tmp_path / "root"), packages=packages
    )


def found(here: Surroundings) -> dict[str, tuple[str | None, str]]:
    installed = look(here, ports=()).installed
    return {runtime.id: (runtime.version, runtime.layer) for runtime in installed}


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    for platform in ("linux", "darwin", "win32", "freebsd14"):
        report = look(around(tmp_path, platform=platform), ports=())
        assert report.installed == ()
        assert report.servers == ()


@posix
def test_programs_are_found_with_their_versions(tmp_path: Path) -> None:
    folder = tmp_path / "root/usr/local/bin"
    script(folder, "llama-server", 'echo "version: 6789 (0c1e57098)" >&2; echo "built with x" >&2')
    script(folder, "ollama", 'echo "ollama version is 0.31.2"')
    script(tmp_path / "home/.lmstudio/bin", "lms", "exit 1")
    script(tmp_path / "env/bin", "vllm", "exit 1")
    (tmp_path / "env/lib/python3.12/site-packages/vllm-0.33.0.dist-info").mkdir(parents=True)
    here = around(tmp_path, path=str(tmp_path / "env/bin"))
    assert found(here) == {
        "llama.cpp": ("6789 (0c1e57098)", "runtime"),
        "ollama": ("0.31.2", "runtime"),
        "lm-studio": (None, "both"),
        "vllm": ("0.33.0", "runtime"),
    }


def test_packages_of_this_python_are_found(tmp_path: Path) -> None:
    packages = {"vllm": "0.33.0", "sglang": "0.5.23", "mlx-lm": "0.32.2"}
    here = around(tmp_path, **packages)
    assert found(here) == {
        name: (packages[package], "runtime")
        for name, package in (("vllm", "vllm"), ("sglang", "sglang"), ("mlx", "mlx-lm"))
    }
    assert Surroundings().package_version("pytest") == pytest.__version__
    assert Surroundings().package_version("no-package-of-this-name") is None


def test_apps_are_found_where_their_installers_put_them(tmp_path: Path) -> None:
    for app in ("Ollama", "LM Studio", "Jan"):
        contents = tmp_path / f"root/Applications/{app}.app/Contents"
        contents.mkdir(parents=True)
        (contents / "Info.plist").write_text(PLIST)
    mac = found(around(tmp_path, platform="darwin"))
    assert mac == dict.fromkeys(("ollama", "lm-studio", "jan"), ("0.4.6", "both"))
    (tmp_path / "root/var/lib/flatpak/app/ai.jan.Jan").mkdir(parents=True)
    assert found(around(tmp_path)) == {"jan": (None, "both")}
    for path in ("Programs/LM Studio/LM Studio.exe", "Programs/Ollama/ollama.exe"):
        (tmp_path / "local" / path).parent.mkdir(parents=True)
        (tmp_path / "local" / path).write_bytes(b"MZ")
        (tmp_path / "local" / path).chmod(0o755)
    windows = found(around(tmp_path, platform="win32"))
    assert windows == dict.fromkeys(("ollama", "lm-studio"), (None, "both"))


@posix
def test_the_current_directory_is_never_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = script(tmp_path / "here", "ollama", f"touch {tmp_path}/ran")
    monkeypatch.chdir(trap.parent)
    for path in ("", ".", os.pathsep, f".{os.pathsep}here", str(trap.parent), "../here"):
        assert found(around(tmp_path, path=path)) == {}
    link = tmp_path / "link"
    link.symlink_to(trap.parent)
    assert found(around(tmp_path, path=str(link))) == {}
    assert not (tmp_path / "ran").exists()


@posix
def test_a_folder_that_anybody_can_write_to_is_not_trusted(tmp_path: Path) -> None:
    trap = script(tmp_path / "open", "ollama", f"touch {tmp_path}/ran")
    trap.parent.chmod(0o777)
    assert found(around(tmp_path, path=str(trap.parent))) == {}
    assert not (tmp_path / "ran").exists()


@posix
@pytest.mark.parametrize(
    "lines",
    [
        "sleep 30",
        "while :; do echo version is nothing; done",
        "exit 3",
        "head -c 5000000 /dev/urandom",
        "kill -9 $$",
        "sleep 30 & sleep 30",
    ],
)
def test_a_program_that_does_not_say_is_found_without_a_version(tmp_path: Path, lines: str) -> None:
    script(tmp_path / "root/usr/bin", "ollama", lines)
    started = time.monotonic()
    assert found(around(tmp_path)) == {"ollama": (None, "runtime")}
    assert time.monotonic() - started < 3


@posix
def test_a_program_is_asked_in_english_without_secrets_and_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    said = tmp_path / "said"
    script(tmp_path / "root/usr/bin", "ollama", f"(env; pwd) > {said}; echo version is 1.2")
    assert found(around(tmp_path)) == {"ollama": ("1.2", "runtime")}
    lines = said.read_text().splitlines()
    assert "LC_ALL=C" in lines
    assert f"HOME={tmp_path}/home" in lines
    assert lines[-1] == "/"
    assert not any("secret" in line for line in lines)


@posix
def test_what_cannot_be_run_is_not_there(tmp_path: Path) -> None:
    program = script(tmp_path / "root/usr/bin", "llama-server", "echo version: 1")
    program.chmod(0o644)
    (tmp_path / "root/usr/bin/ollama").mkdir()
    assert found(around(tmp_path)) == {}


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("ollama version is 0.31.2\n", "0.31.2"),
        ("Warning: could not connect\nWarning: client version is 0.31.0\n", "0.31.0"),
        ("ollama version is 0.31.2\nWarning: client version is 0.31.0\n", "0.31.0"),
        ("version is unknown", None),
        ("", None),
    ],
)
def test_the_version_of_ollama_is_the_programs_own(said: str, version: str | None) -> None:
    assert parse_ollama_version(said) == version


def test_the_version_of_llama_cpp_is_its_build() -> None:
    said = "ggml_cuda_init: found 1\nversion: 6789 (0c1e57098)\nbuilt with cc"
    assert parse_llama_version(said) == "6789 (0c1e57098)"
    assert parse_llama_version("version: 0 (unknown)\n") == "0"
    assert parse_llama_version("version: many") is None


def test_a_plist_without_a_version_has_none() -> None:
    assert parse_plist_version(PLIST) == "0.4.6"
    assert parse_plist_version("") is None
    assert parse_plist_version("bplist00\0\1") is None
    assert parse_plist_version(PLIST.replace("0.4.6", "\x1b[31m0")) is None


def test_a_defect_in_one_probe_is_a_finding_and_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_here: Surroundings) -> None:
        raise RuntimeError("as a defect would")

    (tmp_path / "root/var/lib/flatpak/app/ai.jan.Jan").mkdir(parents=True)
    monkeypatch.setattr("whatfits.probes.runtimes.ollama.read_installed", broken)
    report = look(around(tmp_path), ports=())
    assert [runtime.id for runtime in report.installed] == ["jan"]
    (finding,) = report.findings
    assert "Ollama" in finding.text
    assert "as a defect would" in finding.text


def test_every_runtime_has_an_id_of_its_own() -> None:
    ids = [probe.ID for probe in runtime_probes()]
    assert len(set(ids)) == len(ids)
