"""Text for Streamlit's Markdown, where names from files and addresses stay plain text."""

from __future__ import annotations

from typing import Final

__all__ = ["inert"]

# what Markdown, its emoji and colour directives, and TeX give a meaning to
_SPECIAL: Final = frozenset("\\`*_{}[]()<>#+-.!|~$:&^=@/")


def inert(text: str) -> str:
    """Return text that shows as it is: no link, image, emphasis, formula, emoji or HTML."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return "".join(f"\\{c}" if c in _SPECIAL else c for c in shown)
