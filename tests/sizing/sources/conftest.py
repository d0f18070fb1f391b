"""Makes the hand-made files of tests/hostile and tests/oracle and of this folder importable."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = next(p for p in Path(__file__).parents if p.name == "tests")
for folder in (TESTS / "hostile", TESTS / "oracle", Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
