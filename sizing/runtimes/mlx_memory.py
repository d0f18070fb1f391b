"""mlx-lm: the memory bill of one run.

Weights and caches are MLX's own buffers, `compute` is what its highest moment takes beside them:
the step of a prompt, or a cache on the way to another size.
Source: see `mlx_weights`, `mlx_cache` and `mlx_peak`; ml-explore/mlx (2026-08-22)
mlx/backend/metal/allocator.cpp for pages.
"""

from __future__ import annotations

from whatfits.sizing.estimate import DeviceMemory, Memory
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.overhead import Overhead, device_overhead
from whatfits.sizing.runtimes.mlx_cache import (
    GROWTH_STEP_TOKENS,
    LayerCache,
    chunks,
    expanded_width,
    layer_cache,
    room_tokens,
)
from whatfits.sizing.runtimes.mlx_peak import Span, StepShape, step_bytes
from whatfits.sizing.runtimes.mlx_settings import DEFAULT_PROMPT_CACHES
from whatfits.sizing.runtimes.mlx_weights import stored_arrays
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.runtimes.mlx_models import MlxModel
    from whatfits.sizing.runtimes.mlx_settings import MlxSettings

__all__ = ["PROCESS", "MlxBill", "cached_bytes"]

_PAGE_BYTES: Final = 16 * KIB
PROCESS: Final = Overhead(
    150 * MIB,
    400 * MIB,
    1 * GIB,
    "Python with MLX, a tokenizer and their libraries: our own interval, no log was read",
)


class _Kind(NamedTuple):
    """Layers that remember and attend alike."""

    layer: LayerSpec
    cache: LayerCache
    n_layers: int


