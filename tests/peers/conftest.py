"""Makes the table of this folder and the writers of hostile files importable."""

from __future__ import annotations

import sys
from pathlib import Path

PEERS = Path(__file__).parent
for folder in (PEERS, PEERS.parent / "hostile"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
