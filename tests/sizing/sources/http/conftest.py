"""Makes the hand-made files of tests/hostile importable."""

from __future__ import annotations

import sys
from pathlib import Path

HOSTILE = next(p for p in Path(__file__).parents if p.name == "tests") / "hostile"
if str(HOSTILE) not in sys.path:
    sys.path.insert(0, str(HOSTILE))
