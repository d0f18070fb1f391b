"""What the terms of a step cost on a device: as measured here, or as public benchmarks show.

`catalog/index/efficiencies.json` is made by tests/accuracy/speed_tables.py. A cost is the inverse
of the share of a peak that is reached, or seconds. It is looked up for back end and generation, for
the back end, for all; a device that was among the benchmarks has factors of its own besides.
"""

from __future__ import annotations

from math import exp, log

from whatfits.sizing.calibration import QUANT_KINDS, quant_kind
from whatfits.sizing.catalog.index_file import read_json
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.speed.families import family_of
from whatfits.sizing.speed.terms import BARRIER, OPERATION, ROW, UNPACKING
from whatfits.sizing.speed.timed import timed_costs
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Final

    from whatfits.sizing.calibration import DeviceCalibration, MeasuredDecode
    from whatfits.sizing.machine import Device
    from whatfits.sizing.speed.rates import Rates
    from whatfits.sizing.speed.timed import Timed

__all__ = ["DeviceCosts", "Level", "costs_of", "efficiencies", "measured_costs", "read_costs"]

Level = str
"""How near the benchmarks are: `here`, `device`, `family`, `unknown` (only the back end or all)."""

_INDEX: Final = "efficiencies.json"
_LEAST_SPREAD: Final = 0.05
_ALL: Final = "all"
_PHASES: Final = ("decode", "prefill")
_PROCESSORS: Final = "cpu"
# A device that one model was seen on is missed as far as one that was never seen, by a third at the
# end of four in five; where two or more were, by a sixth (the half that is fitted on, each left
# out).
_FEWEST_MODELS: Final = 2
# Prompts of three cards were fitted on: too few to tell how far the next one is off.
_FEW_PROMPTS: Final = frozenset({"cuda:vulkan"})
# What is timed here has Llama's layers: seven matrices and two norms. Source: bench/shapes.py.
_MEASURED_OPERATIONS: Final = 9


class DeviceCosts(NamedTuple):
    """The costs of one device.

    Attributes:
        level: how near the benchmarks are.
        prompt_level: the same of those of prompts.
        table: cost by name.
        factors: what all costs of weights (`weights`) and of a prompt (`prompt`) are times.
        decode_interval: logarithms of the time's lower and upper end over its middle.
        prompt_interval: the same of a prompt.
        family: whose costs they are.
        timed: what was measured here; None where nothing was.
    """

    level: Level
    prompt_level: Level
    table: Mapping[str, float]
    factors: Mapping[str, float]
    decode_interval: tuple[float, float]
    prompt_interval: tuple[float, float]
    family: str
    timed: Timed | None = None

    def of(self, names: Iterable[str]) -> float:
        """Return the product of the costs of these names."""
        product = 1.0
        for name in names:
            if name == UNPACKING:
                continue
            group, _, type_name = name.partition(".")
            cost = self.table.get(name)
            if cost is None:  # this storage type has no cost of its own, its kind has
                cost = self._of_kind(group, quant_kind(type_name))
            product *= cost * self.factors.get(group, 1.0)
        return product

    def _of_kind(self, group: str, kind: str) -> float:
        name = f"{group}.{kind}"
        # benchmarks do not tell rows from bytes: theirs are in the cost of weights
        return self.table.get(name, 0.0) if group == ROW else self.table[name]


def efficiencies() -> dict[str, Any]:
    """Return the fitted costs as they lie in the package.

    Raises:
        CatalogError: the packaged file is missing or broken.
    """
    return read_json(_INDEX)


def costs_of(device: Device, engine: str | None = None) -> DeviceCosts:
    """Return what public benchmarks say of a device under a runtime (None: llama.cpp)."""
    return read_costs(efficiencies(), device, engine)


def read_costs(fitted: Mapping[str, Any], device: Device, engine: str | None) -> DeviceCosts:
    """Return the costs of a device out of fitted ones: the nearest family's, and its own factors.

    How a processor writes is never known for sure: memory of the same speed is read at half or nine
    tenths. What it multiplies at follows from its cores; of ARM's kinds too few were fitted on.
    """
    kind, generation = family_of(device, engine)
    families = fitted["families"]
    keys = (f"{kind}:{generation}", kind, _ALL)
    family = next(key for key in keys if key in families)
    name = f"{kind}:{device_key(device)}"
    own = fitted["devices"].get(name)
    models = fitted["models"].get(name, {}) if own else {}
    seen = fitted["figures"][family] if family == keys[0] and kind != "cpu" else {}
    level, prompt_level = (_level(phase, models, seen) for phase in _PHASES)
    if family in _FEW_PROMPTS:
        prompt_level = "unknown"
    if family == _PROCESSORS and _has_own_prompts(fitted):
        prompt_level = "family"
    levels = zip(_PHASES, (level, prompt_level), strict=True)
    intervals = (fitted["intervals"][phase][at] for phase, at in levels)
    decode, prompt = (ends.get(kind, ends[_ALL]) for ends in intervals)
    return DeviceCosts(
        level,
        prompt_level,
        families[family],
        own or {},
        (decode[0], decode[1]),
        (prompt[0], prompt[1]),
        family,
    )


def _level(phase: str, models: Mapping[str, int], seen: Mapping[str, int]) -> Level:
    """Return from where a phase is known; of several families only writing was ever measured."""
    if models.get(phase, 0) >= _FEWEST_MODELS:
        return "device"
    return "family" if seen.get(phase) else "unknown"


