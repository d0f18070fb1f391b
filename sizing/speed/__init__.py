"""How fast: the terms of a step times what they cost on these devices, with an interval.

Source: `speed.terms` for the terms, `speed.costs` for the costs, tests/accuracy/speed_fit.py for
how they were fitted and docs/accuracy.md for how far they are off.
"""

from __future__ import annotations

from math import exp, hypot, inf, log

from whatfits.sizing.device_limits import copies_experts_back
from whatfits.sizing.estimate import RateRange, Speed
from whatfits.sizing.flash_attention import layers_can_fuse
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.speed.costs import costs_of, measured_costs
from whatfits.sizing.speed.rates import measured_device, peak_rates
from whatfits.sizing.speed.terms import (
    WEIGHTS,
    at_peak_rates,
    cut_over_ranks,
    decode_terms,
    prompt_terms,
)
from whatfits.sizing.speed.timed import untimed_seconds, untimed_weights, wider
from whatfits.sizing.speed.unknown_memory import PC_MEMORY
from whatfits.sizing.speed.work import StepWork, step_work
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.speed.costs import DeviceCosts
    from whatfits.sizing.speed.rates import Rates
    from whatfits.sizing.speed.terms import Term
    from whatfits.sizing.speed.unknown_memory import AssumedMemory

__all__ = [
    "DEFAULT_PROMPT_TOKENS",
    "SPEED_SOURCE",
    "TELL_CORES",
    "Timed",
    "decode_rate",
    "device_costs",
    "estimate_speed",
    "guessed_host",
    "rounded",
    "timed",
    "told_depth",
]

DEFAULT_PROMPT_TOKENS: Final = 512
SPEED_SOURCE: Final = (
    "costs fitted on half of some thousand public benchmark figures, judged on the other half: "
    "docs/accuracy.md"
)
_COPIED_BACK: Final = (
    "CUDA and Vulkan have no kernel for this model's experts: llama.cpp copies them to the "
    "processor for every token, and how slow that is was not measured"
)
_ATTENDS_ON_HOST: Final = (
    "the device has no kernel for this attention: llama.cpp copies the cache to the processor for "
    "every token, and how slow that is was not measured"
)
TELL_CORES: Final = " (a machine file can tell its cores and features)"
_UNTIMED: Final = "family"  # the level of a device that was measured with other storage types
_PROVENANCE: Final = {"here": "measured here", "device": "measured on the same device elsewhere"}


class Timed(NamedTuple):
    """Seconds of a step: the middle, and logarithms of both ends over it."""

    seconds: float
    low: float
    high: float

    def rate(self, count: float = 1.0) -> RateRange:
        """Return `count` over the time."""
        middle = count / self.seconds
        fast, slow = middle * exp(-self.low), middle * exp(-self.high)
        return RateRange(rounded(slow), rounded(middle), rounded(fast))


def estimate_speed(
    model: ModelSpec,
    settings: Settings,
    placement: Placement,
    *,
    prompt_tokens: int | None,
    machine: Machine | None = None,
    engine: str | None = None,
    ranks: int = 1,
    prompt_model: ModelSpec | None = None,
) -> Speed:
    """Return prompt and decode speed at the depth of the prompt, and of a full context.

    `machine` tells links and what was measured here; `engine` is a runtime with kernels of its own
    (`mlx`, `vllm`), `ranks` how many devices share each layer, `prompt_model` the part of the model
    that a prompt goes through where that is not all. A rate is None when a bandwidth or
    an arithmetic rate it needs is unknown; the reason says which.
    """
    depth = told_depth(prompt_tokens, settings)
    devices = (*placement.accelerators, placement.host)
    work = step_work(model, placement)
    why_not = None if engine else _why_untold(model, settings, placement, work)
    if why_not or not model.tensors:
        return _unknown(why_not or "the tensor table of this model is not known")
    rates = peak_rates(devices, machine, engine)
    costs = device_costs(devices, machine, engine, rates)
    terms = cut_over_ranks(
        decode_terms(model, settings, placement, rates, depth=depth, step=work), ranks, work.layers
    )
    used = {term.device for term in terms}
    missing = _without_bandwidth(used, devices, rates)
    if missing:
        return _unknown(f"memory bandwidth of {missing[0]} is not known")
    guessed = guessed_host(used, rates, costs)
    guess = None if guessed is None else rates[guessed].assumed
    reasons = [] if guess is None else [guess.words]
    reasons += _of_a_long_prompt(prompt_tokens, settings)
    step = timed(terms, costs, decoding=True, host=guessed, guess=guess)
    read = prompt_model or model
    same = work if read is model else None
    prompt = prompt_terms(read, settings, placement, rates, tokens=depth, depth=0, step=same)
    prefill, reason = _prefill(cut_over_ranks(prompt, ranks), devices, rates, costs)
    reasons += [reason] if reason and not model.embeds else []
    provenance = _provenance(terms, costs, decoding=True)
    read_by = _provenance(prompt, costs, decoding=False)
    if model.embeds:
        return _of_reading_alone(model, prefill, depth, read_by)

    def writing(depth: int, sequences: int = 1) -> RateRange:
        written = decode_terms(
            model, settings, placement, rates, depth=depth, sequences=sequences, step=work
        )
        cut = cut_over_ranks(written, ranks, work.layers)
        return timed(cut, costs, decoding=True, host=guessed, guess=guess).rate(sequences)

    # many tokens at once are bound by arithmetic as well: without its rate nothing can be told
    several = settings.sequences > 1 and all(rates[index].flops for index in used)
    full = settings.sequence_tokens if settings.sequence_tokens > depth else None
    return Speed(
        None if prefill is None else prefill.rate(depth),
        step.rate(),
        None if prefill is None else _first_token(prefill),
        provenance,
        "; ".join(reasons) or None,
        throughput_tokens_per_s=writing(depth, settings.sequences) if several else None,
        energy_per_million_tokens_kwh=_energy(placement, _seconds(terms, costs), step, ranks),
        depth_tokens=depth,
        full_decode_tokens_per_s=None if full is None else writing(full),
        full_depth_tokens=full,
        prefill_provenance=None if prefill is None or read_by == provenance else read_by,
    )


