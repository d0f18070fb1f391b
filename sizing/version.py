"""The versions of the program and of its answers: a module of their own, because they cost nothing.

Reading the version from the installed metadata would cost more than answering `--version`.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["SCHEMA_VERSION", "VERSION"]

VERSION: Final = "0.1.0"
"""As in pyproject.toml; a test compares the two."""

SCHEMA_VERSION: Final = "1"
"""Major version of the JSON answers: within it fields are added, never renamed or re-meant."""