def _has_own_prompts(fitted: Mapping[str, Any]) -> bool:
    """Return whether prompts on processors of no other family were fitted on: those of x86."""
    counted = {name: counts.get("prefill", 0) for name, counts in fitted["figures"].items()}
    others = sum(n for name, n in counted.items() if name.startswith(f"{_PROCESSORS}:"))
    return bool(counted.get(_PROCESSORS, 0) > others)


def device_key(device: Device) -> str:
    """Return a device's name without its maker, in small letters: drivers differ in both.

    Where another back end runs it than that of its family, it has factors of its own there.
    """
    small = device.name.casefold()
    for maker in ("nvidia ", "amd ", "apple ", "intel "):
        small = small.removeprefix(maker)
    is_elsewhere = device.kind == "vulkan" and family_of(device)[0] != device.kind
    return f"{small} under {device.kind}" if is_elsewhere else small


def measured_costs(known: DeviceCosts, found: DeviceCalibration, rates: Rates) -> DeviceCosts:
    """Return costs with what was measured here in place of the family's.

    The interval is that of what was measured, at least 5 % to either side; what else a model costs
    keeps the family's.
    """
    plain = {
        name: cost * known.factors.get(name.partition(".")[0], 1.0)
        for name, cost in known.table.items()
    }
    peak_bytes, peak_flops = rates.bytes or 1.0, rates.flops or 1.0
    decode = [(r.quant_kind, r.type_name, peak_bytes / r.bytes_per_s) for r in found.decode]
    prompt = [
        (r.quant_kind, r.type_name, rates.of_kind(r.quant_kind) / r.flops_per_s)
        for r in found.prefill
    ]
    measured = {
        OPERATION: found.layer_seconds and found.layer_seconds / _MEASURED_OPERATIONS,
        "token": found.token_seconds,
        "attention": found.attention_flops_per_s and peak_flops / found.attention_flops_per_s,
    }
    if found.layer_seconds is not None:  # what its threads wait for each other is in there
        measured |= {name: 0.0 for name in plain if name.startswith(BARRIER)}
    at_depth = {"cache": found.cache_bytes_per_s}
    at_depth["decode_attention"] = found.decode_attention_flops_per_s
    if any(at_depth.values()):  # what came out as nothing is in the rate of the other
        measured |= {name: peak_bytes / rate if rate else 0.0 for name, rate in at_depth.items()}
    if prompt:  # reading weights, and what else a batch costs, are in the rates of the matrices
        passed = found.activation_bytes_per_s
        measured |= {"prompt_weights": 0.0, "prompt_layer": found.prompt_layer_seconds or 0.0}
        measured["activations"] = peak_bytes / passed if passed else 0.0
    return known._replace(
        level="here" if decode else known.level,
        prompt_level="here" if prompt else known.prompt_level,
        table=plain
        | _matrix_costs(plain, "weights", decode)
        | _matrix_costs(plain, "prompt", prompt)
        | _row_costs(found.decode)
        | {name: cost for name, cost in measured.items() if cost is not None},
        factors={},
        decode_interval=_interval([r.spread for r in found.decode], known.decode_interval),
        prompt_interval=_interval([r.spread for r in found.prefill], known.prompt_interval),
        timed=timed_costs(found, known.decode_interval, known.prompt_interval),
    )


def _matrix_costs(
    plain: Mapping[str, float], group: str, measured: Sequence[tuple[str, str | None, float]]
) -> dict[str, float]:
    """Return costs of weights or prompts out of those of (kind, storage type or None).

    A kind costs what its measured types do on the average; kinds without any are as far from what
    was known as the others on the average.
    """
    by_kind: dict[str, list[float]] = {}
    for kind, _, cost in measured:
        by_kind.setdefault(kind, []).append(log(cost))
    if not by_kind:
        return {}
    means = {f"{group}.{kind}": sum(logs) / len(logs) for kind, logs in by_kind.items()}
    shift = exp(sum(mean - log(plain[name]) for name, mean in means.items()) / len(means))
    costs = {name: cost * shift for name, cost in plain.items() if name.startswith(f"{group}.")}
    costs |= {name: exp(mean) for name, mean in means.items()}
    return costs | {f"{group}.{name}": cost for _, name, cost in measured if name is not None}


def _row_costs(measured: Sequence[MeasuredDecode]) -> dict[str, float]:
    """Return seconds a row by storage type, and by kind: the mean of its types, or of all.

    Nothing where no row was told from its bytes.
    """
    if all(rate.row_seconds is None for rate in measured):
        return {}
    told = [(rate.quant_kind, rate.type_name, rate.row_seconds or 0.0) for rate in measured]
    costs = {}
    for kind in QUANT_KINDS:
        of_kind = [seconds for other, _, seconds in told if other == kind]
        among = of_kind or [seconds for _, _, seconds in told]
        costs[f"{ROW}.{kind}"] = sum(among) / len(among)
    return costs | {f"{ROW}.{name}": seconds for _, name, seconds in told if name}


def _interval(spreads: list[float], other: tuple[float, float]) -> tuple[float, float]:
    if not spreads:
        return other
    width = log(1 + max(_LEAST_SPREAD, *spreads))
    return (-width, width)
