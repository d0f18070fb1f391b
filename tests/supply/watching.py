"""Runs Python with no network, and says what it tried to reach and which programs it started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

_WATCHER = Path(__file__).parent / "watched" / "sitecustomize.py"


class Watched(NamedTuple):
    """What a process did.

    Attributes:
        code: its exit code.
        output: its standard output.
        errors: its standard error.
        network: what it tried to use of the network, as (kind, address or name); its children too.
        programs: the ways in which it started programs.
        pythons: how many Python processes there were, itself among them; forks do not count.
    """

    code: int
    output: str
    errors: str
    network: tuple[tuple[str, str], ...]
    programs: tuple[str, ...]
    pythons: int


def watch(*arguments: str, folder: Path) -> Watched:
    """Return what `python ARGUMENTS` did, run in an empty folder that is its home as well."""
    watched = folder / "watched"
    watched.mkdir()
    shutil.copy(_WATCHER, watched)
    paths = (str(watched), os.environ.get("PYTHONPATH", ""))
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "HOME": str(folder),
            "LOCALAPPDATA": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_DATA_HOME": str(folder / "data"),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        },
        text=True,
    )
    log = (watched / f"{_WATCHER.name}.log").read_text("utf-8")
    events = [tuple(json.loads(line)) for line in log.splitlines()]
    return Watched(
        code=done.returncode,
        output=done.stdout,
        errors=done.stderr,
        network=tuple(event for event in events if event[0] not in {"start", "program"}),
        programs=tuple(what for kind, what in events if kind == "program"),
        pythons=sum(kind == "start" for kind, _ in events),
    )
