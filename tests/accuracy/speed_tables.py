"""The fitted costs as the package carries them, with intervals from rows that were left out.

python tests/accuracy/speed_tables.py    fit anew and write sizing/catalog/index/efficiencies.json
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from math import exp, log
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from serving_weights import FLOAT_NAMES, FLOATS, weights_cost
from speed_fit import CODE, Fit, fit
from speed_rows import rows

from whatfits.sizing.calibration import QUANT_KINDS
from whatfits.sizing.speed import timed
from whatfits.sizing.speed.costs import device_key, read_costs
from whatfits.sizing.speed.processors import BY_ROWS, MANY_CORES, WIDE
from whatfits.sizing.speed.terms import BARRIER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from speed_rows import Row

Ends = tuple[float, float]
_ByKind = dict[str, float]

__all__ = ["PATH", "fitted_tables", "predicted", "tables_of", "write"]

PATH: Final = Path(__file__).parents[2] / "sizing/catalog/index/efficiencies.json"
PHASES: Final = ("decode", "prefill")
_APART: Final = ("cpu", "vllm")  # back ends whose prompts are fitted by themselves
_FOLDS: Final = 8
_HELD: Final = 0.8  # of the figures lie within an interval
# A back end's own width counts for half with so many models on devices.
_MODELS_FOR_HALF: Final = 8
# Fewer do not tell that another of their back end is missed by less than all are.
_FEWEST_DEVICES: Final = 3
_COSTS: Final = (
    *(f"weights.{kind}" for kind in QUANT_KINDS),
    *(f"prompt.{kind}" for kind in QUANT_KINDS),
    *("experts", "cache", "state", "decode_attention", "link"),
    *("operation", "expert_layer", "state_layer", "delta_layer", "token", "hop"),
    *(f"{BARRIER}{name}" for name in ("operation", "expert_layer", "state_layer", "delta_layer")),
    *("prompt_experts", "prompt_weights", "attention", "activations"),
    *("prompt_state", "pipeline_loss", BY_ROWS, WIDE, MANY_CORES),
    *("prompt_layer", "prompt_expert_layer", "prompt_state_layer", "prompt_delta_layer"),
)
_NO_INTERVALS: Final = {
    phase: {level: {"all": (0.0, 0.0)} for level in ("device", "family", "unknown")}
    for phase in PHASES
}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def tables_of(
    fitted: Fit, used: Sequence[Row], intervals: dict[str, Any] = _NO_INTERVALS
) -> dict[str, Any]:
    """Return the costs of every family among `used`, of every back end and of all."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    models: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    names: set[tuple[str, ...]] = {()}
    for row in used:
        models[f"{row.kind}:{device_key(row.devices[0])}"][row.phase].add(row.model)
        family = tuple(row.family.split(":"))
        for part in (family, family[:1], ()):
            names.add(part)
            counted[":".join(part) or "all"][row.phase] += 1
    names.add(("cpu",))
    families = {}
    for name in sorted(names):
        kind, generation = (*name, "", None)[0], name[1] if len(name) > 1 else None
        families[":".join(name) or "all"] = {
            cost: _rounded(fitted.cost(cost, kind=kind, generation=generation)) for cost in _COSTS
        }
    return {
        "source": "tests/recorded/field_speed, the half of it that does not judge",
        "made_by": CODE,
        "figures": {name: dict(sorted(counts.items())) for name, counts in sorted(counted.items())},
        "families": families,
        "devices": {
            f"{kind}:{device}": {name: _rounded(value) for name, value in sorted(factors.items())}
            for (kind, device), factors in sorted(fitted.devices.items())
        },
        "models": {
            name: {phase: len(found) for phase, found in sorted(by_phase.items())}
            for name, by_phase in sorted(models.items())
            if not name.startswith("cpu:")  # none has factors of its own
        },
        "intervals": intervals,
    }


def predicted(row: Row, tables: dict[str, Any]) -> tuple[float, float, float]:
    """Return tokens a second by some tables: low, middle and high."""
    costs = [read_costs(tables, device, row.engine) for device in row.devices]
    host = len(costs) - 1 if row.host_is_guessed else None
    time = timed(row.terms, costs, decoding=row.phase == "decode", host=host)
    rate = time.rate()
    return rate.low, 1 / time.seconds, rate.high


def _left_out(used: Sequence[Row], group: Callable[[Row], str]) -> list[float]:
    """Return log(true time / predicted) of each row, by a fit without the rows of its group."""
    misses = [0.0] * len(used)
    for left in sorted({group(row) for row in used}):
        kept = [row for row in used if group(row) != left]
        tables = tables_of(fit(kept), kept)
        for index, row in enumerate(used):
            if group(row) == left:
                misses[index] = log(predicted(row, tables)[1] / row.tokens_per_s)
    return misses


def _fold(row: Row) -> str:
    """Return one of a few folds: a model on a device lies in one of them."""
    return str(sum(f"{row.device}|{row.model}".encode()) % _FOLDS)


def _quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    order = np.argsort(values)
    running = np.cumsum(np.array(weights)[order]) / sum(weights)
    return float(np.array(values)[order][np.searchsorted(running, share)])


def _scales(part: Sequence[Row], misses: Sequence[float], weights: Sequence[float]) -> _ByKind:
    """Return by back end how far it is missed against all; of few models, nearer to one."""
    found: _ByKind = {}
    of_all = _quantile(np.abs(misses).tolist(), weights, _HELD)
    for kind in sorted({row.kind for row in part}):
        own = [i for i, row in enumerate(part) if row.kind == kind]
        far = _quantile([abs(misses[i]) for i in own], [weights[i] for i in own], _HELD)
        count = len({(part[i].device, part[i].model) for i in own})
        scale = exp(log(far / of_all) * count / (count + _MODELS_FOR_HALF))
        is_few = len({part[i].device for i in own}) < _FEWEST_DEVICES
        found[kind] = max(scale, 1.0) if is_few else scale
    return found


