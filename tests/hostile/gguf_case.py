"""One hostile file and its answer, and the values that many classes try."""

from __future__ import annotations

from typing import NamedTuple

import gguf_builder as b

REFUSED, NOTED, ACCEPTED = "refused", "noted", "accepted"

ONE = [b.tensor("a")]
LENGTHS = (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**60, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1)
ODD_TEXTS = {
    "zero byte": "a\0b",
    "newline": "a\nb",
    "escape sequence": "a\x1b[31mb",
    "bidirectional override": "a\u202eb",
    "letters beyond ASCII": "größe",
    "zero-width space": "a\u200bb",
}


class Case(NamedTuple):
    """One file and how it must be answered; `says` is part of the message or finding."""

    name: str
    data: bytes
    answer: str
    says: str = ""
