"""Makes the modules of tests/supply importable by its tests."""

from __future__ import annotations

import sys
from pathlib import Path

SUPPLY = str(Path(__file__).parent)
if SUPPLY not in sys.path:
    sys.path.insert(0, SUPPLY)
