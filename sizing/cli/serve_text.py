"""`whatfits serve` in words: the verdict, the server, the curve, what to type."""

from __future__ import annotations

from whatfits.sizing.document import Document, Lines, Verbatim
from whatfits.sizing.explain import TONES
from whatfits.sizing.serving.words import (
    curve_readings,
    curve_table,
    server_facts,
    verdict_line,
)
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.document import Block
    from whatfits.sizing.serving.serve_plan import ServePlan

__all__ = ["serve_document"]


def serve_document(found: ServePlan) -> Document:
    """Return the answer as a document: verdict first, then what it rests on."""
    blocks: list[Block] = [
        Lines((verdict_line(found),), tone=TONES[found.verdict]),
        server_facts(found),
    ]
    if found.curve:
        blocks.append(curve_table(found.curve))
        blocks.append(Lines(curve_readings(found), tone="dim"))
    for runtime, lines in found.commands.items():
        blocks.append(Verbatim(lines, title=f"Start it ({runtime})"))
    if found.notes:
        blocks.append(Lines(found.notes, title="Notes", tone="dim"))
    return Document(tuple(blocks))
