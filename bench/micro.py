"""llama.cpp on small synthetic models: what is timed, in which order, and what comes of it.

Medians of repeats that nobody disturbed. A step is repeated until there are enough of those, or its
time is over: then its figures are kept and marked. A model is written, loaded and deleted in turn.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from whatfits.bench.run_settings import RunSettings
from whatfits.bench.shapes import Drawn, Shape, draw, write_shape
from whatfits.bench.speed_process import LoadedModel, Step
from whatfits.bench.temporary import temporary_folder
from whatfits.sizing.errors import InvalidRequestError, ProbeError
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from whatfits.bench.timing import Timing

__all__ = [
    "CONTEXT_TOKENS",
    "DEPTH_TOKENS",
    "Measured",
    "Target",
    "Trial",
    "recorded_prompt",
    "run_trials",
    "settled",
    "trials",
]

DEPTH_TOKENS: Final = 2048
CONTEXT_TOKENS: Final = DEPTH_TOKENS + 1024
_DECODED: Final = 16
_DECODED_TINY: Final = 128  # they take as long
_DEEP: Final = Shape("deep", 1024, 24, 2816, 16, 4)
# many query heads to one of the cache: what attention computes is told from what it reads
_WIDE: Final = Shape("wide", 3072, 2, 8192, 48, 4)
_LONG: Final = Shape("long", 2048, 10, 5632, 32, 8)
# next to no weights: what a token costs beside them, which the others tell only as a difference
_TINY: Final = Shape("tiny", 256, 2, 768, 4, 1, vocabulary=1024)
_ROOM_FACTOR: Final = 3  # file in the page cache, weights, and their rearranged copy
_CLEAN_REPEATS: Final = 3
_CACHES: Final = 3  # weights are at least so many times the cache
_LEAST_WEIGHTS_BYTES: Final = 95 * MIB  # what the layers of the smallest model hold
_MOST_TIMES: Final = 8
_PATIENCE_S: Final = 6.0  # with a step that other programs disturb


@dataclass(frozen=True, slots=True)
class Target:
    """What computes.

    Attributes:
        device: id within the machine.
        name: of the device.
        llama_name: llama.cpp's name of it; None for the processor.
        threads: to compute with; llama.cpp's default is one a core.
    """

    device: str
    name: str
    llama_name: str | None
    threads: int

    @property
    def settings(self) -> RunSettings:
        """How models are loaded for it."""
        return RunSettings(
            context_tokens=CONTEXT_TOKENS,
            batch=512,
            outputs_max=1,
            gpu_layers=0 if self.llama_name is None else -1,
            devices=() if self.llama_name is None else (self.llama_name,),
        )


@dataclass(frozen=True, slots=True)
class Trial:
    """A model and what is timed with it."""

    drawn: Drawn
    steps: tuple[Step, ...]

    @property
    def context_tokens(self) -> int:
        """The context that all of its steps fit into."""
        return max(CONTEXT_TOKENS, *(step.depth + step.tokens for step in self.steps))


@dataclass(frozen=True, slots=True)
class Measured:
    """One step as it was timed.

    Attributes:
        drawn: the model.
        step: what was timed.
        timing: how long it took.
    """

    drawn: Drawn
    step: Step
    timing: Timing

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second, by the median."""
        return self.step.tokens / self.timing.median_seconds