class MlxBill:
    """One model's bill under mlx-lm; keeps what does not depend on the settings."""

    def __init__(self, model: ModelSpec, rules: MlxModel, *, on_gpu: bool) -> None:
        """Group the model's layers once."""
        self._model = model
        self._rules = rules
        self._on_gpu = on_gpu
        expanded = expanded_width(model)
        counts: dict[tuple[LayerSpec, LayerCache], int] = {}
        for layer in model.layers:
            key = (layer, layer_cache(layer, rules, expanded=expanded))
            counts[key] = counts.get(key, 0) + 1
        self._kinds = [_Kind(layer, cache, count) for (layer, cache), count in counts.items()]
        self._pairs = [(kind.layer, kind.cache) for kind in self._kinds]

    @property
    def kinds(self) -> list[tuple[LayerCache, int]]:
        """What layers remember, and how many of them."""
        return [(kind.cache, kind.n_layers) for kind in self._kinds]

    def weights(self) -> Span:
        """Return what the weights take; on a GPU each array may be rounded up to a page."""
        model = self._model
        known = model.weights
        exact = model.tensor_bytes
        low, mid, high = (
            (exact, exact, exact)
            if known is None
            else (known.low_bytes, known.mid_bytes, known.high_bytes)
        )
        return Span(low, mid, high + (_PAGE_BYTES * stored_arrays(model) if self._on_gpu else 0))

    def cache(self, settings: MlxSettings) -> Span:
        """Return what the caches of all sequences take at the end of the context."""
        return _times(cached_bytes(self.kinds, settings), settings.sequences)

    def growth_limit_bytes(self, settings: MlxSettings) -> int:
        """Return what the server may keep of earlier prompts: whole caches of the last ones."""
        if settings.program != "server":
            return 0
        if settings.prompt_cache_bytes is not None:
            return settings.prompt_cache_bytes
        return DEFAULT_PROMPT_CACHES * cached_bytes(self.kinds, settings).high

    def memory(self, settings: MlxSettings, placement: Placement, machine: Machine) -> Memory:
        """Return the bytes of a run: the device's row, the program's own on the host last."""
        weights, cache, peak = self.weights(), self.cache(settings), self.peak(settings)
        used = placement.accelerators[:1]
        rows = []
        for device in (*used, placement.host):
            computes = bool(used) == (device is not placement.host)
            program = PROCESS if device is placement.host else device_overhead(device.kind)
            pool = machine.pool(device.pool).of(device)
            rows.append(
                DeviceMemory(
                    device=device.id,
                    pool=device.pool,
                    weights_bytes=weights.mid if computes else 0,
                    kv_cache_bytes=cache.mid if computes else 0,
                    compute_bytes=peak.mid - cache.mid if computes else 0,
                    output_bytes=0,
                    overhead_bytes=program.mid_bytes,
                    low_bytes=program.low_bytes + (weights.low + peak.low if computes else 0),
                    high_bytes=program.high_bytes + (weights.high + peak.high if computes else 0),
                    limit_bytes=pool.allowance_bytes,
                    free_bytes=pool.free_bytes,
                )
            )
        return Memory.of(rows, mapped_bytes=0, growth_limit_bytes=self.growth_limit_bytes(settings))

    def peak(self, settings: MlxSettings) -> Span:
        """Return the most that caches and working memory take together, weights apart."""
        end = self.cache(settings)
        rows = settings.prompts_at_once
        waiting = _times(cached_bytes(self.kinds, settings), settings.sequences - rows)
        answering = StepShape(settings.sequences, 1, settings.context_tokens)
        highest = end + self._step(settings, answering)
        rooms = [self._rooms(kind, settings) for kind in self._kinds]
        steps = tuple(chunks(settings.prompt_tokens, settings.step_tokens))
        done = settings.prompt_tokens - 1 if steps else 0
        for index in _telling(len(steps), settings):
            before = index * settings.step_tokens
            after = before + steps[index]
            held = self._held(settings, [room[index] for room in rooms], before, after)
            now = _times(held, rows) + waiting
            now += self._step(settings, StepShape(rows, steps[index], after))
            highest = highest.or_larger(now)
        last = [room[-1] for room in rooms]
        held = self._held(settings, last, done, settings.context_tokens)
        return highest.or_larger(_times(held, settings.sequences))

    def _rooms(self, kind: _Kind, settings: MlxSettings) -> tuple[int, ...]:
        return tuple(
            room_tokens(
                kind.cache,
                prompt_tokens=settings.prompt_tokens,
                written_tokens=settings.context_tokens,
                step_tokens=settings.step_tokens,
            )
        )

    def _step(self, settings: MlxSettings, step: StepShape) -> Span:
        before = step.context - step.tokens  # what the step itself writes is quantised after it
        return step_bytes(
            self._model,
            self._rules,
            self._pairs,
            step,
            on_gpu=self._on_gpu,
            quantised=settings.kv_bits is not None and 0 < before >= settings.kv_start_tokens,
        )

    def _held(
        self,
        settings: MlxSettings,
        rooms: list[int],
        before_tokens: int,
        now_tokens: int,
    ) -> Span:
        """Return what the caches of one sequence take between two lengths.

        While it grows, a layer's cache is there twice; while it is quantised, in both forms.
        """
        plain = quantised = largest = state_low = state = spare = 0
        for room, (_, cache, count) in zip(rooms, self._kinds, strict=True):
            own = cache.token_bytes(room)
            plain += own * count
            if settings.kv_bits is not None:
                packed = cache.token_bytes(room, bits=settings.kv_bits, group=settings.kv_group)
                quantised += packed * count
            largest = max(largest, own)
            state_low += cache.state_low_bytes * count
            state += cache.state_bytes * count
            if settings.program == "server" and cache.window_tokens is None:
                # a later prompt goes on from any length, which may be cut off first
                spare += cache.token_bytes(GROWTH_STEP_TOKENS - 1) * count
        start = settings.kv_start_tokens
        if settings.kv_bits is None or now_tokens < start:
            kept = Span(plain, plain + largest, plain + 2 * largest + spare)
        elif before_tokens >= start:
            kept = Span(quantised, quantised + largest, quantised + 2 * largest + spare)
        else:
            kept = Span(plain, plain + largest, plain + quantised + 2 * largest + spare)
        return kept + Span(state_low, state, state)


def _telling(count: int, settings: MlxSettings) -> set[int]:
    """Return the steps of a prompt of which one is the highest.

    What a step takes grows with what was read before it: the last full one and the last, and the
    one after which the cache is quantised, with its neighbours.
    """
    found = {0, count - 2, count - 1}
    if settings.kv_bits is not None:
        turn = -(-settings.kv_start_tokens // settings.step_tokens) - 1
        found |= {turn - 1, turn, turn + 1}
    return {index for index in found if 0 <= index < count}


def cached_bytes(kinds: list[tuple[LayerCache, int]], settings: MlxSettings) -> Span:
    """Return what the caches of one sequence take at the end of the context.

    Exact for keys and values; the element type of some recurrent states is not known for sure.
    """
    tokens = low = high = 0
    bits = settings.kv_bits if settings.quantises else None
    for cache, count in kinds:
        *_, room = room_tokens(
            cache,
            prompt_tokens=settings.prompt_tokens,
            written_tokens=settings.context_tokens,
            step_tokens=settings.step_tokens,
        )
        tokens += cache.token_bytes(room, bits=bits, group=settings.kv_group) * count
        low += cache.state_low_bytes * count
        high += cache.state_bytes * count
    return Span(tokens + low, tokens + high, tokens + high)


def _times(span: Span, factor: int) -> Span:
    return span.scaled(factor, factor, factor)
