"""What is published is the tree: every module and data file, under one name, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parent.parent
FOLDERS = ("sizing", "probes", "webapp", "bench")
SHIPPED = ("*.py", "py.typed", "*.toml", "*.json", "*.jsonl")
KEPT_BACK = {"sizing/catalog/.gitattributes"}  # means something to git alone


class Built(NamedTuple):
    """The two archives, and the wheel unpacked."""

    wheel: Path
    sdist: Path
    unpacked: Path


def tree() -> set[str]:
    """Return every file of the four folders, as a path below the root."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    # Built from a copy: setuptools leaves folders behind, and would pick up what an older
    # build left. The wheel is made of the source archive, so both are complete or neither is.
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", source],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "would be ignored" not in done.stdout + done.stderr
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")  # noqa: S202 - made two lines above
    return Built(wheel, sdist, folder / "unpacked")


def info(built: Built, name: str) -> str:
    (folder,) = built.unpacked.glob("*.dist-info")
    return (folder / name).read_text("utf-8")


def metadata(built: Built) -> Message:
    return Parser().parsestr(info(built, "METADATA"))


def settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_every_file_of_the_tree_has_a_kind_that_is_shipped() -> None:
    odd = {name for name in tree() if not any(fnmatch(name.split("/")[-1], k) for k in SHIPPED)}
    assert odd == KEPT_BACK


def test_the_packages_are_the_folders_with_python_files() -> None:
    folders = {Path(name).parent for name in tree()}
    listed = settings()["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(f"whatfits.{'.'.join(folder.parts)}" for folder in folders)
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").is_file()] == []


def test_the_wheel_holds_the_tree_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {f"whatfits/{name}" for name in tree() - KEPT_BACK}
    assert {path.name.split("-")[0] for path in built.unpacked.iterdir()} == {"whatfits"}


def test_what_is_installed_is_what_is_in_the_tree(built: Built) -> None:
    for name in tree() - KEPT_BACK:
        assert (built.unpacked / "whatfits" / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_wheel_is_for_every_platform(built: Built) -> None:
    wheel = Parser().parsestr(info(built, "WHEEL"))
    assert wheel["Root-Is-Purelib"] == "true"
    assert wheel.get_all("Tag") == ["py3-none-any"]
    assert built.wheel.name.endswith("-py3-none-any.whl")


def test_the_record_lists_every_file_and_nothing_that_is_not_there(built: Built) -> None:
    (folder,) = built.unpacked.glob("*.dist-info")
    listed = {line.split(",")[0] for line in info(built, "RECORD").splitlines()}
    there = {
        path.relative_to(built.unpacked).as_posix()
        for path in built.unpacked.rglob("*")
        if path.is_file()
    }
    assert listed == there
    about = {name.partition("/")[2] for name in listed if name.startswith(f"{folder.name}/")}
    assert about == {
        *("METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"),
        "licenses/LICENSE",
    }


def test_neither_archive_holds_a_test_or_anything_compiled(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel, tarfile.open(built.sdist) as sdist:
        names = [*wheel.namelist(), *(name.partition("/")[2] for name in sdist.getnames())]
    odd = ("tests/*", "*/tests/*", "*.pyc", "*.so", "*.pyd", "*.dylib", "*.pkl", "*.pth")
    assert [name for name in names if any(fnmatch(name, kind) for kind in odd)] == []


def test_the_metadata_says_what_a_user_needs(built: Built) -> None:
    found = metadata(built)
    assert found["Requires-Python"] == ">=3.11"
    assert found["License-Expression"] == "MIT"
    assert set(found.get_all("Provides-Extra")) == {"web", "bench", "fleet", "all", "dev"}
    assert "make run" in str(found.get_payload())
    assert "whatfits = whatfits.sizing.cli:console" in info(built, "entry_points.txt")
    assert info(built, "licenses/LICENSE") == (ROOT / "LICENSE").read_text("utf-8")


def test_nothing_heavy_is_required_without_an_extra(built: Built) -> None:
    required = [
        line for line in metadata(built).get_all("Requires-Dist", []) if "extra ==" not in line
    ]
    assert required
    assert [name for name in ("llama", "streamlit", "ray") if name in " ".join(required)] == []


def test_the_source_archive_holds_all_that_a_build_needs(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= (tree() - KEPT_BACK) | {"pyproject.toml", "README.md", "LICENSE"}


def test_the_wheel_answers_without_the_tree(built: Built, tmp_path: Path) -> None:
    script = (
        "import sys; from whatfits.sizing import cli;"
        "assert cli.__file__.startswith(sys.argv.pop(1)), cli.__file__; sys.exit(cli.main())"
    )
    command = ["check", "llama-3.1-8b", "--machine", "rtx-4090 + 64gb", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", script, str(built.unpacked), *command],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(built.unpacked)},
        text=True,
    )
    assert json.loads(done.stdout)["verdict"] == "fits"