def trials(
    *,
    threads: int,
    sweep: Sequence[int] = (),
    cache_bytes: int | None = None,
    on_accelerator: bool = False,
) -> tuple[Trial, ...]:
    """Return what is measured, the most needed first.

    Args:
        threads: to compute with.
        sweep: further counts of threads, timed with one model to be shown.
        cache_bytes: of the last level; models get more layers where it is large, so that their
            weights come from memory.
        on_accelerator: the first two times that an accelerator reads a prompt of some length it
            records what it does, to play it back from then on.
    """
    times = min(max(1, -(-_CACHES * (cache_bytes or 0) // _LEAST_WEIGHTS_BYTES)), _MOST_TIMES)
    wide, deep, long = (replace(s, layers=s.layers * times) for s in (_WIDE, _DEEP, _LONG))

    def decode(depth: int = 0, count: int = threads, tokens: int = _DECODED) -> Step:
        return Step("decode", tokens, depth, count, 5, longest_s=2.0)

    def prefill(tokens: int, depth: int = 0) -> Step:
        if on_accelerator:
            return recorded_prompt(tokens, depth)
        return Step("prefill", tokens, depth, threads, 2, longest_s=2.0)

    swept = tuple(decode(count=count) for count in sweep if count != threads)
    return (
        Trial(
            draw(wide, "Q4_K_M"),
            (
                *swept,
                decode(),
                prefill(128),
                prefill(512),
                decode(DEPTH_TOKENS),
                prefill(512, DEPTH_TOKENS),
            ),
        ),
        Trial(
            draw(deep, "Q4_K_M"),
            # two prompts: what layers pass on shows in a narrow model alone, and rests on both
            (decode(), prefill(128), prefill(512), decode(DEPTH_TOKENS)),
        ),
        Trial(draw(wide, "Q8_0"), (decode(), prefill(512), decode(DEPTH_TOKENS))),
        Trial(draw(deep, "Q8_0"), (decode(), prefill(512))),
        Trial(draw(_TINY, "Q4_K_M"), (decode(tokens=_DECODED_TINY),)),
        Trial(draw(long, "Q4_K_M"), (decode(),)),
        *(
            Trial(draw(shape, file_type), (decode(), prefill(512)))
            for file_type in ("Q6_K", "Q5_K_M", "F16", "Q4_0")
            for shape in (wide, deep)
        ),
    )


def recorded_prompt(tokens: int, depth: int = 0) -> Step:
    """Return the reading of a prompt by an accelerator, once it plays back what it recorded.

    Source: ggml/src/ggml-cuda/ggml-cuda.cu, a graph is captured when it comes a second time.
    """
    return Step("prefill", tokens, depth, 1, 4, longest_s=2.0, warm_ups=2)


def run_trials(
    target: Target,
    chosen: Sequence[Trial],
    *,
    ends_s: float,
    free_bytes: int | None,
    progress: Callable[[str], None] | None = None,
) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    """Return what was timed until the monotonic clock shows `ends_s`, and what was left out.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
    """
    found: list[Measured] = []
    notes: list[str] = []
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder())
        except InvalidRequestError as error:
            return (), (str(error),)
        for trial in chosen:
            name = trial.drawn.name
            if time.monotonic() >= ends_s:
                notes.append(f"{name}: not measured for want of time")
                continue
            if free_bytes is not None and _ROOM_FACTOR * trial.drawn.total_bytes > free_bytes:
                notes.append(f"{name}: not measured for want of memory")
                continue
            try:
                path = folder / "model.gguf"
                write_shape(path, trial.drawn)
                found.extend(_timed(target, trial, path, ends_s=ends_s, progress=progress))
            except (ProbeError, OSError) as error:
                notes.append(f"{name}: {error}")
    return tuple(found), tuple(notes)


def _timed(
    target: Target,
    trial: Trial,
    path: Path,
    *,
    ends_s: float,
    progress: Callable[[str], None] | None,
) -> Iterator[Measured]:
    on_cpu = target.llama_name is None
    room = None if not on_cpu else _ROOM_FACTOR * trial.drawn.total_bytes + 512 * MIB
    settings = replace(target.settings, context_tokens=trial.context_tokens)
    with LoadedModel(path, settings, on_cpu=on_cpu, memory_bytes=room) as model:
        for step in trial.steps:
            if time.monotonic() >= ends_s:
                return
            if progress is not None:
                deep = f" at {step.depth:,} tokens" if step.depth else ""
                progress(f"{target.device}: {trial.drawn.name}, {step.kind}{deep}")
            yield Measured(trial.drawn, step, settled(model, step, ends_s=ends_s))


def settled(model: LoadedModel, step: Step, *, ends_s: float) -> Timing:
    """Return the timing of a step with enough undisturbed repeats, or with all the tries it got.

    Raises:
        ProbeError: llama.cpp could not do it.
    """
    ends_s = min(ends_s, time.monotonic() + _PATIENCE_S)
    timing = model.time(step)
    enough = min(_CLEAN_REPEATS, step.repeats)
    while len(timing.clean) < enough and time.monotonic() < ends_s:
        timing = timing.with_more(model.time(step))
    return timing
