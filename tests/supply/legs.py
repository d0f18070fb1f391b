"""Installs the wheel with the lowest and with the newest versions allowed, and tests it there.

    python tests/supply/legs.py                       both, under every Python that is found
    python tests/supply/legs.py lowest --python python3.11

Each leg has a fresh environment in a temporary folder. What it ended up with is written to
tests/supply/recorded/, where test_floors.py reads it. Needs the package index; some ten minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from floors import EXTRAS, ROOT, lowest

if TYPE_CHECKING:
    from collections.abc import Sequence

LEGS: Final = ("lowest", "newest")
MINORS: Final = (11, 12, 13, 14)
RECORDED: Final = Path(__file__).parent / "recorded"
_TOOLS: Final = ("pytest", "hypothesis", "jsonschema", "packaging")
_FOLDERS: Final = ("sizing", "probes", "webapp", "bench")
# Where another project's code is used: every module and command, then each of them in turn.
TESTS: Final = (
    "tests/supply/test_no_network.py",
    "tests/sizing/test_values.py",  # the standard library's dataclasses
    "tests/sizing/test_named_tuples.py",  # and its named tuples
    "tests/cli/test_schema.py",  # pydantic
    "tests/cli/test_streams.py",  # rich
    "tests/sizing/serving/test_simulation.py",  # numpy
    "tests/sizing/sources/http",  # httpcore, certifi
    "tests/probes/test_nvml.py",  # nvidia-ml-py
    "tests/probes/test_fallbacks.py",  # psutil, py-cpuinfo
    "tests/probes/test_runtimes_servers.py",  # psutil
    "tests/probes/test_calibration.py",  # platformdirs
    "tests/probes/test_ray_nodes.py",  # ray
    "tests/webapp/test_pages.py",  # streamlit, altair
)
_OPTIONS: Final = ("-q", "-p", "no:cacheprovider", "-m", "not slow and not oracle and not browser")


def main() -> int:
    """Run the legs; 0 when each of them passed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("leg", nargs="*", metavar="LEG", help=" or ".join(LEGS))
    parser.add_argument("--python", action="append", metavar="COMMAND")
    given = parser.parse_args()
    if not set(given.leg) <= set(LEGS):
        parser.error(f"a leg is {' or '.join(LEGS)}")
    pythons = given.python or [name for minor in MINORS if works(name := f"python3.{minor}")]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        wheel = built(Path(folder))
        for python in pythons:
            for leg in given.leg or LEGS:
                print(f"== {leg} versions, {python}", flush=True)
                place = Path(folder) / "leg"
                if not passed(leg, python, wheel, place):
                    failed.append(f"{leg} under {python}")
                shutil.rmtree(place)
    print(f"failed: {', '.join(failed)}" if failed else "every leg passed")
    return 1 if failed else 0


def works(python: str) -> bool:
    """Return whether a command is there and starts Python; a stand-in for one may do neither."""
    return shutil.which(python) is not None and not _run([python, "-c", ""], quiet=True)


def built(folder: Path) -> Path:
    """Return the wheel of the tree, built from a copy: setuptools leaves folders behind."""
    source = folder / "source"
    for name in _FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    _must([*build, str(source)], quiet=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def passed(leg: str, python: str, wheel: Path, place: Path) -> bool:
    """Make a leg's environment, record its versions, and return whether the tests pass there."""
    _must([python, "-m", "venv", str(place)])
    inside = str(place / ("Scripts" if os.name == "nt" else "bin") / "python")
    constraints = place / "constraints.txt"
    constraints.write_text(lowest() if leg == "lowest" else "", "utf-8")
    pip = [inside, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wanted = [f"{wheel}[{','.join(EXTRAS)}]", *_TOOLS]
    _must([*pip, "install", "--constraint", str(constraints), *wanted])
    if _run([inside, "-m", "pytest", *_OPTIONS, *TESTS]):
        return False
    frozen = subprocess.run(
        [*pip, "freeze", "--exclude", "whatfits"], capture_output=True, check=True, text=True
    )
    version = subprocess.run(
        [inside, "-c", "import platform; print(platform.python_version())"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()
    record(leg, version, frozen.stdout)
    return True


def record(leg: str, python: str, versions: str) -> None:
    """Write down what a leg ran with."""
    minor = ".".join(python.split(".")[:2])
    said = f"# The {leg} versions allowed, under Python {python}: `make legs` passed with these.\n"
    (RECORDED / f"{leg}-{minor}.txt").write_text(said + versions, "utf-8")


def _must(command: Sequence[str], *, quiet: bool = False) -> None:
    if _run(command, quiet=quiet):
        raise SystemExit(f"failed: {' '.join(command)}")


def _run(command: Sequence[str], *, quiet: bool = False) -> int:
    """Run a command in the root of the tree, without what this environment would lend it."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    hidden = subprocess.DEVNULL if quiet else None
    return subprocess.run(
        command, cwd=ROOT, check=False, env=environment, stdout=hidden, stderr=hidden
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
