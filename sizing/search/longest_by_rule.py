"""The longest context of a program that decides anew for each context how it starts llama.cpp.

Ollama takes its batch and its cards from the context: what runs as it is started for one context
need not run at a longer one, nor at a shorter one that gets a larger batch.
"""

from __future__ import annotations

from functools import cache

from whatfits.sizing.trained import longest_of_use
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from whatfits.sizing.llama_program import Program
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.runtimes import Asked
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.search.trials import Trials
    from whatfits.sizing.workload import Workload

__all__ = ["longest_by_rule"]

_MOST_LOOKS: Final = 5
_STEP: Final = 256  # a cache has so many cells or a multiple


def longest_by_rule(
    program: Program, machine: Machine, workload: Workload, asked: Asked, trial: Trial
) -> int | None:
    """Return the longest context of all slots that runs as the program starts it for that one.

    As in `Trials.largest_context`, what fits entirely is asked for where `trial` does.
    """
    slots = asked.slot_contexts or 1
    trained = longest_of_use(program.spec)

    def longer(units: int) -> Workload:
        return replace(workload, context_tokens=min(units * _STEP, trained))

    @cache  # each is a whole fitting step, and ends are looked at again
    def trials_of(units: int) -> Trials:
        return program.asks(program.spec, machine, longer(units))[1]

    def holds(units: int) -> bool:
        verdict = trials_of(units).best().judgement.verdict
        return verdict == "fits" or (verdict == "slow" and trial.judgement.verdict != "fits")

    def decisions(units: int) -> object:
        adapter = program.entry.adapter()
        told = adapter.asked(program.spec, machine, longer(units), program.request)
        return told.workload.batch, told.request.devices

    most = pad(trained, _STEP) // _STEP
    # of many slots each has less than the first steps, which then are no steps, or are one
    steps = sorted({step // slots // _STEP for step in asked.context_steps})
    starts = [1, *(step + 1 for step in steps if 0 < step < most)]
    ends = [*(start - 1 for start in starts[1:]), most]
    parts = [
        part
        for low, high in zip(starts, ends, strict=True)
        for part in _parts(low, high, decisions)
    ]
    asked_units = pad(trial.settings.context_tokens // slots, _STEP) // _STEP
    for low, high in reversed(parts):
        if holds(high):
            return min(high * _STEP, trained) * slots
        trials = trials_of(low)
        longest = trials.largest_context(trials.best(trial.settings.context_tokens)) or 0
        guess = min(high, longest // slots // _STEP)  # were all placed as for the shortest of these
        if guess >= low and trial.judgement.verdict == "fits" and holds(guess):
            return guess * _STEP * slots
        known = [units for units in (asked_units, guess, low) if low <= units < high]
        good = max((units for units in known if holds(units)), default=None)
        if good is not None:
            return _closed_in(good, high, holds) * _STEP * slots
    return None


def _closed_in(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Return a number that surely holds, from `low`, which does, towards `high`, which does not.

    How far it could go is known to a 32nd of the way: each look may be a whole fitting step.
    """
    step = (high - low) // 2
    for _ in range(_MOST_LOOKS):
        low += step if step and holds(low + step) else 0
        step //= 2
    return low


def _parts(low: int, high: int, decisions: Callable[[int], object]) -> Iterator[tuple[int, int]]:
    """Yield first and last of each stretch of contexts that gets the same decisions."""
    if decisions(low) == decisions(high):
        yield low, high
        return
    middle = (low + high) // 2
    yield from _parts(low, middle, decisions)
    yield from _parts(middle + 1, high, decisions)
