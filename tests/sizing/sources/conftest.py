"""Makes the hand-made files of tests/hostile and the checkpoints of this folder importable."""

from __future__ import annotations

import sys
from pathlib import Path

HOSTILE = next(p for p in Path(__file__).parents if p.name == "tests") / "hostile"
for folder in (HOSTILE, Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
