"""Fits the costs of speed on half of the recorded figures: sizing/catalog/index/efficiencies.json.

The logarithm of each time is compared with that of its terms. A cost is a value for all, a
deviation of the back end, of the generation and, for weights and prompts, of the device; each is
held to zero by a prior of stated width, so that a cell with few rows borrows from what is above
it. Figures far off count less the further they are (Cauchy weights), those of low trust a third,
and the many rows of one model on one device as the root of their number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from math import exp, log
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from whatfits.sizing.calibration import QUANT_KINDS, quant_kind
from whatfits.sizing.speed.costs import device_key
from whatfits.sizing.speed.families import family_of
from whatfits.sizing.speed.processors import BY_ROWS, MANY_CORES, WIDE
from whatfits.sizing.speed.terms import UNPACKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from speed_rows import Row

__all__ = ["CODE", "Fit", "fit"]

CODE: Final = "tests/accuracy/speed_tables.py"


class Prior(NamedTuple):
    """Where a cost is expected, and how far each level may be from the one above (logarithms)."""

    middle: float
    base: float
    kind: float
    generation: float
    device: float = 0.0


_SECONDS: Final = {
    "operation": 6.7e-6,
    "expert_layer": 60e-6,
    "state_layer": 40e-6,
    "delta_layer": 60e-6,
    "token": 300e-6,
    "hop": 30e-6,
    "prompt_layer": 100e-6,
    "prompt_expert_layer": 100e-6,
    "prompt_state_layer": 100e-6,
    "prompt_delta_layer": 100e-6,
}
_NODES: Final = {"operation": 3, "expert_layer": 12, "state_layer": 12, "delta_layer": 25}
_PRIORS: Final = {
    "experts": Prior(1.4, 0.4, 0.4, 0.3),
    "cache": Prior(1.5, 0.5, 0.4, 0.3),
    # of three tried, the best over the half that is fitted on, each model left out in turn
    "state": Prior(8.0, 1.0, 0.4, 0.3),
    "activations": Prior(40.0, 1.0, 0.5, 0.4),
    "prompt_weights": Prior(1.4, 0.4, 0.3, 0.2),
    "link": Prior(1.25, 0.3, 0.4, 0.3),
    "prompt_experts": Prior(1.6, 0.5, 0.4, 0.3),
    BY_ROWS: Prior(1.5, 0.4, 0.3, 0.3),
    WIDE: Prior(0.75, 0.3, 0.2, 0.2),
    MANY_CORES: Prior(1.5, 0.3, 0.2, 0.2),
    "attention": Prior(3.0, 1.0, 0.4, 0.3),
    "decode_attention": Prior(0.1, 1.5, 0.4, 0.3),
    "pipeline_loss": Prior(0.4, 0.7, 0.4, 0.3),
    "prompt_state": Prior(5.0, 1.5, 0.4, 0.3),
    "weights": Prior(1 / 0.75, 0.4, 0.35, 0.2, 0.08),
    "prompt": Prior(1 / 0.45, 0.7, 0.6, 0.5, 0.25),
    **{name: Prior(value, 1.0, 0.5, 0.4) for name, value in _SECONDS.items()},
    # a tenth of a microsecond a thread and operation: adding to what another core just wrote
    **{f"barrier_{name}": Prior(count * 1e-7, 1.0, 0.5, 0.4) for name, count in _NODES.items()},
}
_PRIOR_OF_KIND: Final = {"weights": Prior(1.0, 0.2, 0.15, 0.1), "prompt": Prior(1.0, 0.4, 0.3, 0.2)}
_NOISE: Final = {"decode": 0.08, "prefill": 0.2}  # of good figures, as logarithms
_LOW_TRUST: Final = 0.3
_STEPS: Final = 14
_LARGEST_STEP: Final = 0.7
_SETTLED: Final = 0.002

Key = tuple[str, ...]


def _prior(cost: str) -> Prior:
    group, dot, _ = cost.partition(".")
    return _PRIOR_OF_KIND[group] if dot else _PRIORS[cost]


def _keys(cost: str, kind: str, generation: str | None, device: str) -> Iterator[tuple[Key, float]]:
    """Yield the parameters a cost is made of, with the width of each prior.

    Storage types whose kernels unpack alike share theirs: few were timed by themselves.
    """
    if cost == UNPACKING:
        return
    group, dot, type_name = cost.partition(".")
    kind_name = type_name if type_name in QUANT_KINDS else quant_kind(type_name)
    for name in (group, f"{group}.{kind_name}") if dot else (cost,):
        prior = _prior(name)
        yield (name,), prior.base
        yield (name, kind), prior.kind
        if generation is not None:
            yield (name, kind, generation), prior.generation
        if prior.device and kind != "cpu":
            yield (name, kind, generation or "", device), prior.device


@dataclass
class Fit:
    """Fitted parameters by key; what was not seen is zero, or its prior's middle at the top."""

    values: dict[Key, float] = field(default_factory=dict)

    def cost(self, cost: str, *, kind: str = "", generation: str | None = None) -> float:
        """Return a cost of a back end and generation, the device's own factor left out."""
        keys = (key for key, _ in _keys(cost, kind, generation, ""))
        return exp(sum(self.of(key) for key in keys if len(key) < 4))

    def of(self, key: Key) -> float:
        """Return one parameter, a logarithm."""
        return self.values.get(key, log(_prior(key[0]).middle) if len(key) == 1 else 0.0)

    @cached_property
    def devices(self) -> dict[tuple[str, str], dict[str, float]]:
        """Factors of the devices that were seen, by (back end, name)."""
        found: dict[tuple[str, str], dict[str, float]] = {}
        for key, value in self.values.items():
            if len(key) == 4:
                found.setdefault((key[1], key[3]), {})[key[0]] = exp(value)
        return found


