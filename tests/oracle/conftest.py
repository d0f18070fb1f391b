"""Makes the helpers of tests/oracle importable; no tests without llama.cpp and a compiler."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

ORACLE = Path(__file__).parent
for folder in (ORACLE, ORACLE.parent / "accuracy"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

collect_ignore_glob = (
    [] if importlib.util.find_spec("llama_cpp") and shutil.which("cc") else ["test_*.py"]
)
