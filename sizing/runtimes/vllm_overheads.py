"""What vLLM takes of a device beside weights and cache: intervals from public start-up logs.

Profiling runs one batch and one dummy sampling, so the peak of the activations follows the batch
and the requests at once, not the longest request. Source: vllm-project/vllm 0.33.0
vllm/v1/worker/gpu_worker.py, gpu_model_runner.py for the rule; vllm-project/vllm pulls 10511,
14447, 17122, 30515, issues 10517 and 14452 and further logs (tests/recorded/vllm) for the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.model import ByteRange
from whatfits.sizing.quants.layouts.parts import F32, HALF
from whatfits.sizing.units import GIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.machine import Device
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings

__all__ = ["activation_range", "context_range", "graph_range", "rest_range"]

_BIG_BYTES: Final = 40 * GIB
# Elements a token: of the residual stream, and of the feed-forward part of one layer.
_STREAM_LOW, _STREAM_MID, _STREAM_HIGH = 2.0, 4.0, 12.0
_INNER_LOW, _INNER_MID, _INNER_HIGH = 2.0, 3.0, 4.0
_SORTED_LOGITS: Final = 4  # copies in 32 bits while the dummy sampling sorts them


def _gib(low: float, mid: float, high: float, reason: str) -> ByteRange:
    return ByteRange(round(low * GIB), round(mid * GIB), round(high * GIB), reason)


_GRAPHS: Final = _gib(
    0.1, 0.5, 0.9, "captured graphs: 0.10 to 0.73 GiB in logs without drafts, estimates up to 0.93"
)
_NO_GRAPHS: Final = ByteRange(0, 0, 0, "the CPU captures no graphs")
_CONTEXT: Final = _gib(
    0.2, 0.45, 0.6, "the driver's context of the process, which is gone before vLLM measures"
)
_NO_CONTEXT: Final = ByteRange(0, 0, 0, "the CPU has no driver context")
_PROCESS: Final = _gib(0.5, 1.0, 2.5, "Python and torch on the CPU: no log read, a wide guess")
_REST: Final = {
    # (several devices, 40 GiB or more of memory)
    (False, False): _gib(0.03, 0.3, 0.6, "libraries of one card: 0.03 to 0.6 GiB in logs"),
    (False, True): _gib(0.03, 0.3, 1.8, "libraries of one large card: up to 1.79 GiB in a log"),
    (True, False): _gib(0.2, 0.4, 1.0, "libraries and NCCL on cards: 0.20 to 0.33 GiB in logs"),
    (True, True): _gib(0.3, 1.0, 3.6, "libraries and NCCL on large cards: 3.58 GiB in a log"),
}
_ROCM: Final = _gib(0.3, 0.6, 2.0, "libraries on ROCm: 0.6 GiB usual, few logs")


def activation_range(model: ModelSpec, settings: VllmSettings) -> ByteRange:
    """Return the peak of one batch through the model and of one sampling.

    batch x (c1 x width + c2 x inner width / ranks) x 2 + requests at once x vocabulary x 4. The
    sampling comes after the batch: the low end leaves it out, the high end is at least its sort.
    """
    tokens, ranks = settings.batch_tokens, settings.cut.ranks
    stream, inner = _stream_elements(model, ranks), _inner_elements(model, ranks)
    logits = settings.sequences * model.hparams.n_vocab * F32
    low, mid, high = (
        round(tokens * (a * stream + b * inner) * HALF)
        for a, b in (
            (_STREAM_LOW, _INNER_LOW),
            (_STREAM_MID, _INNER_MID),
            (_STREAM_HIGH, _INNER_HIGH),
        )
    )
    return ByteRange(
        low,
        mid + logits,
        max(high + logits, _SORTED_LOGITS * logits),
        "peak of the profiling run: 0.4 to 5.7 GiB in logs, by batch and width",
    )


def _stream_elements(model: ModelSpec, ranks: int) -> int:
    """Return the widest of what one token carries between the matrices of a layer."""
    heads = max((layer.n_head * layer.key_length for layer in model.layers), default=0)
    shifted = max(
        (layer.recurrent.shift_elements for layer in model.layers if layer.recurrent), default=0
    )
    kernel = model.metadata.get(f"{model.architecture}.ssm.conv_kernel")
    steps = kernel - 1 if isinstance(kernel, int) and kernel > 1 else 1
    return max(model.hparams.n_embd, heads // ranks, shifted // steps // ranks)


def _inner_elements(model: ModelSpec, ranks: int) -> int:
    """Return the width of the feed-forward part one token goes through.

    Experts keep a row of the stream's width for each one used as well.
    """
    return max(_widths(model, ranks))


def _widths(model: ModelSpec, ranks: int) -> Iterator[int]:
    yield max((layer.n_ff for layer in model.layers), default=0) // ranks
    hparams = model.hparams
    if hparams.n_expert:
        routed = hparams.n_expert_used * (hparams.n_ff_exp // ranks + hparams.n_embd // 2)
        yield routed + hparams.n_ff_shexp // ranks


def graph_range(settings: VllmSettings) -> ByteRange:
    """Return what captured graphs take of a device."""
    return _NO_GRAPHS if settings.on_host else _GRAPHS


def context_range(device: Device) -> ByteRange:
    """Return what the process holds of a device before vLLM measures what is free."""
    return _NO_CONTEXT if device.kind == "cpu" else _CONTEXT


def rest_range(device: Device, *, total_bytes: int, several: bool) -> ByteRange:
    """Return what libraries (cuBLAS, NCCL …) take of a device outside torch."""
    if device.kind == "cpu":
        return _PROCESS
    if device.kind == "rocm":
        return _ROCM
    return _REST[several, total_bytes >= _BIG_BYTES]
