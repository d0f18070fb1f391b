"""Which parts of a step's time were measured here, and how far off the rest may be.

`bench` times dense models of some storage types. What a model has besides (experts, states, another
type) costs what benchmarks say of the device's family, and is as uncertain as there.
"""

from __future__ import annotations

from whatfits.sizing.calibration import QUANT_KINDS, quant_kind
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.speed.terms import BARRIER, OPERATION, UNPACKING, WEIGHTS
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

    from whatfits.sizing.calibration import DeviceCalibration, MeasuredDecode, MeasuredPrefill
    from whatfits.sizing.speed.costs import DeviceCosts
    from whatfits.sizing.speed.terms import Term

__all__ = ["Timed", "timed_costs", "untimed_seconds", "untimed_weights", "wider"]

_DECODE: Final = "weights"
_PROMPT: Final = "prompt"
_MARKS: Final = (UNPACKING, BARRIER)  # no costs of their own, or within an operation's
_FEW: Final = 0.1  # of a time, or of the weights
_SMALL: Final = ("F32",)  # norms and routers: next to nothing of any model


class Timed(NamedTuple):
    """What was measured of a device.

    Attributes:
        names: of costs; `weights.` and `prompt.` with a storage type, or with a kind of them
            where one rate stands for the kind.
        decode_interval: of the family, which holds for the rest of a token's time.
        prompt_interval: the same of a prompt.
    """

    names: frozenset[str]
    decode_interval: tuple[float, float]
    prompt_interval: tuple[float, float]

    def covers(self, costs: Iterable[str]) -> bool:
        """Whether each of these costs was measured."""
        return all(self.covers_name(name) for name in costs)

    def covers_kind(self, name: str) -> bool:
        """Whether a type that unpacks like this one's was measured."""
        group, _, type_name = name.partition(".")
        kind = quant_kind(type_name)
        timed = (one.partition(".") for one in self.names)
        kinds = {quant_kind(of) for its, _, of in timed if its == group and of not in QUANT_KINDS}
        return self.covers_name(name) or kind in kinds

    def covers_name(self, name: str) -> bool:
        """Whether this cost was measured."""
        if name in self.names or name.startswith(_MARKS):
            return True
        group, _, type_name = name.partition(".")
        return type_name in _SMALL or f"{group}.{quant_kind(type_name)}" in self.names


def timed_costs(
    found: DeviceCalibration,
    decode_interval: tuple[float, float],
    prompt_interval: tuple[float, float],
) -> Timed:
    """Return what a calibration has measured, with the intervals of the device's family."""
    names = {*_types(_DECODE, found.decode), *_types(_PROMPT, found.prefill)}
    if found.layer_seconds is not None:
        names |= {OPERATION, "token"}
    if found.cache_bytes_per_s or found.decode_attention_flops_per_s:
        names |= {"cache", "decode_attention"}
    if found.prefill:
        names |= {"prompt_weights", "prompt_layer", "activations"}
    if found.attention_flops_per_s:
        names.add("attention")
    return Timed(frozenset(names), decode_interval, prompt_interval)


def _types(group: str, rates: Iterable[MeasuredDecode | MeasuredPrefill]) -> Iterable[str]:
    return (f"{group}.{rate.type_name or rate.quant_kind}" for rate in rates)


def wider(
    here: tuple[float, float], rest: tuple[float, float], share: float
) -> tuple[float, float]:
    """Return an interval of which `share` of the time was not measured; none gets narrower.

    Parts of a time are known less well than the whole, in which they make up for each other. So
    with a good part not measured, the whole is known no better than any of the family.
    """
    weight = min(1.0, share / _FEW)
    low, high = ((1 - weight) * a + weight * b for a, b in zip(here, rest, strict=True))
    return min(here[0], low), max(here[1], high)


def untimed_seconds(terms: Sequence[Term], costs: Sequence[DeviceCosts]) -> list[float]:
    """Return the seconds of each accelerator that rest on costs which nobody measured on it.

    Nothing of one that no cost was measured of, nor of the processor, whose kernels differ less
    from each other and whose experts are rows like any others.
    """
    seconds = [0.0] * len(costs)
    for term in terms:
        known = costs[term.device]
        if known.timed and term.device < len(costs) - 1 and not known.timed.covers(term.costs):
            seconds[term.device] += term.amount * known.of(term.costs)
    return seconds


def untimed_weights(
    terms: Sequence[Term], costs: Sequence[DeviceCosts], *, decoding: bool = True
) -> set[int]:
    """Return the devices that go through weights by kernels of which few were timed on them.

    Decoding these are the bytes that are read, of a prompt what is multiplied.

    Those of a processor for types of one kind take about as long as each other.
    """
    found = set()
    host = len(costs) - 1
    start = WEIGHTS if decoding else f"{_PROMPT}."
    for index, known in enumerate(costs):
        level = known.level if decoding else known.prompt_level
        if known.timed is None or level != "here":
            continue
        read = [t for t in terms if t.device == index and t.costs[0].startswith(start)]
        is_known = known.timed.covers_kind if index == host else known.timed.covers_name
        new = [t for t in read if not is_known(t.costs[0])]
        if sum(t.amount for t in new) > _FEW * sum(t.amount for t in read):
            found.add(index)
    return found