def _of_a_long_prompt(prompt_tokens: int | None, settings: Settings) -> tuple[str, ...]:
    if (prompt_tokens or 0) <= settings.sequence_tokens:
        return ()
    told = settings.sequence_tokens
    return (f"the prompt is longer than the context: told for {told:,} tokens",)


def _of_reading_alone(
    model: ModelSpec, prefill: Timed | None, depth: int, provenance: str
) -> Speed:
    """Return the speed of what embeds: it writes nothing."""
    rate = None if prefill is None else prefill.rate(depth)
    kind = "an embedding model" if model.hparams.causal else "an encoder"
    return Speed(rate, None, None, provenance, f"{kind} writes no tokens")


def told_depth(prompt_tokens: int | None, settings: Settings) -> int:
    """Return the tokens that speeds are told after: those of the prompt, at most the context."""
    return min(prompt_tokens or DEFAULT_PROMPT_TOKENS, settings.sequence_tokens)


def decode_rate(
    units: Sequence[Term],
    devices: Sequence[Device],
    rates: Sequence[Rates],
    costs: Sequence[DeviceCosts],
) -> RateRange | None:
    """Return decode speed from terms in bytes and counts; None without a bandwidth it needs.

    The same as `estimate_speed` says of the model that the terms were made of.
    """
    used = {term.device for term in units}
    if _without_bandwidth(used, devices, rates):
        return None
    terms, host = at_peak_rates(units, rates), guessed_host(used, rates, costs)
    guess = None if host is None else rates[host].assumed
    return timed(terms, costs, decoding=True, host=host, guess=guess).rate()


def _without_bandwidth(
    used: set[int], devices: Sequence[Device], rates: Sequence[Rates]
) -> list[str]:
    return [device.name for i, device in enumerate(devices) if i in used and not rates[i].bytes]


def guessed_host(
    used: set[int], rates: Sequence[Rates], costs: Sequence[DeviceCosts]
) -> int | None:
    """Return the host's index where it works and its bandwidth is a guess."""
    host = len(rates) - 1
    known = rates[host].assumed is None or costs[host].level == "here"
    return None if known or host not in used else host


def _why_untold(
    model: ModelSpec, settings: Settings, placement: Placement, work: StepWork
) -> str | None:
    """Return what llama.cpp computes where no sum of costs tells of it; None for nothing."""
    parts = zip(work.devices, placement.accelerators, strict=False)
    with_experts = {device.kind for part, device in parts if part.expert_layers}
    if copies_experts_back(model.architecture, with_experts):
        return _COPIED_BACK
    types = settings.kv_type_k, settings.kv_type_v
    if settings.flash_attention and not layers_can_fuse(model, placement, kv_types=types):
        return _ATTENDS_ON_HOST
    return None


def _unknown(reason: str) -> Speed:
    return Speed(None, None, None, "unknown", reason)


def device_costs(
    devices: Sequence[Device],
    machine: Machine | None,
    engine: str | None,
    rates: Sequence[Rates],
) -> list[DeviceCosts]:
    """Return the costs of the devices; what was measured here of llama.cpp wins for llama.cpp.

    An `engine` has kernels of its own, which nobody timed here. Where a processor's clock is a
    guess, that may be off besides.
    """
    costs = []
    for device, rate in zip(devices, rates, strict=True):
        known = costs_of(device, engine)
        found = None if engine else measured_device(device, machine)
        if rate.processor is not None and rate.processor.assumed is not None:
            off = rate.processor.assumed.spread
            low, high = (hypot(end, off) for end in known.prompt_interval)
            known = known._replace(prompt_interval=(-low, high))
        costs.append(known if found is None else measured_costs(known, found, rate))
    return costs


