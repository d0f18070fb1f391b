"""The section over servers under load: how far off throughput and first tokens are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving_judged import factor, load
from tables import table

from whatfits.sizing.serving.vllm_host import LEAST_TTFT_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from serving_judged import Compared

__all__ = ["GROUPS", "section"]

_FIGURES: Final = {
    "all together": "tokens a second, all together",
    "one answer": "tokens a second, one answer",
    "first token": "first token",
}
# (whether vLLM had its present engine, what stood before it) → how a group is called
GROUPS: Final = {
    (True, "http"): "vLLM over HTTP",
    (True, None): "vLLM 0.19 and 0.20, no web front",
    (False, None): "vLLM 0.7, no web front",
}
_HEAD: Final = ("", "figures", "off by (median)", "predicted / measured", "in the interval")
_READ: Final = """What they show:

- *Writing.* On models of 7 and 8 billion parameters the middle is mostly 10 to 30 % slow, one
  user or eight, whatever the card: it is the speed of one answer, as `check` has it, that lies
  low, and not what a batch makes of it. Half a billion parameters under vLLM 0.7 are another
  thing: its engine worked each step out on the host in one process, so that an H200 wrote 1,425
  tokens a second where an H100 beside another host wrote 6,145, and the middle is up to ten times
  too fast. The A100 under 0.20 writes what is predicted or more. The RTX 5090 with that model
  swung by a quarter from minute to minute, as its report says.
- *The A100 with eight at once* is put together from words of its page (6.6 times 75 tokens a
  second). A round would have taken 2.07 s; 8 x 1,024 tokens at the card's full rate and 127 steps
  as long as those of one request take 2.12 s. It stays in the table.
- *First tokens.* Without a web front, models of 8 billion parameters are within a factor of 1.5
  but for one figure of the H200. Shorter work waits for the host: that is the least time above.
  Over HTTP and with 16 and more at once, the web front and its tokeniser take longer than the
  engine (840 ms for 48 users on the RTX 4090, where the engine is done in 59 ms). They are not
  simulated: measure where it matters.
"""


def section() -> str:
    """Return the text and the tables."""
    found = load()
    sources = len({one.source for one in found})
    written = [one for one in found if one.figure != "first token"]
    cases = len({(one.source, one.case) for one in found})
    low, mid, high = (f"{1000 * seconds:.0f}" for seconds in LEAST_TTFT_S)
    said = (
        f"{cases} servers under vLLM, one to 48 requests at once, from {sources} published reports "
        "(`tests/recorded/serving`, with their addresses and what had to be read into them); every "
        "figure is in `accuracy_serving.json` beside this file. Nothing was chosen by its error. "
        "The scheduler that is simulated is today's, on an idle card with its own figures from the "
        "catalog. A model on a device lies wholly in one half by a hash of both names. One "
        "constant was fitted, on the first half: the least time to a first token under vLLM, "
        f"{low} to {high} ms with {mid} in the middle, as servers of half a billion parameters had "
        "it without a web front. The interval is that of speeds, made to hold four in five: of "
        f"{len(written)} speeds it holds {sum(one.is_inside for one in written)}."
    )
    parts = [said, _summary(found), _halves(found), _READ, _cases(found)]
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


def _halves(found: Sequence[Compared]) -> str:
    """Return first tokens without a web front: the half that was fitted on, and the other."""
    first = [one for one in found if one.figure == "first token" and one.front is None]
    halves = {
        "first token, no web front: half that was fitted on": False,
        "the half that judges": True,
    }
    lines = [
        (name, *_cells([one for one in first if one.judges == judges]))
        for name, judges in halves.items()
    ]
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
