"""The section over speeds: how far off they are by family, with the peers' rule beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from speed_judged import ALL, load
from speed_rows import PEER_SHARE, rows
from tables import percent, table

if TYPE_CHECKING:
    from speed_judged import Judged

__all__ = ["BARS", "section"]

# (phase, whether the family was fitted) → median and 90th percentile that are aimed at
BARS: Final = {
    ("decode", True): (0.12, 0.30),
    ("decode", False): (0.20, 0.45),
    ("prefill", True): (0.25, 0.60),
}
COVERED: Final = (0.75, 0.90)
_NAMES: Final = {"decode": "Writing", "prefill": "Reading a prompt"}
_HEAD: Final = ("family", "figures", "devices", "median", "p90", "in the interval")


_INTRODUCTION: Final = """{all:,} figures, nearly all published by others
(`tests/recorded/field_speed`). A model on a device lies wholly in one half by a hash of both
names: the costs were fitted on {fitted:,} figures, and these tables are over the other
{judging:,}. *Never seen* leaves the whole family out of the fit as well. The peers' rule is
bandwidth / size x {peer_share}. Low trust: the source did not tell something that matters, as
where the weights lay; those figures are shown apart and no aim is held against them. Errors go
without signs; the interval is made to hold four figures in five, and is judged by the figures
whose memory speeds were told: where one is a guess it is as wide as memories differ. More than
half of the figures of high trust come from one laptop and one workstation card, and half of the
figures that judge from the laptop, whose memory speed was not told. Of builds that ran the same,
the median is fitted on; each is judged by itself. Errors on wholly new figures may be larger."""

_SEEN: Final = """No constant was fitted on the half that judges, but its errors had been seen
when the form of the model was changed (layers by the delta rule apart, BF16 apart, devices that
overlap over a prompt, the operations of attention in writing, layers counted by their blocks, the
arithmetic rate of GeForce and professional cards on one basis, states that are scanned by their
bytes, intervals by back end). Figures that nobody here had seen before lie in both halves as all
others do:

- *255 of 35 devices.* What MLX computes of a prompt, byte-wise dot products on Pascal, the matrix
  rates of RDNA 3.5 and of GB10, and which builds' prompts are left out were settled by sources,
  after these had been missed.
- *173 of 48 devices*, most of them never seen. Writing was missed by 11 % in the middle and
  prompts by 32 % on the half of them that judges, 6 % and 17 % since the other half is fitted on,
  Apple's weights are unpacked while they are read, and M5 has the rate of its matrix units.
- *60 of 18 processors alone.* On the half of them that judges writing was missed by 14 % in the
  middle and a tenth of it by more than 93 %, 15 % and 41 % since what threads wait for each other
  counts and ARM's are a family apart.
