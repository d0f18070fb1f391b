"""A period of layers that is left out of a graph, as the allocator's steps say it would go.

Equal layers make the allocator take and give back the same, each time one period later. Of a
stretch of periods a few are replayed; where these go the same way, so would all before them. Their
steps are gone through without a graph. Addresses need not come back to what they were: a period may
keep memory for good.
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whatfits.sizing.graph.reduce import Stretch
    from whatfits.sizing.graph.steps import Mark, Step, Steps

__all__ = ["Repeat", "repeat_of"]

_OUTSIDE = -1


class Repeat(NamedTuple):
    """A period whose steps are repeated before it.

    Attributes:
        at: the period's first step.
        copies: how often it is repeated.
        steps: what a copy does; slots are counted within a window: those that come from the period
            before, then the fixed slots that a period has for itself, then those it takes.
        enters: slots that come from the period before.
        leaves: the same as they are left by a copy, counted among the slots it takes.
        own_runs: the period's own fixed slots, in runs that lie side by side.
        early: (first step, steps) of what is brought for the period before all layers; slots are
            counted within the period's own ones.
    """

    at: int
    copies: int
    steps: tuple[Step, ...]
    enters: tuple[int, ...]
    leaves: tuple[int, ...]
    own_runs: tuple[tuple[int, ...], ...]
    early: tuple[tuple[int, tuple[Step, ...]], ...]


def repeat_of(steps: Steps, stretch: Stretch, first_layer: int) -> Repeat | None:
    """Return what is left out of a stretch; None when too few of its periods were kept to tell.

    `first_layer` is the number of the first layer that is kept among those of the graph.
    """
    layers = range(first_layer, first_layer + len(stretch.layers))
    marks = [steps.marks[layer] for layer in layers if layer in steps.marks]
    if len(marks) < len(layers) or marks != sorted(marks):
        return None
    # the last layer leads over to what follows, and at times the one before it already does
    for last in (len(layers) - 1, len(layers) - 2):
        found = _repeat_before(steps, stretch, marks[: last + 1], layers)
        if found is not None:
            return found
    return None


def _repeat_before(
    steps: Steps, stretch: Stretch, marks: Sequence[Mark], layers: Sequence[int]
) -> Repeat | None:
    """Return the period that ends where the last mark is."""
    last = len(marks) - 1
    first = last - stretch.period
    alike = _alike_from(steps, marks, stretch.period)
    if alike is None:
        return None
    begin, end, known = marks[first], marks[last], marks[alike].slot
    if any(slot >= known for slot in _given_back(steps, end, marks[0], begin)):
        return None
    own = sorted(
        slot
        for slot, layer in steps.own.items()
        if layer in layers[first:last] and slot < marks[0].slot
    )
    fixed = [slot for slot in own if slot < len(steps.fixed)]
    enters = sorted(_given_back(steps, begin, marks[0], begin, end))
    leaves = [slot + end.slot - 2 * begin.slot for slot in enters]
    if any(slot < known for slot in enters) or any(slot < 0 for slot in leaves):
        return None
    if any(slot - begin.slot not in leaves for slot in _given_back(steps, end, begin, end)):
        return None
    early = list(_brought(steps, own, len(fixed)))
    if None in early:
        return None
    return Repeat(
        at=begin.step,
        copies=stretch.repeats - stretch.kept,
        steps=tuple(_within(steps, begin, end, [*enters, *own])),
        enters=tuple(enters),
        leaves=tuple(leaves),
        own_runs=tuple(_runs(fixed)),
        early=tuple(one for one in early if one is not None),
    )


def _alike_from(steps: Steps, marks: Sequence[Mark], period: int) -> int | None:
    """Return from which layer on all go like the one a period later; None when none do.

    The first layer may be another: what it starts from comes from elsewhere.
    """
    last = len(marks) - 1
    start = max(0, last - 2 * period)
    for at in range(last - period - 1, start - 1, -1):
        one, other = (
            list(_relative(steps, marks, which, named=at > 0)) for which in (at, at + period)
        )
        if one != other or (at and _loses_alike(steps, marks, at, at + period)):
            return at + 1 if at == 0 < last - period - 1 else None
    return start if start < last - period else None


def _loses_alike(steps: Steps, marks: Sequence[Mark], early: int, late: int) -> bool:
    """Return whether two layers give back the same of what lay there before: one such for each.

    What all layers read is given back once only.
    """
    lost = []
    for at in (early, late):
        part = steps.steps[marks[at].step : marks[at + 1].step]
        given = [step for step in part if len(step) > 2 and step[1] < marks[0].slot]  # noqa: PLR2004
        lost.append([(step[0], *step[2:]) for step in given if step[1] not in steps.own])
    return bool(lost[0]) and lost[0] == lost[1]


def _relative(
    steps: Steps, marks: Sequence[Mark], at: int, *, named: bool
) -> Iterator[tuple[object, ...]]:
    """Yield a layer's steps, slots counted from where it begins; earlier ones only if `named`.

    What lay there before the stretch is left out: the last layer that reads it gives it back.
    """
    begin, before = marks[at].slot, marks[0].slot
    for step in steps.steps[marks[at].step : marks[at + 1].step]:
        if len(step) == 2:  # noqa: PLR2004 - takes memory
            yield step
            continue
        arena, slot, behind, size = step
        if slot >= before:
            place = slot - begin
            yield arena, place if named else max(place, _OUTSIDE), behind, size
        elif slot in steps.own:
            yield arena, "own", behind, size
        elif not (named or at):
            yield arena, _OUTSIDE, behind, size


def _given_back(
    steps: Steps, begin: Mark, first: Mark, last: Mark, end: Mark | None = None
) -> set[int]:
    """Return which slots taken between two marks are given back from `begin` on, up to `end`."""
    part = steps.steps[begin.step : None if end is None else end.step]
    return {step[1] for step in part if len(step) > 2 and first.slot <= step[1] < last.slot}  # noqa: PLR2004


def _brought(
    steps: Steps, own: Sequence[int], n_fixed: int
) -> Iterator[tuple[int, tuple[Step, ...]] | None]:
    """Yield the steps that bring what is a period's own to a device; None among others' steps."""
    places = {slot: place for place, slot in enumerate(own)}
    takes: list[int] = []
    if n_fixed < len(own):
        takes = [at for at, step in enumerate(steps.steps) if len(step) == 2]  # noqa: PLR2004
    for run in _runs(own[n_fixed:]):
        begin, end = (takes[slot - len(steps.fixed)] for slot in (run[0], run[-1] + 1))
        part: list[Step] = []
        for step in steps.steps[begin:end]:
            if len(step) == 2:  # noqa: PLR2004 - takes memory
                part.append(step)
            elif step[1] in places:
                part.append((step[0], places[step[1]], step[2], step[3]))
            else:
                yield None
        yield begin, tuple(part)


def _within(steps: Steps, begin: Mark, end: Mark, known: Sequence[int]) -> Iterator[Step]:
    """Yield a period's steps with slots counted in its window, `known` ones first."""
    places = {slot: place for place, slot in enumerate(known)}
    shift = len(known) - begin.slot
    for step in steps.steps[begin.step : end.step]:
        if len(step) == 2:  # noqa: PLR2004 - takes memory
            yield step
            continue
        arena, slot, behind, size = step
        if slot >= begin.slot:
            yield arena, slot + shift, behind, size
        elif slot in places:
            yield arena, places[slot], behind, size


def _runs(slots: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield slots that lie side by side together."""
    run: list[int] = []
    for slot in slots:
        if run and slot != run[-1] + 1:
            yield tuple(run)
            run = []
        run.append(slot)
    if run:
        yield tuple(run)
