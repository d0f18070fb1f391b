"""Makes the strategies of this folder importable."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
if str(FOLDER) not in sys.path:
    sys.path.insert(0, str(FOLDER))
