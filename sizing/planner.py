"""The best way to run a model: file type, then context, by a stated rule and never by a score.

Every file type is sized by the same engine as any other answer; what is chosen is what the rule
says of those figures.
"""

from __future__ import annotations

from functools import cached_property

from whatfits.sizing.estimate import RateRange, Verdict  # noqa: TC001 - read by pydantic
from whatfits.sizing.explain import short_rate
from whatfits.sizing.quants.default_type import DEFAULT_FILE_TYPE
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass
from whatfits.sizing.verdict import VERDICT_ORDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Final

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.graph.index import Replays
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = [
    "USUAL_CONTEXT_TOKENS",
    "FileTypeOption",
    "TriedType",
    "choose",
    "context_rule",
    "file_type_rule",
    "option_of",
    "other_choice",
    "try_file_types",
]

USUAL_CONTEXT_TOKENS: Final = 32_768
_NOTICEABLY: Final = 1.25  # a quarter faster is worth a word


@dataclass(frozen=True, slots=True)
class FileTypeOption:
    """A model under one file type on one machine.

    Attributes:
        file_type: its name.
        weights_bytes: bytes of weights.
        total_bytes: middle of the need.
        high_bytes: upper end of the need.
        verdict: with the context asked for.
        largest_context_tokens: longest context that runs; None when none does.
        decode_tokens_per_s: speed of writing; None when unknown, or when it does not run.
        quality_cost: what it costs in quality, in words.
    """

    file_type: str
    weights_bytes: int
    total_bytes: int
    high_bytes: int
    verdict: Verdict
    largest_context_tokens: int | None
    decode_tokens_per_s: RateRange | None
    quality_cost: str


class TriedType:
    """A model under one file type, placed as well as the machine allows: tried when it is asked.

    Attributes:
        file_type: its name.
    """

    def __init__(self, file_type: str, trials: Trials) -> None:
        """`trials` finds placements of it."""
        self.file_type = file_type
        self._trials = trials

    @cached_property
    def verdict(self) -> Verdict:
        """The best placement's, found without it where it is surely no."""
        return "no" if self._trials.is_too_large() else self.trial.judgement.verdict

    @cached_property
    def trial(self) -> Trial:
        """The best placement."""
        return self._trials.best()

    @cached_property
    def speed(self) -> Speed:
        """How fast that one is."""
        return self._trials.speed(self.trial)

    @property
    def largest_context_tokens(self) -> int | None:
        """Longest context that runs; None when none does."""
        return self._trials.largest_context(self.trial)

    @property
    def mid_tokens_per_s(self) -> float:
        """Speed of writing, the middle of the estimate; 0 when unknown."""
        rate = self.speed.decode_tokens_per_s
        return 0.0 if rate is None else rate.mid


def try_file_types(
    specs: Iterable[ModelSpec],
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    *,
    replays: Replays,
) -> tuple[TriedType, ...]:
    """Return each spec to be tried, in their order: one model under several file types.

    `replays` are those of the model.
    """
    return tuple(
        TriedType(spec.file_type or "", Trials(spec, machine, workload, request, replays=replays))
        for spec in specs
    )


def option_of(tried: TriedType, *, quality: Callable[[str], str]) -> FileTypeOption:
    """Return what is told of a file type that was tried."""
    memory = tried.trial.memory
    return FileTypeOption(
        file_type=tried.file_type,
        weights_bytes=memory.weights_bytes,
        total_bytes=memory.total_bytes,
        high_bytes=memory.high_bytes,
        verdict=tried.verdict,
        largest_context_tokens=tried.largest_context_tokens,
        decode_tokens_per_s=None if tried.verdict == "no" else tried.speed.decode_tokens_per_s,
        quality_cost=quality(tried.file_type),
    )


def choose(
    tried: Sequence[TriedType], *, usual: str | None = None, least_tokens_per_s: float | None = None
) -> tuple[TriedType, bool]:
    """Return the file type the rule chooses, and whether it is as fast as asked for.

    Of those fast enough by the middle of the estimate, the first with the best verdict: they
    come best quality first. When none is fast enough, the fastest that runs. When none runs, the
    `usual` one, as for any question that names none; else the smallest.
    """
    running = [one for one in tried if one.verdict != "no"]
    if not running:
        return next((one for one in tried if one.file_type == usual), tried[-1]), True
    if least_tokens_per_s is None:
        return min(running, key=_verdict_place), True
    quick = [one for one in running if one.mid_tokens_per_s >= least_tokens_per_s]
    if quick:
        return min(quick, key=_verdict_place), True
    return max(running, key=lambda one: one.mid_tokens_per_s), False


def _verdict_place(tried: TriedType) -> int:
    return VERDICT_ORDER[tried.verdict]


def file_type_rule(names: Sequence[str], *, least_tokens_per_s: float | None) -> str:
    """Return how the file type was chosen among those of these names, in words."""
    if len(names) == 1:
        return "File type: as given."
    speed = (
        ""
        if least_tokens_per_s is None
        else f" among those that write at least {least_tokens_per_s:g} tokens/s"
    )
    return f"File type: the best of {', '.join(names)} with the best verdict{speed}."


def other_choice(
    tried: Sequence[TriedType], chosen: TriedType, *, least_tokens_per_s: float | None
) -> str | None:
    """Return what else many would choose, and what it gains and costs; None when nothing.

    Of what fits: the next better file type that runs though a part of it spills, where it is as
    fast as asked for. Of what spills: the usual one, where that is noticeably faster.
    """
    at = tried.index(chosen)
    least = least_tokens_per_s or 0.0
    if chosen.verdict == "fits":
        better = (
            one
            for one in reversed(tried[:at])
            if one.verdict == "slow" and one.mid_tokens_per_s >= least
        )
        other = next(better, None)
        gain = "loses less quality and runs too, a part of it in slower memory"
    elif chosen.verdict == "slow":
        usual = (one for one in tried[at + 1 :] if one.file_type == DEFAULT_FILE_TYPE)
        noticed = chosen.mid_tokens_per_s * _NOTICEABLY
        smaller = (one for one in usual if one.mid_tokens_per_s > noticed)
        other, gain = next(smaller, None), "writes faster and loses more quality"
    else:
        other, gain = None, ""
    if other is None:
        return None
    rates = [one.speed.decode_tokens_per_s for one in (other, chosen)]
    there, here = map(short_rate, rates)
    speeds = "" if None in rates else f": {there} tokens/s, not {here}"
    return f"{other.file_type} {gain}{speeds} (--file-type {other.file_type})."


def context_rule(*, asked: int | None, longest: bool) -> str:
    """Return how the context was chosen, in words."""
    if asked is not None:
        return "Context: as asked for."
    if longest:
        return "Context: the longest that runs."
    return f"Context: the longest that runs, at most {USUAL_CONTEXT_TOKENS:,} tokens."