def timed(
    terms: Sequence[Term],
    costs: Sequence[DeviceCosts],
    *,
    decoding: bool,
    host: int | None = None,
    guess: AssumedMemory | None = None,
) -> Timed:
    """Return the time of terms and its interval.

    Each device's width counts by its share of the time; so does what was not measured of an
    accelerator that others were measured of. Decoding, devices of one family miss
    together: what is off is how fast that kind reads. Families, and devices over a prompt, which
    work on different parts of it, miss independently of each other. `host` is the device whose
    bandwidth is a guess, a PC's unless told, which widens its part.
    """
    seconds = _seconds(terms, costs)
    untimed = untimed_seconds(terms, costs)
    total = sum(seconds)
    widths: dict[str, tuple[float, float]] = {}
    for index, part in enumerate(seconds):
        known = costs[index]
        ends = known.decode_interval if decoding else known.prompt_interval
        if known.timed is not None and untimed[index]:
            rest = known.timed.decode_interval if decoding else known.timed.prompt_interval
            ends = wider(ends, rest, untimed[index] / part)
        off = (guess or PC_MEMORY).spread if index == host else 0.0
        group = known.family if decoding else str(index)
        low, high = widths.get(group, (0.0, 0.0))
        widths[group] = (
            low + part / total * hypot(ends[0], off),
            high + part / total * hypot(ends[1], off),
        )
    low, high = (hypot(*ends) for ends in zip(*widths.values(), strict=True))
    room = 1.0 if host is None else (guess or PC_MEMORY).room
    if decoding and room < inf:
        # no end of a range reads the weights faster than the memory is said to be
        at_peak = sum(
            term.amount / (room if term.device == host else 1.0)
            for term in terms
            if term.costs[0].startswith(WEIGHTS)
        )
        low = min(low, max(0.0, log(total / at_peak))) if at_peak else low
    return Timed(total, -low, high)


def _seconds(terms: Sequence[Term], costs: Sequence[DeviceCosts]) -> list[float]:
    """Return the seconds of each device's terms."""
    seconds = [0.0] * len(costs)
    for term in terms:
        seconds[term.device] += term.amount * costs[term.device].of(term.costs)
    return seconds


def _prefill(
    terms: Sequence[Term],
    devices: Sequence[Device],
    rates: Sequence[Rates],
    costs: Sequence[DeviceCosts],
) -> tuple[Timed | None, str | None]:
    """Return the time of the prompt, and what was assumed; or why it is not known."""
    assumed = None
    for index in sorted({term.device for term in terms}):
        if not rates[index].flops:
            unknown = f"the arithmetic rate of {devices[index].name} is not known"
            return None, unknown + (TELL_CORES if devices[index].kind == "cpu" else "")
        cores = rates[index].processor
        assumed = assumed if cores is None or cores.assumed is None else cores.assumed.words
    return timed(terms, costs, decoding=False), assumed


def _first_token(prefill: Timed) -> RateRange:
    """Return seconds to the first token: it is drawn from what the prompt's last token gave."""
    low, mid, high = (
        rounded(prefill.seconds * exp(end)) for end in (prefill.low, 0.0, prefill.high)
    )
    return RateRange(low, mid, high)


def _provenance(terms: Sequence[Term], costs: Sequence[DeviceCosts], *, decoding: bool) -> str:
    """Return where a speed comes from: no better than the least known device of those used."""
    untimed = untimed_weights(terms, costs, decoding=decoding)
    levels = [
        _UNTIMED if i in untimed else costs[i].level if decoding else costs[i].prompt_level
        for i in {term.device for term in terms}
    ]
    if all(level == "here" for level in levels):
        return _PROVENANCE["here"]
    if all(level in _PROVENANCE for level in levels):
        return _PROVENANCE["device"]
    return "estimated"


def _energy(
    placement: Placement, seconds: Sequence[float], step: Timed, ranks: int
) -> RateRange | None:
    """Return kWh a million tokens of the accelerators, each at its power limit while it works.

    None where a limit is not known. Stages work one after the other, ranks at the same time.
    """
    used = [
        (device.power_watts, part)
        for device, part in zip(placement.accelerators, seconds, strict=False)
        if part
    ]
    if not used or any(power is None for power, _ in used):
        return None
    joules = ranks * sum((power or 0) * part for power, part in used) * 1e6
    low, mid, high = (rounded(joules * exp(end) / 3.6e6) for end in (step.low, 0.0, step.high))
    return RateRange(low, mid, high)


def rounded(value: float) -> float:
    """Return `value` with three significant digits: more would pretend."""
    return float(f"{value:.3g}")