- *71 prompts on 18 processors.* How they are worked out (cores by clock, which types go row by
  row, the vector units of ARM's cores, sockets of more than 32 cores) was settled on the half
  that is fitted on, apart from GPUs; the other half is missed by 15 % in the middle and a tenth
  of it by more than 37 %. Only ARM's interval was widened afterwards, to that of a family never
  seen: four devices were too few, and it had held four figures in eight.
- *76 of NVIDIA's cards under Vulkan and of a RX 9070 XT.* NVIDIA's are a family of CUDA's
  (`cuda:vulkan`): of three places tried it missed the least over the half that is fitted on, each
  card left out in turn. On the other half they had been missed by 30 % in writing and 55 % over a
  prompt, nearly all too slow. Their interval over prompts was widened afterwards, as ARM's: three
  cards were fitted on.
- *85 of a H200*, measured for this; no Hopper card had been fitted on before. As they were first
  told, writing was missed by 18 % in the middle and prompts by 64 % on the half of them that
  judges, 19 of 20 figures inside the interval. Fitting on the other half made it 16 % and 21 %.
  That Hopper multiplies weights of 16 bits by other instructions was taken from sources: both
  halves of CUDA's prompts are missed less by it in the middle, the four of a H100 by a build of
  May 2024 more (32 % for 12 %).
- *100 of nine models on thirteen devices*, P100 to B300 and most of them never seen. As they were
  first told, writing was missed by 16 % in the middle and a tenth of it by more than 91 % on the
  half of them that judges; 9 % and 19 % since the other half is fitted on, operations are counted
  by a layer's weights, and NVIDIA's cards with HBM unpack them by instructions. Both forms were
  chosen on the half that is fitted on, each model on a device left out in turn (median 11.5 %
  before, 8.4 % since), the second after it had been seen which of the 100 were missed. What was
  left out with them is in the README of the figures."""

_WRONG: Final = """What is still known to be wrong:

- Prompts on Turing are told twice too fast (a Tesla T4, and a RTX 2080 Ti under Vulkan).
- Older figures of RDNA 4 under Vulkan are a third slower than told. Gemma 4's mixture under
  Vulkan on RDNA 3.5 is told a fifth too slow since operations count.
- Llama 3 8B on A100 and H100 by builds of May 2024 is told 30 and 45 % faster than it was:
  today's are faster on HBM.
- On a H200, Qwen3 30B's many small experts are told a fifth too slow, and a prompt whose weights
  a virtual machine copies from its own memory two to four times too fast.
- vLLM's speeds are fitted on 21 figures, ten of them of one H200 by its version 0.26. There a
  mixture in 16 bits writes a quarter faster than told and reads prompts up to 45 % faster, and
  prompts of half a billion parameters are told two to three times too fast: the engine takes
  longer about them than the card. Mixtures on a RTX 5090 are told a quarter to a half too slow.
- Few figures of MI50 cards, of Jetson Orin and of MLX on M1 were fitted on: those that judge are
  told up to two thirds too fast, Orin's and M1's up to twice.
- SYCL on Intel's cards is told as Vulkan. 96 figures of it, no part of the record, say: writing is
  a seventh off in the middle, prompts are read at half of what is told, a mixture's at a third."""


def section() -> str:
    """Return the text and the tables."""
    found = load()
    judging = sum(row.judges for row in rows())
    said = _INTRODUCTION.format(
        all=len(rows()), fitted=len(rows()) - judging, judging=judging, peer_share=PEER_SHARE
    )
    parts = [said, _SEEN, _WRONG, _aims(found)]
    parts += [
        f"### {_NAMES[phase]}, {trust} trust\n\n{_table(found, phase, trust)}"
        for phase in _NAMES
        for trust in ("high", "low")
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def of_all(found: tuple[Judged, ...], phase: str) -> Judged:
    """Return the errors over all figures of high trust."""
    return next(one for one in found if (one.phase, one.trust, one.family) == (phase, "high", ALL))


def _aims(found: tuple[Judged, ...]) -> str:
    lines = []
    for (phase, is_seen), (median, p90) in BARS.items():
        one = of_all(found, phase)
        got = (one.median, one.p90) if is_seen else (one.unseen_median, one.unseen_p90)
        covered = one.covered if is_seen else one.unseen_covered
        name = _NAMES[phase] if is_seen else f"{_NAMES[phase]}, family never seen"
        aims = (f"{percent(median)} / {percent(p90)}", f"{percent(got[0])} / {percent(got[1])}")
        met = " and ".join(
            f"{what} {'met' if value <= aim else 'missed'}"
            for what, value, aim in (("median", got[0], median), ("p90", got[1], p90))
        )
        lines.append((name, *aims, met, _share(covered)))
    return table(("", "aim: median / p90", "found", "", "in the interval (aim: 75-90%)"), lines)


def _table(found: tuple[Judged, ...], phase: str, trust: str) -> str:
    part = [one for one in found if (one.phase, one.trust) == (phase, trust)]
    head = [*_HEAD, "never seen: median", "p90", "in the interval"]
    if phase == "decode":
        head += ["peers: median", "p90"]
    lines = []
    for one in part:
        cells = [one.family, f"{one.rows:,}", str(one.devices), percent(one.median)]
        cells += [percent(one.p90), _share(one.covered)]
        cells += [percent(one.unseen_median), percent(one.unseen_p90), _share(one.unseen_covered)]
        if one.peer_median is not None and one.peer_p90 is not None:
            cells += [percent(one.peer_median), percent(one.peer_p90)]
        lines.append(tuple(cells))
    return table(tuple(head), lines)


def _share(value: float | None) -> str:
    return "none to judge by" if value is None else percent(value)
