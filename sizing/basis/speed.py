"""Why a speed is what it is: the terms, what they cost on each device, and how wrong it may be."""

from __future__ import annotations

from math import exp

from whatfits.sizing.basis.substituted_speed import step_sum
from whatfits.sizing.estimate import Basis
from whatfits.sizing.speed import SPEED_SOURCE, device_costs, rounded
from whatfits.sizing.speed.processors import BY_ROWS, WIDE
from whatfits.sizing.speed.rates import peak_rates
from whatfits.sizing.speed.terms import OPERATION, ROW
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.speed.costs import DeviceCosts
    from whatfits.sizing.speed.rates import Rates
    from whatfits.sizing.speed.terms import Term

__all__ = ["speed_basis"]

_LEVELS: Final = {
    "here": "measured on this machine",
    "device": "benchmarks of the same device elsewhere",
    "family": "benchmarks of other devices of its family",
    "unknown": "few or no devices of its family were among the benchmarks",
}
_DECODE: Final = (
    "1 / (sum over devices of weights read / (share x bandwidth) + what unpacking them takes "
    "beyond that where memory is fast beside the shaders + cache and states at this depth / (share "
    "x bandwidth) + operations, one a weight of a layer, x seconds + layers with experts or states "
    "x seconds + changes of device x seconds + seconds a token + on a processor operations x "
    "threads x seconds, and rows of matrices x seconds where they were measured)"
)
_PROMPT: Final = (
    "tokens / (operations of weights / (share x arithmetic rate) + operations of attention / "
    "(share x arithmetic rate) + activations that layers pass on / (share x bandwidth) + a "
    "micro-batch each: weights read, those on the host copied over the link, layers x seconds); a "
    "processor's rate is cores x clock x operations a cycle, and types it multiplies row by row "
    "cost more"
)
_SHOWN: Final = ("experts", "cache")


def speed_basis(
    speed: Speed | None,
    devices: Sequence[Device],
    machine: Machine,
    engine: str | None = None,
    *,
    step: Callable[[Sequence[Rates]], Sequence[Term]] | None = None,
    prompt_layers: str | None = None,
) -> tuple[Basis, ...]:
    """Return why the rates of an answer are what they are; nothing for what is not told.

    `devices` are those that may work, the host last. `step` returns the terms of writing one token
    at the devices' peak rates. `prompt_layers` says which layers a prompt goes through where that
    is not all of them.
    """
    if speed is None:
        return ()
    rates = peak_rates(devices, machine, engine)
    costs = device_costs(devices, machine, engine, rates)
    found = []
    if speed.decode_tokens_per_s is not None:
        found.append(
            Basis(
                key="speed.decode_tokens_per_s",
                formula=_DECODE,
                inputs={
                    device.id: _decode_inputs(rate, cost)
                    for device, rate, cost in zip(devices, rates, costs, strict=True)
                },
                source=_source(machine, costs),
                error=_error(costs, decoding=True),
                substituted=None if step is None else step_sum(step(rates), devices, rates, costs),
            )
        )
    if speed.prefill_tokens_per_s is not None:
        found.append(
            Basis(
                key="speed.prefill_tokens_per_s",
                formula=f"{_PROMPT}; {prompt_layers}" if prompt_layers else _PROMPT,
                inputs={
                    device.id: _prompt_inputs(rate, cost)
                    for device, rate, cost in zip(devices, rates, costs, strict=True)
                    if rate.flops
                },
                source=_source(machine, costs),
                error=_error(costs, decoding=False),
            )
        )
    if speed.speculative_tokens_per_s is not None:
        found.append(_drafts())
    if speed.energy_per_million_tokens_kwh is not None:
        found.append(_energy(devices))
    return tuple(found)


def _drafts() -> Basis:
    return Basis(
        key="speed.speculative_tokens_per_s",
        formula="(1 - a^(n+1)) / (1 - a) tokens / (n x a step of the draft model + a step of this "
        "one over n + 1 tokens)",
        inputs={"accepted": {"low": 0.5, "mid": 0.7, "high": 0.85}},
        source="Leviathan et al., Fast Inference from Transformers via Speculative Decoding (2023)",
        error="the share of drafts that is accepted is assumed: it depends on models and text",
    )


