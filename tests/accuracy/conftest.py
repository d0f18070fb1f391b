"""Makes the helpers of this folder and those they stand on importable."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
for folder in ("accuracy", "golden", "oracle", "sizing/quants"):
    if str(TESTS / folder) not in sys.path:
        sys.path.append(str(TESTS / folder))
