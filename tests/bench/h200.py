"""An accelerator by arithmetic: kernels that take their launch, and their bytes or operations.

A kernel takes no less than a floor however little it has to do, which is what a small model on fast
memory is timed at. Parameters are of the rows that `FITTED` names, worked out by hand; the other
rows judge what is made of them.
Source of the rows: llama-bench of llama.cpp 0c1e5709 with its default options (flash attention on)
on one NVIDIA H200 SXM, driver 580.159.04, 2026-11-27, on files with random weights of the models'
shapes; medians of three repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from whatfits.bench.micro import Measured
from whatfits.bench.timing import Repeat, Timing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whatfits.bench.micro import Trial
    from whatfits.bench.shapes import Drawn
    from whatfits.bench.speed_process import Step

__all__ = ["FITTED", "JUDGED", "PEAK_BYTES_PER_S", "Row", "as_timed", "seconds_of"]

PEAK_BYTES_PER_S: Final = 4.8e12
_LAYER_KERNELS_S: Final = 44e-6  # norms, rotation, attention and sums of one layer
_FLOOR_S: Final = 1.7e-6  # of the product of a matrix with a vector
_TOKEN_S: Final = 40e-6
# bytes a second of large matrices
_READS: Final = {
    "Q4_K": 2.35e12,
    "Q5_K": 2.55e12,
    "Q6_K": 1.83e12,
    "Q8_0": 3.3e12,
    "F16": 4.5e12,
    "BF16": 4.5e12,
    "Q4_0": 3.3e12,
    "IQ4_XS": 2.8e12,
    "Q3_K": 0.88e12,
}
_CACHE_BYTES_PER_S: Final = 2.2e12
_PROMPT_LAYER_S: Final = 330e-6  # in each batch
_PROMPT_FLOOR_S: Final = 8e-6
_PACKED_S: Final = 39e-6  # of each product with packed weights: the other side is packed as well
# operations a second with large matrices
_MULTIPLIES: Final = {
    "Q4_K": 2.27e14,
    "Q5_K": 2.17e14,
    "Q6_K": 1.69e14,
    "Q8_0": 2.83e14,
    "F16": 7.45e14,
    "BF16": 9.5e14,
    "Q4_0": 2.83e14,
    "IQ4_XS": 2.73e14,
    "Q3_K": 1.6e14,
}
_FLOATS: Final = ("F16", "BF16")
_ATTENDS: Final = 2.3e14
_BATCH: Final = 512


@dataclass(frozen=True, slots=True)
class Row:
    """What llama-bench said of a step."""

    model: str
    file_type: str
    kind: Literal["decode", "prefill"]
    tokens: int
    depth: int
    tokens_per_s: float


FITTED: Final = (
    Row("llama-3.1-8b", "Q4_K_M", "decode", 64, 0, 278.1),
    Row("llama-3.1-8b", "Q4_K_M", "decode", 64, 8192, 238.4),
    Row("llama-3.1-8b", "Q4_K_M", "prefill", 512, 0, 9935.4),
    Row("llama-3.1-8b", "Q4_K_M", "prefill", 512, 8192, 8195.7),
    Row("llama-3.1-8b", "F16", "decode", 64, 0, 208.6),
    Row("llama-3.1-8b", "F16", "prefill", 512, 0, 25204.8),
    Row("llama-3.1-8b", "BF16", "decode", 64, 0, 208.1),
    Row("llama-3.1-8b", "BF16", "prefill", 512, 0, 28131.5),
    Row("llama-3.1-8b", "Q8_0", "decode", 64, 0, 255.0),
    Row("llama-3.1-8b", "Q8_0", "prefill", 512, 0, 11552.9),
    Row("llama-3.1-8b", "Q6_K", "decode", 64, 0, 207.1),
    Row("llama-3.1-8b", "Q6_K", "prefill", 512, 0, 8237.9),
    Row("llama-3.1-8b", "Q5_K_M", "decode", 64, 0, 261.0),
    Row("llama-3.1-8b", "Q5_K_M", "prefill", 512, 0, 9652.8),
    Row("llama-3.1-8b", "Q4_0", "decode", 64, 0, 336.8),
    Row("llama-3.1-8b", "Q4_0", "prefill", 512, 0, 11453.9),
    Row("llama-3.1-8b", "IQ4_XS", "decode", 64, 0, 320.0),
    Row("llama-3.1-8b", "IQ4_XS", "prefill", 512, 0, 11228.0),
    Row("llama-3.1-8b", "Q3_K_M", "decode", 64, 0, 220.7),
    Row("llama-3.1-8b", "Q3_K_M", "prefill", 512, 0, 8741.6),
    Row("llama-3.2-1b", "Q4_K_M", "decode", 64, 0, 852.6),
    Row("llama-3.2-1b", "Q4_K_M", "prefill", 512, 0, 35081.1),
)
JUDGED: Final = (
    Row("llama-3.1-8b", "Q4_K_M", "decode", 64, 32_768, 178.8),
    Row("llama-3.1-8b", "Q4_K_M", "prefill", 2048, 0, 9958.3),
    Row("llama-3.1-8b", "F16", "decode", 64, 8192, 184.8),
    Row("llama-3.1-8b", "F16", "prefill", 2048, 0, 25172.4),
    Row("llama-3.1-8b", "Q8_0", "prefill", 2048, 0, 11546.3),
    Row("llama-3.2-1b", "Q4_K_M", "decode", 64, 8192, 764.9),
    Row("llama-3.2-1b", "Q4_K_M", "prefill", 2048, 0, 37030.3),
    Row("llama-3.2-1b", "F16", "decode", 64, 0, 797.8),
    Row("llama-3.2-1b", "F16", "prefill", 512, 0, 79126.3),
    Row("gemma-3-12b", "Q4_K_M", "decode", 64, 0, 161.9),
    Row("gemma-3-12b", "Q4_K_M", "decode", 64, 8192, 151.6),
    Row("gemma-3-12b", "Q4_K_M", "prefill", 512, 0, 5891.0),
    Row("gemma-3-12b", "Q4_K_M", "prefill", 2048, 0, 6198.0),
    Row("qwen2.5-32b", "Q4_K_M", "decode", 64, 0, 80.0),
    Row("qwen2.5-32b", "Q4_K_M", "decode", 64, 8192, 74.5),
    Row("qwen2.5-32b", "Q4_K_M", "prefill", 512, 0, 2453.6),
    Row("mistral-small-3.2-24b", "Q4_K_M", "decode", 64, 0, 114.8),
    Row("mistral-small-3.2-24b", "Q4_K_M", "prefill", 512, 0, 3637.9),
)


def as_timed(trials: Iterable[Trial], *, noise: float = 0.005) -> list[Measured]:
    """Return trials as this device would take them."""
    found = []
    for trial in trials:
        for step in trial.steps:
            seconds = seconds_of(trial.drawn, step)
            repeats = tuple(Repeat(seconds * f, 0.0) for f in (1 - noise, 1.0, 1 + noise))
            found.append(Measured(trial.drawn, step, Timing(1, repeats, on_cpu=False)))
    return found


def seconds_of(drawn: Drawn, step: Step) -> float:
    """Return how long all tokens of a step take."""
    if step.kind == "decode":
        return step.tokens * sum(_token_parts(drawn, max(step.depth, 16) + step.tokens / 2))
    return sum(_prompt_parts(drawn, step))


def _token_parts(drawn: Drawn, depth: float) -> Iterable[float]:
    yield _TOKEN_S
    yield drawn.shape.layers * _LAYER_KERNELS_S
    yield depth * drawn.cache_bytes_per_token / _CACHE_BYTES_PER_S
    for tensor in drawn.tensors:
        if len(tensor.shape) > 1 and tensor.name != "token_embd.weight":
            yield max(_FLOOR_S, tensor.n_bytes / _READS[tensor.type])


def _prompt_parts(drawn: Drawn, step: Step) -> Iterable[float]:
    batches = -(-step.tokens // _BATCH)
    pairs = step.tokens * step.depth + step.tokens * (step.tokens + 1) / 2
    yield batches * drawn.shape.layers * _PROMPT_LAYER_S
    yield pairs * drawn.attention_flops / _ATTENDS
    for tensor in drawn.tensors:
        if tensor.name.startswith("blk.") and len(tensor.shape) > 1:
            flops = 2 * step.tokens * tensor.shape[0] * tensor.shape[1]
            yield max(batches * _PROMPT_FLOOR_S, flops / _MULTIPLIES[tensor.type])
            yield 0.0 if tensor.type in _FLOATS else batches * _PACKED_S