def _energy(devices: Sequence[Device]) -> Basis:
    return Basis(
        key="speed.energy_per_million_tokens_kwh",
        formula=(
            "sum over accelerators of power limit x seconds at work for a million tokens / 3.6e6"
        ),
        inputs={d.id: d.power_watts for d in devices if d.power_watts is not None},
        source="power limits as published, from the catalog of devices",
        error="decoding rarely draws the whole limit; what waiting accelerators draw, and the rest "
        "of the computer, is not counted",
    )


def _source(machine: Machine, costs: Sequence[DeviceCosts]) -> str:
    if machine.calibration is None or all(cost.timed is None for cost in costs):
        return SPEED_SOURCE
    return f"measured on this machine at {machine.calibration.measured_at}; else {SPEED_SOURCE}"


def _decode_inputs(rates: Rates, costs: DeviceCosts) -> dict[str, Any]:
    """Return bandwidth, the shares of it that are reached, and the constants in microseconds."""
    inputs: dict[str, Any] = {
        "bandwidth_bytes_per_s": rates.bytes,
        "family": costs.family,
        "known_from": _LEVELS[costs.level],
        **_measured_types(costs, "weights"),
    }
    kinds = [name for name in costs.table if name.startswith("weights.")]
    for name in (*kinds, *_SHOWN):
        inputs[f"share_{name.replace('.', '_')}"] = _share(costs, name)
    if rates.unpacking is not None:
        inputs["unpacking_operations_per_s"] = rates.unpacking.per_s
        for name, count in rates.unpacking.counts.items():
            inputs[f"unpacking_operations_{name}"] = count
    for name in (OPERATION, "hop", "token"):
        inputs[f"{name}_microseconds"] = rounded(1e6 * costs.of((name,)))
    for name in (name for name in costs.table if name.startswith(f"{ROW}.")):
        inputs[f"{name.replace('.', '_')}_nanoseconds"] = rounded(1e9 * costs.of((name,)))
    return inputs


def _prompt_inputs(rates: Rates, costs: DeviceCosts) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "flops_per_s": rates.flops,
        "bandwidth_bytes_per_s": rates.bytes,
        "link_bytes_per_s": rates.link_bytes,
        "family": costs.family,
        "known_from": _LEVELS[costs.prompt_level],
        **_measured_types(costs, "prompt"),
    }
    if rates.integer_flops:
        inputs["quantised_flops_per_s"] = rates.integer_flops
    if rates.float_flops:
        inputs["float_flops_per_s"] = rates.float_flops
    for name, flops in (rates.products or {}).items():
        inputs[f"{name.lower()}_flops_per_s"] = flops
    if rates.processor is not None:
        inputs["kernels"] = rates.processor.kernels
        for name in (BY_ROWS, WIDE, *rates.processor.slowed_by):
            inputs[f"share_{name}"] = _share(costs, name)
    kinds = [name for name in costs.table if name.startswith("prompt.")]
    for name in (*kinds, "prompt_experts", "attention", "activations", "link"):
        inputs[f"share_{name.replace('.', '_')}"] = _share(costs, name)
    return inputs


def _measured_types(costs: DeviceCosts, group: str) -> dict[str, str]:
    """Return the storage types, or kinds of them, that were measured: the rest is not."""
    if costs.timed is None:
        return {}
    names = (name.partition(".") for name in costs.timed.names)
    found = sorted(of for its, _, of in names if its == group)
    return {"measured_types": ", ".join(found)} if found else {}


def _share(costs: DeviceCosts, name: str) -> float | None:
    """Return the share of the peak that is reached; None where it costs nothing by itself."""
    cost = costs.of((name,))
    return rounded(1 / cost) if cost else None


def _error(costs: Sequence[DeviceCosts], *, decoding: bool) -> str:
    """Return in words what the interval means for the device that is known least."""
    order = tuple(_LEVELS)
    levels = [cost.level if decoding else cost.prompt_level for cost in costs[:-1] or costs]
    worst = max(levels, key=order.index)
    found = costs[levels.index(worst)]
    low, high = found.decode_interval if decoding else found.prompt_interval
    told = f"the time is {exp(low):.2f} to {exp(high):.2f} times what is told"
    if found.timed is not None and worst == order[0] and len(costs) > 1:
        low, high = found.timed.decode_interval if decoding else found.timed.prompt_interval
        told += (
            f", and {exp(low):.2f} to {exp(high):.2f} times where a tenth of it or more was not "
            "timed, as experts, states and other storage types"
        )
    return f"four in five figures lie within the interval ({_LEVELS[worst]}: {told})"
