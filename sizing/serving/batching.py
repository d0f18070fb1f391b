"""What one step of a batch costs, as a function of what is in it.

The terms of `speed.terms` are worked out once over a few sizes; between them they are straight
lines. A step that only writes: fixed(sequences) + what each reads of its cache, which grows with
its depth. A step that also reads prompts goes through the weights once: the prompt's time, the
arithmetic of the tokens written beside it, and their caches.
Source: speed.terms. Error: the speed model's own, whose interval comes with it; windows are taken
as straight lines between the depths of the profile.
"""

from __future__ import annotations

from math import exp

from whatfits.sizing.serving.step_costs import StepCosts
from whatfits.sizing.serving.vllm_host import NO_HOST
from whatfits.sizing.speed import TELL_CORES, device_costs, timed
from whatfits.sizing.speed.rates import peak_rates
from whatfits.sizing.speed.terms import (
    LEAST_OFFLOADED_TOKENS,
    cut_over_ranks,
    decode_terms,
    prompt_terms,
)
from whatfits.sizing.speed.work import step_work
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.serving.vllm_host import HostWork, Spread
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.speed.costs import DeviceCosts
    from whatfits.sizing.speed.terms import Term

__all__ = ["ENDS", "MID", "BatchModel"]

ENDS: Final = ("fast", "mid", "slow")
MID: Final = ENDS.index("mid")
_CACHE: Final = frozenset({"cache", "decode_attention"})
_ARITHMETIC: Final = ("prompt.", "prompt_state")


