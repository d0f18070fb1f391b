"""Readers that are not ours, each asked in a process of its own: it may crash or go on for ever."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["answers_of"]


def answers_of(script: str, files: list[bytes], folder: Path) -> list[Any]:
    """Return what the reader behind a script here says about each file; None for a refusal."""
    paths = [folder / f"{index}.gguf" for index in range(len(files))]
    for data, path in zip(files, paths, strict=True):
        path.write_bytes(data)
    child = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script))],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    answers = [json.loads(line) for line in child.stdout.splitlines()]
    assert len(answers) == len(files)
    return answers