class _System:
    """The terms of rows as flat arrays, and the parameters they multiply with."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.ids: dict[Key, int] = {}
        middles: list[float] = []
        widths: list[float] = []
        term_rows: list[int] = []
        amounts: list[float] = []
        pair_terms: list[int] = []
        pair_ids: list[int] = []
        for index, row in enumerate(rows):
            for term in row.terms:
                device = row.devices[term.device]
                kind, generation = family_of(device, row.engine)
                for cost in term.costs:
                    for key, width in _keys(cost, kind, generation, device_key(device)):
                        if key not in self.ids:
                            self.ids[key] = len(middles)
                            middles.append(log(_prior(key[0]).middle) if len(key) == 1 else 0.0)
                            widths.append(width)
                        pair_terms.append(len(amounts))
                        pair_ids.append(self.ids[key])
                term_rows.append(index)
                amounts.append(term.amount)
        self.count = len(rows)
        self.middle, self.width = np.array(middles), np.array(widths)
        self.term_rows, self.amounts = np.array(term_rows), np.array(amounts)
        self.pair_terms, self.pair_ids = np.array(pair_terms), np.array(pair_ids)

    def evaluate(self, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the logarithm of each row's time, and its derivatives."""
        exponent = np.bincount(self.pair_terms, values[self.pair_ids], len(self.amounts))
        seconds = self.amounts * np.exp(exponent)
        total = np.bincount(self.term_rows, seconds, self.count)
        shares = seconds / total[self.term_rows]
        slopes = np.zeros((self.count, len(values)))
        where = (self.term_rows[self.pair_terms], self.pair_ids)
        np.add.at(slopes, where, shares[self.pair_terms])
        return np.log(total), slopes


def _typical(rows: Sequence[Row]) -> list[float]:
    """Return of each row the median speed of all that ran the same: builds of a runtime differ."""
    same: defaultdict[tuple[object, ...], list[float]] = defaultdict(list)
    for row in rows:
        same[row.device, row.engine, row.trust, row.terms].append(row.tokens_per_s)
    return [median(same[row.device, row.engine, row.trust, row.terms]) for row in rows]


def fit(rows: Sequence[Row]) -> Fit:
    """Return the most likely costs: Gauss-Newton steps on the weighted squares and the priors."""
    system = _System(rows)
    truth = np.array([-log(rate) for rate in _typical(rows)])
    noise = np.array([_NOISE[row.phase] for row in rows])
    counts = Counter((row.device, row.model, row.phase) for row in rows)
    weight = np.array(
        [
            (1.0 if row.trust == "high" else _LOW_TRUST)
            / counts[row.device, row.model, row.phase] ** 0.5
            for row in rows
        ]
    )
    values = system.middle.copy()
    for _ in range(_STEPS):
        predicted, slopes = system.evaluate(values)
        miss = truth - predicted
        weights = weight / noise**2 / (1 + (miss / (2 * noise)) ** 2)
        curvature = slopes.T @ (weights[:, None] * slopes) + np.diag(1 / system.width**2)
        pull = slopes.T @ (weights * miss) - (values - system.middle) / system.width**2
        step = np.clip(np.linalg.solve(curvature, pull), -_LARGEST_STEP, _LARGEST_STEP)
        values = values + step
        if np.abs(step).max() < _SETTLED:
            break
    return Fit({key: float(values[index]) for key, index in system.ids.items()})