class BatchModel:
    """The terms of a model under a placement, evaluated at batches of any composition."""

    def __init__(
        self,
        model: ModelSpec,
        settings: Settings,
        placement: Placement,
        machine: Machine,
        *,
        engine: str | None = None,
        ranks: int = 1,
        host: HostWork = NO_HOST,
        spread: Spread | None = None,
    ) -> None:
        """Look up rates and costs of the devices; `engine` and `ranks` as in `estimate_speed`.

        `host` is what the host does in a step besides; `spread` the interval in the place of the
        speed model's own, but where the device was measured here.
        """
        devices = (*placement.accelerators, placement.host)
        self._model, self._settings, self._placement = model, settings, placement
        self._devices = devices
        self._rates = peak_rates(devices, machine, engine)
        known = device_costs(devices, machine, engine, self._rates)
        self._costs = known if spread is None else [_spread_as(one, spread) for one in known]
        self.host = host
        self._work = step_work(model, placement)
        self._ranks = ranks

    def unknown(self) -> str | None:
        """Return what has to be known of a device that works, and is not."""
        if not self._model.tensors:
            return "the tensor table of this model is not known"
        for term in (*self._decode(1, 1), *self._prompt(1, 0)):
            rate = self._rates[term.device]
            if not rate.bytes:
                return f"memory bandwidth of {self._devices[term.device].name} is not known"
            if not rate.flops:
                device = self._devices[term.device]
                hint = TELL_CORES if device.kind == "cpu" else ""
                return f"the arithmetic rate of {device.name} is not known{hint}"
        return None

    def costs(
        self, end: str, *, slots: int, step_tokens: int, prompt_tokens: int, longest_tokens: int
    ) -> StepCosts:
        """Return the costs at one end of the speed's interval: `fast`, `mid` or `slow`.

        Exact for prompts of `prompt_tokens` and depths from there to `longest_tokens`.
        """
        shallow = self._cache_s(prompt_tokens, end)
        deep = self._cache_s(longest_tokens, end)
        depth_s = (deep - shallow) / max(1, longest_tokens - prompt_tokens)
        counts = _grid(slots, ())
        write = [self._write_s(n, prompt_tokens, end) for n in counts]
        tokens = min(prompt_tokens, step_tokens)
        micro = self._settings.micro_batch_tokens
        sizes = _grid(
            step_tokens, (tokens, prompt_tokens % step_tokens, *_passes(micro, step_tokens))
        )
        read = [self._read_s(n, end) for n in sizes]
        attention = self._read_s(tokens, end)[2]
        at = ENDS.index(end)
        step_s, sequence_s = self.host.step_s[at], self.host.sequence_s[at]
        return StepCosts(
            write_s=_table(counts, [seconds + step_s for seconds, _ in write]),
            arithmetic_s=_table(counts, [part for _, part in write]),
            cache_s=shallow - depth_s * prompt_tokens,
            depth_s=depth_s,
            read_s=_table(sizes, [seconds + step_s for seconds, _, _ in read]),
            read_arithmetic_s=_table(sizes, [part for _, part, _ in read]),
            pair_s=attention / (tokens * (tokens + 1) / 2),
            ride_s=self._ride_s(prompt_tokens, end),
            host_s=sequence_s,
            overlaps=self.host.overlaps[at],
        )

    def bandwidth_and_arithmetic_s(self, sequences: int, depth: int) -> tuple[float, float]:
        """Return what a step that writes takes to read, overheads included, and to calculate."""
        terms = self._decode(sequences, depth)
        whole = self._seconds(terms, "mid", decoding=True)
        arithmetic = self._part(terms, "mid", _is_arithmetic, decoding=True)
        return whole - arithmetic, arithmetic

    def _decode(self, sequences: int, depth: int) -> list[Term]:
        terms = decode_terms(
            self._model,
            self._settings,
            self._placement,
            self._rates,
            depth=depth,
            sequences=sequences,
            step=self._work,
        )
        return cut_over_ranks(terms, self._ranks, self._work.layers)

    def _prompt(self, tokens: int, depth: int) -> list[Term]:
        terms = prompt_terms(
            self._model,
            self._settings,
            self._placement,
            self._rates,
            tokens=tokens,
            depth=depth,
            step=self._work,
        )
        return cut_over_ranks(terms, self._ranks)

    def _seconds(self, terms: Sequence[Term], end: str, *, decoding: bool) -> float:
        known = timed(terms, self._costs, decoding=decoding)
        wide = {"fast": known.low, "mid": 0.0, "slow": known.high}[end]
        return known.seconds * exp(wide)

    def _part(
        self, terms: Sequence[Term], end: str, is_in: Callable[[Term], bool], *, decoding: bool
    ) -> float:
        """Return the seconds of some terms of a step, at the whole step's end."""
        chosen = sum(t.amount * self._costs[t.device].of(t.costs) for t in terms if is_in(t))
        whole = sum(t.amount * self._costs[t.device].of(t.costs) for t in terms)
        return chosen / whole * self._seconds(terms, end, decoding=decoding)

    def _cache_s(self, depth: int, end: str) -> float:
        return self._part(self._decode(1, depth), end, _is_cache, decoding=True)

    def _write_s(self, sequences: int, depth: int, end: str) -> tuple[float, float]:
        """Return a step without its caches, and the part of it that is arithmetic."""
        terms = self._decode(sequences, depth)
        arithmetic = self._part(terms, end, _is_arithmetic, decoding=True)
        whole = self._seconds(terms, end, decoding=True)
        return whole - sequences * self._cache_s(depth, end), arithmetic

    def _read_s(self, tokens: int, end: str) -> tuple[float, float, float]:
        """Return a piece of a prompt without its attention, arithmetic in that, and attention."""
        terms = self._prompt(tokens, 0)
        whole = self._seconds(terms, end, decoding=False)
        arithmetic = self._part(terms, end, _is_arithmetic, decoding=False)
        attention = self._part(terms, end, _is_attention, decoding=False)
        return whole - attention, arithmetic, attention

    def _ride_s(self, depth: int, end: str) -> float:
        """Return the arithmetic of one more token in a batch."""
        return self._write_s(2, depth, end)[1]


def _spread_as(known: DeviceCosts, spread: Spread) -> DeviceCosts:
    if known.level == "here":
        return known
    return known._replace(decode_interval=spread.writing, prompt_interval=spread.reading)


def _is_cache(term: Term) -> bool:
    return term.costs[0] in _CACHE


def _is_attention(term: Term) -> bool:
    return term.costs[0] == "attention"


def _is_arithmetic(term: Term) -> bool:
    return term.costs[0].startswith(_ARITHMETIC)


def _passes(micro: int, most: int) -> list[int]:
    """Return the sizes at which one more micro-batch begins, and those before."""
    whole = range(micro, most + 1, micro)
    return [size for start in whole for size in (start, start + 1)]


def _grid(most: int, others: Sequence[int]) -> list[int]:
    """Return sizes to work out: powers of two, the ends, and `others`."""
    powers = [2**power for power in range(most.bit_length())]
    known = {1, most, LEAST_OFFLOADED_TOKENS - 1, LEAST_OFFLOADED_TOKENS, *powers, *others}
    return sorted(size for size in known if 1 <= size <= most)


def _table(sizes: Sequence[int], seconds: Sequence[float]) -> list[float]:
    """Return seconds for every size from 0, which takes none, to the last; lines between."""
    import numpy as np  # noqa: PLC0415 - heavy, and only a simulation needs it

    found: list[float] = np.interp(np.arange(sizes[-1] + 1), (0, *sizes), (0.0, *seconds)).tolist()
    return found
