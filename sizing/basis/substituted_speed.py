"""The time of one written token with an answer's own numbers put in, term by term."""

from __future__ import annotations

from whatfits.sizing.speed.terms import ROW, UNPACKING, WEIGHTS, is_of_rows
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.machine import Device
    from whatfits.sizing.speed.costs import DeviceCosts
    from whatfits.sizing.speed.rates import Rates
    from whatfits.sizing.speed.terms import Term

__all__ = ["step_sum"]

_READ: Final = {"cache": "cache", "state": "states"}
_UNPACKED: Final = "unpacking weights, beyond reading them"
_COUNTED: Final = {
    "operation": "operations",
    "expert_layer": "layers with experts",
    "state_layer": "layers with a state",
    "delta_layer": "layers with a delta state",
    "token": "token",
    "hop": "changes of device",
}
_LEAST_SHARE: Final = 0.005


def step_sum(
    terms: Sequence[Term],
    devices: Sequence[Device],
    rates: Sequence[Rates],
    costs: Sequence[DeviceCosts],
) -> str:
    """Return what each term of a step takes in milliseconds, what they come to, and the rate.

    What takes less than half a percent is told together. `devices`, `rates` and `costs` go by the
    terms' numbers.
    """
    shown: dict[str, float] = {}
    for term in terms:
        seconds = term.amount * costs[term.device].of(term.costs)
        if not seconds:  # it came out as nothing when this machine was measured
            continue
        text = _term_text(term, rates[term.device], costs[term.device])
        if len({other.device for other in terms}) > 1:
            text = f"{devices[term.device].id}: {text}"
        shown[text] = shown.get(text, 0.0) + seconds
    total = sum(shown.values())
    large = {text: s for text, s in shown.items() if s >= _LEAST_SHARE * total}
    parts = [f"{text} = {_milliseconds(seconds)}" for text, seconds in large.items()]
    if rest := total - sum(large.values()):
        parts.append(f"the rest = {_milliseconds(rest)}")
    together = f"together {_milliseconds(total)} a token, {1 / total:.3g} tokens/s"
    return f"{'; '.join(parts)}; {together}"


def _term_text(term: Term, rates: Rates, costs: DeviceCosts) -> str:
    """Return what a term is: bytes over a share of the bandwidth, or so many of something.

    Bytes are in the unit of the bandwidth, and as exact as the time: they are to be divided by it.
    """
    name = term.costs[0]
    cost = costs.of(term.costs)
    if rates.bytes and (name.startswith(WEIGHTS) or name in _READ):
        size = f"{term.amount * rates.bytes / GB:.3g} GB"
        what = _READ.get(name) or f"{name.removeprefix(WEIGHTS)} weights"
        of_experts = " of experts" if "experts" in term.costs else ""
        return f"{size} {what}{of_experts} / ({1 / cost:.2f} x {rates.bytes / GB:,.0f} GB/s)"
    if is_of_rows(term):
        rows = f"{term.amount:,.0f} rows of {name.removeprefix(f'{ROW}.')}"
        return f"{rows} x {1e9 * cost:,.3g} nanoseconds"
    if name in _COUNTED:
        return f"{term.amount:,g} {_COUNTED[name]} x {1e6 * cost:,.3g} microseconds"
    if name == UNPACKING:
        return _UNPACKED
    return name.replace("_", " ").replace("decode ", "")


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:,.3g} ms"
