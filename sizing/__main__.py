"""`python -m whatfits.sizing` is `whatfits`."""

from __future__ import annotations

import sys

from whatfits.sizing.cli import console

if __name__ == "__main__":
    sys.exit(console())
