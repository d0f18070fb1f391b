"""What is timed on an accelerator with fast memory: matrices as large as those of real models.

On a small matrix it is launching a kernel that takes the time, whatever the memory could do: rates
that come of small ones do not hold for large ones. So shapes are those of models of 1, 8 and more
than 30 billion parameters, with as many layers as keep the memory busy for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from whatfits.bench.micro import Trial, recorded_prompt
from whatfits.bench.shapes import Drawn, Shape, draw
from whatfits.bench.speed_process import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DEEP_TOKENS", "Room", "fast_trials", "is_fast"]

DEEP_TOKENS: Final = 8192  # the cache of so many is read for as long as some layers
# A layer of the shapes for other devices holds 55 MB in Q4_K_M, and launching its kernels takes
# some 50 microseconds: reading should take twice as long at least.
_FAST_BYTES_PER_S: Final = 550e9
_READING_S: Final = 0.2e-3  # for which the weights of a model keep the memory busy at its peak
_LEAST_BYTES: Final = 3 * (96 << 20)  # of weights: three times the largest cache
_LEAST_LAYERS: Final = 6
_VOCABULARY: Final = 32_768
_LAYERS: Final = 1  # of the shapes as they stand here
_WIDE: Final = Shape("wide", 4096, _LAYERS, 14_336, 32, 8, _VOCABULARY, head_width=128)
# fewer query heads to one of the cache: what attention computes is told from what it reads
_NARROW: Final = Shape("narrow", 2048, _LAYERS, 8192, 16, 8, _VOCABULARY, head_width=128)
_VAST: Final = Shape("vast", 6144, _LAYERS, 24_576, 48, 8, _VOCABULARY, head_width=128)
# next to no weights: what a token costs beside them. The others tell it from many bytes only by a
# difference, and what it is off by would be in the rate of the bytes.
_TINY: Final = Shape("tiny", 256, 2, 768, 4, 1, vocabulary=1024)
_DECODED: Final = 32
_DECODED_TINY: Final = 128
_PROMPT: Final = 512
_LONG_PROMPT: Final = 2048
_MAIN: Final = "Q4_K_M"
_WITHIN: Final = "Q6_K"  # what part of the main one is stored as
_BYTES: Final = "Q8_0"
# the rest by how much they are used
_FLOATS: Final = "F16"
_IN_ONE_SHAPE: Final = ("Q4_0", "Q5_K_M")
_LAST: Final = ("BF16", "IQ4_XS", "Q3_K_M")
_FILES: Final = 2  # one may still be on its way to the disk while the next is written
_DEVICE_SHARE: Final = 0.7  # of the free memory for weights; caches and buffers need some too


@dataclass(frozen=True, slots=True)
class Room:
    """Free bytes where a model is put; None where nobody knows.

    Attributes:
        disk: where the file is written.
        device: of the accelerator.
    """

    disk: int | None = None
    device: int | None = None

    def holds(self, drawn: Drawn) -> bool:
        """Whether a model has room in both."""
        size = drawn.total_bytes
        on_disk = self.disk is None or _FILES * size <= self.disk
        return on_disk and (self.device is None or size <= _DEVICE_SHARE * self.device)


def is_fast(bytes_per_s: float | None) -> bool:
    """Whether memory so fast would wait for the launches of small models."""
    return bytes_per_s is not None and bytes_per_s > _FAST_BYTES_PER_S


def fast_trials(bytes_per_s: float, room: Room) -> tuple[Trial, ...]:
    """Return what is measured, the most needed first; without what there is no room for.

    `bytes_per_s` is the peak of the memory.
    """
    found = tuple(trial for trial in _trials(bytes_per_s) if room.holds(trial.drawn))
    return found if any(trial.drawn.shape.name == _WIDE.name for trial in found) else ()


def _trials(bytes_per_s: float) -> Iterator[Trial]:
    def trial(shape: Shape, file_type: str, *more: Step) -> Trial:
        drawn = _with_layers(shape, file_type, bytes_per_s)
        return Trial(drawn, (_decode(), recorded_prompt(_PROMPT), *more))

    # what a prompt costs once is more than half of a short one's time where products are fast: a
    # long one tells it from them
    long = recorded_prompt(_LONG_PROMPT)
    deep = (_decode(DEEP_TOKENS), recorded_prompt(_PROMPT, DEEP_TOKENS))
    yield trial(_WIDE, _MAIN, long, *deep)
    yield trial(_NARROW, _MAIN, *deep)
    yield Trial(draw(_TINY, _MAIN), (_decode(tokens=_DECODED_TINY),))
    yield trial(_WIDE, _WITHIN, long)
    yield trial(_VAST, _MAIN)
    yield trial(_WIDE, _BYTES, long)
    yield trial(_WIDE, _FLOATS, long)
    # packed weights take a product's other side being packed too: what a layer costs differs
    yield trial(_NARROW, _FLOATS, long)
    for file_type in _IN_ONE_SHAPE:
        yield trial(_WIDE, file_type, long)
    yield trial(_NARROW, _BYTES)
    for file_type in _LAST:
        yield trial(_WIDE, file_type, long)


def _decode(depth: int = 0, tokens: int = _DECODED) -> Step:
    return Step("decode", tokens, depth, 1, 5, longest_s=2.0)


def _with_layers(shape: Shape, file_type: str, bytes_per_s: float) -> Drawn:
    """Return a shape with as many layers as keep the memory busy."""
    one, two = (draw(replace(shape, layers=n), file_type) for n in (1, 2))
    layer_bytes = sum(two.bytes_by_type.values()) - sum(one.bytes_by_type.values())
    wanted_bytes = max(_LEAST_BYTES, _READING_S * bytes_per_s)
    layers = max(_LEAST_LAYERS, -(-int(wanted_bytes) // layer_bytes))
    return draw(replace(shape, layers=layers), file_type)
