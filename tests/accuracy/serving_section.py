"""The section over servers under load: how far off throughput and first tokens are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving_judged import factor, load
from serving_rows import rows
from serving_weights import fitted_on
from tables import table

from whatfits.sizing.serving.vllm_host import (
    BEFORE_V1,
    LEAST_TTFT_S,
    OF_TODAY,
    VLLM_SPREAD,
    WEB_FRONT_S,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from serving_judged import Compared

    from whatfits.sizing.serving.vllm_host import Ends

__all__ = ["GROUPS", "section"]

_FIGURES: Final = {
    "all together": "tokens a second, all together",
    "one answer": "tokens a second, one answer",
    "first token": "first token",
}
# (whether vLLM had its present engine, what stood before it) → how a group is called
GROUPS: Final = {
    (True, "http"): "vLLM over HTTP",
    (True, None): "vLLM 0.19 to 0.26, no web front",
    (False, None): "vLLM 0.7, no web front",
}
_HEAD: Final = ("", "figures", "off by (median)", "predicted / measured", "in the interval")
_READ: Final = """What they show:

- *Writing.* On models of 7 and 8 billion parameters the middle is within a fifth of 41 of 43
  speeds, one user or 256, whatever the card: 16-bit weights are read at 87 % of the bandwidth, on
  Hopper at 96 %, as vLLM 0.26 did on a H200. With vLLM 0.7 that card was a fifth to a third slower:
  the two that are further off.
  Half a billion parameters are another thing, for the host works longer on a step than the card.
  Under vLLM 0.7 that grows with every sequence, by 0.08 to 0.54 ms from one host to another,
  which nothing that is told of a server says beforehand: the interval is that wide. Today's
  engine has a seventh of it, beside the card's work: it is waited for where a small model writes
  for many, and told too long in the middle by a quarter to a third with 128 and 256 at once on a
  H200. The RTX 5090 with that model swung by a quarter from minute to minute, as its report says,
  and is outside.
- *The A100 with eight at once* is put together from words of its page (6.6 times 75 tokens a
  second). A round would have taken 2.07 s; 8 x 1,024 tokens at the card's full rate and 127 steps
  as long as those of one request take 2.12 s. It stays in the table.
- *First tokens.* Without a web front, models of 8 and 14 billion parameters are within a factor of
  1.5 but for four figures of 30. Shorter work waits for the host: that is the least time above.
  Over HTTP each request at work adds up to 7 ms, 3 in the middle: the two reports agree on that
  middle by a third (without either, the other gives 2.4 or 3.5 ms), but no third is there to judge
  by.
- *One H200* was measured by the authors of this project: 16 rows, vLLM 0.26 called in its own
  process, random weights, all requests begun together. Half of its models judge.
"""


def section() -> str:
    """Return the text and the tables."""
    found = load()
    sources = len({one.source for one in found})
    cases = len({(one.source, one.case) for one in found})
    most = max(row.users for row in rows())
    said = (
        f"{cases} servers under vLLM, one to {most} requests at once, from {sources - 1} published "
        "reports and one measurement of this project's own (`tests/recorded/serving`, with their "
        "addresses and what had to be read into them); every "
        "figure is in `accuracy_serving.json` beside this file. Nothing was chosen by its error. "
        "The scheduler that is simulated is today's, on an idle card with its own figures from the "
        "catalog. A model on a device lies wholly in one half by a hash of both names.\n\n"
        "Fitted on the first half (`tests/accuracy/serving_fit.py`, `serving_weights.py`): the "
        f"rate at which 16-bit weights are read (median of {len(fitted_on())} single answers of 8 "
        f"billion parameters); the least time to a first token, {_ms(LEAST_TTFT_S)}; what the host "
        f"takes under vLLM 0.7, {_ms(BEFORE_V1.step_s)} a step and {_ms(BEFORE_V1.sequence_s)} for "
        "each sequence after the first (least, middle and most of six servers); today's, "
        f"{_ms(OF_TODAY.sequence_s)} (one server, ends in proportion); the web front's, "
        f"{_ms(WEB_FRONT_S)} to a first token for each request at work (11 figures). The interval "
        "is then as wide as four in five figures of that half need when whatever was fitted on "
        f"their card is fitted without it: {100 * VLLM_SPREAD.writing[1]:.0f} % to either side for "
        f"steps that write, {100 * VLLM_SPREAD.reading[1]:.0f} % for prompts, beyond what hosts "
        "vary. It is of dense models of 16 bits on one card; anything else under vLLM keeps the "
        "wider interval of its speed. A card whose costs are fitted on the same models tells no "
        "width."
    )
    parts = [said, _halves(found), _summary(found), _READ, _cases(found)]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _summary(found: Sequence[Compared]) -> str:
    lines = []
    for (is_of_today, front), name in GROUPS.items():
        group = [one for one in found if (one.is_of_today, one.front) == (is_of_today, front)]
        for figure, title in _FIGURES.items():
            chosen = [one for one in group if one.figure == figure]
            if chosen:
                lines.append((f"{name}: {title}", *_cells(chosen)))
    return table(_HEAD, lines)


def _ms(ends: Ends) -> str:
    low, mid, high = (f"{1000 * seconds:.2g}" for seconds in ends)
    return f"{low} to {high} ms with {mid} in the middle"


def _halves(found: Sequence[Compared]) -> str:
    """Return speeds and first tokens: the half that was fitted on, and the other."""
    lines = []
    for name, is_first in (("tokens a second", False), ("first token", True)):
        for half, judges in (("half that was fitted on", False), ("the half that judges", True)):
            chosen = [
                one
                for one in found
                if one.judges == judges and (one.figure == "first token") == is_first
            ]
            lines.append((f"{name}: {half}", *_cells(chosen)))
    return table(_HEAD, lines)


def _cells(chosen: Sequence[Compared]) -> tuple[str, ...]:
    ratios = [one.ratio for one in chosen]
    held = sum(one.is_inside for one in chosen)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return str(len(chosen)), f"{factor(chosen):.2f} x", spread, f"{held} of {len(chosen)}"


def _cases(found: Sequence[Compared]) -> str:
    """Return today's engine case by case."""
    head = ("today's engine", "figure", "measured", "predicted", "interval", "")
    return table(head, _rows([one for one in found if one.is_of_today]))


def _rows(chosen: Sequence[Compared]) -> Iterator[tuple[str, ...]]:
    for one in chosen:
        is_seconds = one.figure == "first token"
        shown = [
            f"{1000 * value:,.0f} ms" if is_seconds else f"{value:,.0f}"
            for value in (one.measured, one.mid, one.low, one.high)
        ]
        front = ", HTTP" if one.front else ""
        yield (
            f"{one.case}{front}",
            one.figure,
            shown[0],
            shown[1],
            f"{shown[2]} – {shown[3]}",
            "" if one.is_inside else "outside",
        )
