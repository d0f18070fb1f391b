"""The programs that figures are held against: where they are, and an environment made of them."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PINNED = Path(__file__).with_name("peers.txt")
READER = Path(__file__).with_name("peer_reader.py")


class Peers:
    """An environment with the peers of `peers.txt`; each may be absent."""

    def __init__(self, folder: Path) -> None:
        """Look at what is installed there."""
        scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
        self.python = scripts / "python"
        self.llmfit = scripts / "llmfit"
        self.versions = self._installed()

    def _installed(self) -> dict[str, str]:
        try:
            listed = subprocess.run(
                [self.python, "-m", "pip", "--no-input", "list", "--format=freeze"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        except (OSError, subprocess.CalledProcessError):
            return {}
        return dict(line.split("==", 1) for line in listed.splitlines() if "==" in line)

    def version(self, name: str) -> str | None:
        """Return the version of a peer; None where it is absent."""
        return self.versions.get(name)

    def absent(self) -> list[str]:
        """Return the peers of the pinned list that are not here, or in another version."""
        pinned = [line for line in PINNED.read_text().split() if line]
        return [each for each in pinned if self.version(each.split("==")[0]) != each.split("==")[1]]

    def reader(self) -> Reader:
        """Start the process that times the peers' own functions."""
        return Reader(self.python)


class Reader:
    """A process of the peers' environment that runs one of their functions when asked."""

    def __init__(self, python: Path) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [python, "-I", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def task(self, what: str, argument: str = "") -> Callable[[], float]:
        """Return the call that runs a function and returns the seconds that it took."""
        return lambda: self._ask(f"{what} {argument}\n")

    def _ask(self, line: str) -> float:
        asks, answers = self._process.stdin, self._process.stdout
        assert asks is not None
        assert answers is not None
        asks.write(line)
        asks.flush()
        return float(answers.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def peers_in(folder: Path | None, kept: Path) -> Peers:
    """Return the peers of a folder; without one, of an environment that is made once in `kept`."""
    if folder is not None:
        return Peers(folder)
    found = Peers(kept)
    if found.absent():
        venv.create(kept, with_pip=True)
        for line in PINNED.read_text().split():
            install = [found.python, "-m", "pip", "install", "--quiet", line]
            subprocess.run(install, check=False)
    return Peers(kept)
