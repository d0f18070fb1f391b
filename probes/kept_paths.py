"""Where the files of the user's data folder lie, and whether there are any."""

from __future__ import annotations

import os
import sys

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

__all__ = ["CALIBRATION", "MEASUREMENTS", "is_kept", "kept_path"]

CALIBRATION: Final = "calibration.json"
MEASUREMENTS: Final = "measurements.json"


def is_kept(name: str) -> bool:
    """Return whether a file of that name exists.

    On Linux there are but two places where it can lie. When it lies in neither, as nearly always,
    this is known without what builds paths, whose import takes longer than all of a probe.
    """
    if sys.platform == "linux" and "ANDROID_DATA" not in os.environ:
        home = os.path.expanduser("~/.local/share")  # noqa: PTH111 - pathlib is not loaded here
        folders = (os.environ.get("XDG_DATA_HOME", "").strip(), home)
        if not any(os.path.exists(f"{folder}/whatfits/{name}") for folder in folders):  # noqa: PTH110 - same
            return False
    return kept_path(name).exists()


def kept_path(name: str) -> Path:
    """Return where a file of that name lies."""
    import platformdirs  # noqa: PLC0415 - not on the cold path of other answers

    return platformdirs.user_data_path("whatfits") / name
