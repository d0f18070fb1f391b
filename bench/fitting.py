"""Rates of this machine out of timings: what a byte, a layer, a token and an operation cost.

A timing is a sum of amounts times unknown costs; more timings than unknowns give the costs by
least squares of the relative error. No cost can be negative: one that comes out so is set to none
and the others are solved again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Costs", "Equation", "solved"]

_TINY: Final = 1e-12


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
        misses: of each equation, (sum - time) over time.
    """

    seconds: Mapping[str, float]
    misses: tuple[float, ...]

    def rate(self, name: str) -> float | None:
        """Return units a second; None when they came out free, or nothing tells."""
        cost = self.seconds.get(name)
        return None if cost is None else 1 / cost


def solved(equations: Sequence[Equation]) -> Costs:
    """Return the costs, none below zero, that meet the equations best.

    A cost that no equation tells apart from others is left out.
    """
    names = sorted({name for equation in equations for name in equation.amounts})
    while True:
        values = _least_squares(equations, names)
        worst = min(names, key=lambda name: values[name], default=None)
        if worst is None or values[worst] > 0:
            break
        names.remove(worst)
    return Costs(values, tuple(_miss(equation, values) for equation in equations))


def _miss(equation: Equation, values: Mapping[str, float]) -> float:
    total = sum(amount * values.get(name, 0.0) for name, amount in equation.amounts.items())
    return total / equation.seconds - 1


def _least_squares(equations: Sequence[Equation], names: list[str]) -> dict[str, float]:
    """Return the solution of the normal equations; columns are scaled to like sizes first.

    Of a column that the others already make up, nothing can be said: it becomes zero.
    """
    scales = {
        name: max(equation.amounts.get(name, 0.0) / equation.seconds for equation in equations)
        for name in names
    }
    rows = [
        [e.amounts.get(name, 0.0) / e.seconds / (scales[name] or 1.0) for name in names]
        for e in equations
    ]
    size = len(names)
    matrix = [
        [sum(row[i] * row[j] for row in rows) for j in range(size)] + [sum(row[i] for row in rows)]
        for i in range(size)
    ]
    solution = _eliminated(matrix)
    return {
        name: value / (scales[name] or 1.0) for name, value in zip(names, solution, strict=True)
    }


def _eliminated(matrix: list[list[float]]) -> list[float]:
    """Return the solution of a symmetric system, by elimination with the largest pivot first."""
    size = len(matrix)
    used: list[tuple[int, int]] = []
    left = set(range(size))
    for column in range(size):
        pivot = max(left, key=lambda row: abs(matrix[row][column]), default=None)
        if pivot is None or abs(matrix[pivot][column]) < _TINY:
            continue
        left.remove(pivot)
        used.append((pivot, column))
        for row in range(size):
            if row != pivot and matrix[row][column]:
                factor = matrix[row][column] / matrix[pivot][column]
                pairs = zip(matrix[row], matrix[pivot], strict=True)
                matrix[row] = [a - factor * b for a, b in pairs]
    solution = [0.0] * size
    for row, column in used:
        solution[column] = matrix[row][size] / matrix[row][column]
    return solution
