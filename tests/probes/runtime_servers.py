"""The helpers of tests/recorded/servers, for the tests in this folder."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "recorded" / "servers"
if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))

from loopback_server import Served, misbehaving, recorded, serving  # noqa: E402 - found above

__all__ = ["FOLDER", "Served", "misbehaving", "recorded", "serving"]
