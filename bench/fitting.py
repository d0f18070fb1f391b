"""Rates of this machine out of timings: what a byte, a layer, a token and an operation cost.

A timing is a sum of amounts times unknown costs; more timings than unknowns give the costs by
least squares of the relative error. No cost can be negative: one that comes out so is set to none
and the others are solved again.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final

from whatfits.sizing.named_tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Costs", "Equation", "left_out_width", "solved"]

_FOUR_IN_FIVE: Final = 1.2816  # standard deviations to either side, of a normal distribution
_TINY: Final = 1e-6  # of columns scaled to one: below, nothing tells them apart


@dataclass(frozen=True, slots=True)
class Equation:
    """One timing: the sum of amount times cost is the time.

    Attributes:
        amounts: by the name of the cost.
        seconds: that it took.
    """

    amounts: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs in seconds a unit.

    Attributes:
        seconds: by name; what came out as nothing is left out.
        width: how far four in five timings lie at most from their sums, as a share: the relative
            errors that are left, over the timings there are beyond the costs (a fit meets those it
            was made of too well). None without a timing too many.
    """

    seconds: Mapping[str, float]
    width: float | None

    def rate(self, name: str) -> float | None:
        """Return units a second; None when they came out free, or nothing tells."""
        cost = self.seconds.get(name)
        return None if cost is None else 1 / cost


def solved(equations: Sequence[Equation]) -> Costs:
    """Return the costs, none below zero, that meet the equations best.

    A cost that no equation tells apart from others is left out.
    """
    values = _not_below_zero(equations)
    surplus = len(equations) - len(values)
    if surplus < 1:
        return Costs(values, None)
    squares = sum(_miss(equation, values) ** 2 for equation in equations)
    return Costs(values, _FOUR_IN_FIVE * sqrt(squares / surplus))


def left_out_width(
    equations: Sequence[Equation], models: Sequence[str], mains: Sequence[str]
) -> float | None:
    """Return how far four in five timings of a model lie at most from sums made without it.

    This is what a sum is worth for a model that was never timed; None when no model can be left
    out, as each tells of a cost that no other one tells as well.

    Args:
        equations: the timings.
        models: whose each of them is.
        mains: the cost that most of each model's weights have.
    """
    misses: list[float] = []
    for left_out in dict.fromkeys(models):
        rows = list(zip(equations, models, mains, strict=True))
        others = [equation for equation, model, _ in rows if model != left_out]
        told = {main for _, model, main in rows if model != left_out}
        judged = [e for e, model, main in rows if model == left_out and main in told]
        if judged:
            values = _not_below_zero(others)
            misses += [_miss(equation, values) for equation in judged]
    if not misses:
        return None
    return _FOUR_IN_FIVE * sqrt(sum(miss**2 for miss in misses) / len(misses))


def _names(equations: Sequence[Equation]) -> list[str]:
    return sorted({name for equation in equations for name in equation.amounts})


def _not_below_zero(equations: Sequence[Equation]) -> dict[str, float]:
    """Return the costs that came out above zero."""
    names = _names(equations)
    while names:
        values = _least_squares(equations, names)
        worst = min(names, key=lambda name: values[name])
        if values[worst] > 0:
            return values
        names.remove(worst)
    return {}


def _miss(equation: Equation, values: Mapping[str, float]) -> float:
    total = sum(amount * values.get(name, 0.0) for name, amount in equation.amounts.items())
    return total / equation.seconds - 1


class _Scaled(NamedTuple):
    """Equations as shares of their times, each column scaled to one.

    Attributes:
        columns: equations x names.
        scales: what each column was divided by.
        told: the columns that the ones before them do not make up.
    """

    columns: NDArray[np.float64]
    scales: NDArray[np.float64]
    told: list[int]


def _scaled(equations: Sequence[Equation], names: Sequence[str]) -> _Scaled:
    import numpy as np  # noqa: PLC0415 - on use

    shares = [[e.amounts.get(name, 0.0) / e.seconds for name in names] for e in equations]
    columns = np.array(shares).reshape(len(equations), len(names))
    highest = np.max(columns, axis=0, initial=0.0)
    scales = np.where(highest > 0, highest, 1.0)
    told: list[int] = []
    for at in range(len(names)):
        if np.linalg.matrix_rank(columns[:, [*told, at]] / scales[[*told, at]], _TINY) > len(told):
            told.append(at)
    return _Scaled(columns / scales, scales, told)


def _least_squares(equations: Sequence[Equation], names: Sequence[str]) -> dict[str, float]:
    """Return the costs that make the relative errors least.

    Of a cost that the others already make up, nothing can be said: it becomes zero.
    """
    import numpy as np  # noqa: PLC0415 - as above

    columns, scales, told = _scaled(equations, names)
    found = np.linalg.lstsq(columns[:, told], np.ones(len(equations)), rcond=None)[0]
    costs = {names[at]: float(x / scales[at]) for at, x in zip(told, found, strict=True)}
    return dict.fromkeys(names, 0.0) | costs
