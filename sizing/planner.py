"""The best way to run a model: file type, then context, by a stated rule and never by a score.

Every file type is sized by the same engine as any other answer; what is chosen is what the rule
says of those figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.estimate import RateRange, Verdict  # noqa: TC001 - read by pydantic
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.quants.default_type import LADDER
from whatfits.sizing.search import Trials
from whatfits.sizing.values import dataclass
from whatfits.sizing.verdict import VERDICT_ORDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = [
    "USUAL_CONTEXT_TOKENS",
    "FileTypeOption",
    "choose",
    "context_rule",
    "file_type_options",
    "file_type_rule",
]

USUAL_CONTEXT_TOKENS: Final = 32_768


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
        decode_tokens_per_s: speed of writing; None when unknown.
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


def file_type_options(
    specs: Iterable[ModelSpec],
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    *,
    quality: Callable[[str], str],
) -> list[FileTypeOption]:
    """Return one option a spec, in their order: one model under several file types.

    Raises:
        InvalidRequestError: a value of the request is out of range.
    """
    replays = Replays()
    found = []
    for spec in specs:
        trials = Trials(spec, machine, workload, request, replays=replays)
        trial = trials.best()
        speed = trials.speed(trial)
        name = spec.file_type or ""
        found.append(
            FileTypeOption(
                file_type=name,
                weights_bytes=trial.memory.weights_bytes,
                total_bytes=trial.memory.total_bytes,
                high_bytes=trial.memory.high_bytes,
                verdict=trial.judgement.verdict,
                largest_context_tokens=trials.largest_context(trial),
                decode_tokens_per_s=speed.decode_tokens_per_s,
                quality_cost=quality(name),
            )
        )
    return found


def choose(
    options: Sequence[FileTypeOption], *, least_tokens_per_s: float | None = None
) -> tuple[FileTypeOption, bool]:
    """Return the option the rule chooses, and whether it is as fast as asked for.

    Of those fast enough by the middle of the estimate, the first with the best verdict: options
    come best quality first. When none is fast enough, the fastest.
    """
    if least_tokens_per_s is None:
        return min(options, key=lambda option: VERDICT_ORDER[option.verdict]), True
    quick = [option for option in options if _rate(option) >= least_tokens_per_s]
    if quick:
        return min(quick, key=lambda option: VERDICT_ORDER[option.verdict]), True
    return max(options, key=_rate), False


def _rate(option: FileTypeOption) -> float:
    return 0.0 if option.decode_tokens_per_s is None else option.decode_tokens_per_s.mid


def file_type_rule(*, is_free: bool, least_tokens_per_s: float | None) -> str:
    """Return how the file type was chosen, in words."""
    if not is_free:
        return "File type: as given."
    speed = (
        ""
        if least_tokens_per_s is None
        else f" among those that write at least {least_tokens_per_s:g} tokens/s"
    )
    return f"File type: the best of {', '.join(LADDER)} with the best verdict{speed}."


def context_rule(*, asked: int | None, longest: bool) -> str:
    """Return how the context was chosen, in words."""
    if asked is not None:
        return "Context: as asked for."
    if longest:
        return "Context: the longest that runs."
    return f"Context: the longest that runs, at most {USUAL_CONTEXT_TOKENS:,} tokens."