def _weights(part: Sequence[Row], level: str) -> list[float]:
    """Return how much each figure counts for the width of a level.

    A model on a device counts as the root of its figures. Where a whole device or family was left
    out, all of its figures are off by much the same: each counts as one.
    """
    if level == "device":
        of_models = Counter((row.device, row.model) for row in part)
        return [of_models[row.device, row.model] ** -0.5 for row in part]
    left_out = [row.device if level == "family" else row.family for row in part]
    counts = Counter(left_out)
    return [1 / counts[name] for name in left_out]


def _ends(part: Sequence[Row], misses: Sequence[float], level: str) -> dict[str, Ends]:
    """Return by back end, and for all others, the ends between which four in five lie.

    One shape for all, wider or narrower.
    """
    weights = _weights(part, level)
    scales = _scales(part, misses, weights)
    scaled = [miss / scales[row.kind] for row, miss in zip(part, misses, strict=True)]
    low, high = (_quantile(scaled, weights, (1 + side * _HELD) / 2) for side in (-1, 1))
    return {
        kind: (_rounded(min(low * scale, 0.0)), _rounded(max(high * scale, 0.0)))
        for kind, scale in (("all", 1.0), *scales.items())
    }


def _wider(ends: Mapping[str, Ends], least: Mapping[str, Ends]) -> dict[str, Ends]:
    return {
        kind: (min(low, least[kind][0]), max(high, least[kind][1]))
        for kind, (low, high) in ends.items()
    }


def _intervals(used: Sequence[Row]) -> dict[str, Any]:
    """Return the ends by phase, for what is near and for what is further away.

    Near: other models on the same device were fitted on. Family: another device of it. Unknown:
    no device of the family. What is further away is no narrower. Where a host works whose memory
    is a guess, that guess is off, not the device. Prompts under vLLM, of one card, take the ends of
    all others.
    """
    written, by_gpus, by_processors = (_levels(part) for part in _parts(used)[: len(PHASES) + 1])
    for level, ends in by_processors.items():
        by_gpus[level]["cpu"] = ends["all"]
    return dict(zip(PHASES, (written, by_gpus), strict=True))


def _levels(part: Sequence[Row]) -> dict[str, dict[str, Ends]]:
    """Return the ends of figures that are fitted together, by level."""
    good = [i for i, row in enumerate(part) if row.trust == "high" and not row.host_is_guessed]
    groups = {"device": _fold, "family": lambda row: row.device, "unknown": lambda row: row.family}
    levels: dict[str, dict[str, Ends]] = {}
    for level, group in groups.items():
        misses = _left_out(part, group)
        ends = _ends([part[i] for i in good], [misses[i] for i in good], level)
        levels[level] = _wider(ends, list(levels.values())[-1]) if levels else ends
    return levels


def _parts(used: Sequence[Row]) -> tuple[list[Row], ...]:
    """Return what is fitted by itself: writing, prompts, and prompts of each of `_APART`.

    Those run other kernels: what one costs more there tells nothing of the rest.
    """
    prompts = [row for row in used if row.phase == "prefill"]
    return (
        [row for row in used if row.phase == "decode"],
        [row for row in prompts if row.kind not in _APART],
        *([row for row in prompts if row.kind == kind] for kind in _APART),
    )


def _joined(written: Fit, by_gpus: Fit, *apart: Fit) -> Fit:
    """Return one fit of all; what was fitted by itself is of that kind alone."""
    joined = Fit({**written.values, **by_gpus.values})
    deeper = {}
    for kind, fitted in zip(_APART, apart, strict=True):
        own = fitted.values
        for name in sorted({key[0] for key in own}):
            level = fitted.of((name,)) + own.get((name, kind), 0.0)
            joined.values[name, kind] = level - joined.of((name,))
        deeper |= {key: value for key, value in own.items() if key[1:2] == (kind,) and key[2:]}
    return Fit(joined.values | deeper)


def fitted_tables(
    *, without: str | None = None, intervals: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the tables fitted on the half that does not judge.

    `without` leaves a family out, as if no device of it had been seen; empty `intervals` are of no
    width.
    """
    used = [row for row in rows() if not row.judges and row.family != without]
    joined = _joined(*(fit(part) if part else Fit() for part in _parts(used)))
    widths = _intervals(used) if intervals is None else intervals or _NO_INTERVALS
    tables = tables_of(joined, used, widths)
    return _with_vllm_floats(tables, seen={row.family for row in used if _is_of_floats(row)})


def _is_of_floats(row: Row) -> bool:
    """Whether it is of writing with weights of 16 bits alone."""
    read = {name for term in row.terms for name in term.costs if name.startswith("weights.")}
    return row.phase == "decode" and bool(read) and read <= set(FLOAT_NAMES)


def _with_vllm_floats(tables: dict[str, Any], *, seen: set[str]) -> dict[str, Any]:
    """Return the same with what servers showed of weights of 16 bits under vLLM.

    Generations that were `seen` with such weights keep what those figures showed.
    """
    cost = weights_cost(tables)
    tables["source"] += "; weights of 16 bits under vLLM: tests/recorded/serving, likewise"
    for name, costs in tables["families"].items():
        if name.partition(":")[0] == "vllm" and name not in seen:
            costs.update(dict.fromkeys(FLOATS, cost))
    return tables


def write() -> None:
    """Fit anew and write the file."""
    PATH.write_text(json.dumps(fitted_tables(), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    write()
