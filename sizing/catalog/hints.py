"""What to write for a machine that people name in words which no device of the catalog has."""

from __future__ import annotations

import re

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["hint_for"]

_CLOUD: Final = r"\b[a-z]\w*\.\d*x?(?:large|metal)\b|\bstandard[_ -]n|gpu-\d+g|standard-\d"
_PHONE: Final = r"\b(?:iphone|ipad|pixel|galaxy (?:s|z|tab|a)|android|snapdragon 8)\b"
_MAC: Final = r"\b(?:mac|macbook|imac)\b"
_PROCESSOR: Final = (
    r"\b(?:ryzen|threadripper|epyc|xeon|i[3579]-|core (?:i\d|ultra|2)|pentium|celeron|atom"
    r"|n[1-3]\d\d\b|raspberry)"
)
_NO_GPU: Final = r"^(?:no gpu|none|cpu|cpu only|gpu|ram|laptop|pc|desktop|server)$|\bno gpu\b"
_HINTS: Final = (
    (_CLOUD, "an instance of a cloud is named by its GPUs and its RAM, as '4x l4 + 192gb'"),
    (_PHONE, "phones and tablets are not sized"),
    (_MAC, "a Mac is named by its chip and memory, as 'm4 pro 24gb'; one of Intel's by its RAM"),
    (r"\bvram\b|^\d+ ?gb? gpu$", "name the card that has it, as 'rtx 4060 + 32gb'"),
    (r"\bunified\b", "name the chip that has it, as 'm4 16gb' or 'strix halo 128gb'"),
    (_NO_GPU, "without a GPU a computer is named by its RAM, as '16gb'"),
    (r"\S.*\d ?gb? (?:of )?(?:ram|memory)\b", "RAM of the PC is written apart, as '+ 64gb'"),
    (r"\bddr\d|^ram\b|^\d+ ?mi?b\b", "RAM is written as '64gb', or '32gb ddr5-6000'"),
    (_PROCESSOR, "of that processor nothing is known: tell its RAM alone, as '16gb ddr4-3200'"),
)


def hint_for(text: str) -> str:
    """Return how a machine of that kind is written; nothing where no word tells its kind."""
    lowered = " ".join(text.casefold().split())
    return next((hint for pattern, hint in _HINTS if re.search(pattern, lowered)), "")
