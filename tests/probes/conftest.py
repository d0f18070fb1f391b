"""Recorded machines, and systems made of a few files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from whatfits.probes.replay import RECORDING_FORMAT, RECORDING_VERSION, ReplaySystem

if TYPE_CHECKING:
    from collections.abc import Callable

PROBES = Path(__file__).parent
if str(PROBES) not in sys.path:  # helpers beside the tests are importable
    sys.path.insert(0, str(PROBES))
MACHINES = Path(__file__).parent.parent / "recorded" / "machines"


class SystemOf(Protocol):
    """Makes a system of a few files."""

    def __call__(
        self,
        files: dict[str, Any],
        *,
        platform: str = "linux",
        architecture: str = "x86_64",
        **more: object,
    ) -> ReplaySystem: ...


def load_recording(name: str) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads((MACHINES / f"{name}.json").read_text("utf-8"))
    return recording


@pytest.fixture
def recording() -> Callable[[str], dict[str, Any]]:
    """Loads a recorded machine by name."""
    return load_recording


@pytest.fixture
def system_of() -> SystemOf:
    """Makes a Linux system out of a few files."""

    def make(
        files: dict[str, Any],
        *,
        platform: str = "linux",
        architecture: str = "x86_64",
        **more: object,
    ) -> ReplaySystem:
        head = {"format": RECORDING_FORMAT, "version": RECORDING_VERSION}
        return ReplaySystem(
            {**head, "platform": platform, "architecture": architecture, "files": files, **more}
        )

    return make
