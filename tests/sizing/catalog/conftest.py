from __future__ import annotations

import pytest

from whatfits.sizing.catalog.sources import Sources, read_sources


@pytest.fixture(scope="session")
def sources() -> Sources:
    """The catalog's source files, read once."""
    return read_sources()
