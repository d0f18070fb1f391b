"""What each runtime's own figures count, in terms of a plan, so that they can be held against it.

Sources: ollama/ollama llm/llama_server.go (sizes are sums of llama.cpp's "buffer size" lines; of a
model that is wholly on GPUs the host's buffers are left out), ggml-org/llama.cpp
tools/server/server-context.cpp (/v1/models: meta.size is the sum of all tensors), LM Studio's REST
API (size_bytes: on disk), vllm-project/vllm 0.33.0 vllm/v1/metrics/loggers.py (cache_config_info).
"""

from __future__ import annotations

import re

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.overhead import overhead_of, process_overhead
from whatfits.sizing.servers.verification import ComparedValue
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import MIB
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from whatfits.sizing.estimate import DeviceMemory, Plan
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_bill import Bill

__all__ = [
    "file_value",
    "held_value",
    "ollama_values",
    "python_value",
    "resident_value",
    "settings_values",
    "taken_value",
    "tensor_value",
    "told_permille",
    "vllm_values",
]

# A log line rounds to hundredths of a MiB; a device has up to eight: weights in three kinds of
# buffers, two caches, states, working memory, output.
_ROUNDING_BYTES: Final = 8 * MIB // 200
# Resident memory beside the buffers, as a share: pages of allocators, worst of 230 real loads.
_RESIDENT_SHARE: Final = 0.03
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_SHARE: Final = re.compile(r"0?\.[0-9]{1,6}|1(?:\.0{1,6})?")


class _Interval(NamedTuple):
    low: int
    mid: int
    high: int


def ollama_values(
    plan: Plan, *, held_bytes: int, accelerator_bytes: int
) -> tuple[ComparedValue, ...]:
    """Return the two sizes of `/api/ps` beside the buffers of a plan; drivers are in neither."""
    accelerators, host = plan.memory.devices[:-1], plan.memory.devices[-1:]
    is_whole = accelerator_bytes > 0 and held_bytes == accelerator_bytes
    counted = accelerators if is_whole else (*accelerators, *host)
    values = [_value("held_bytes", _buffers(plan, counted), held_bytes, "/api/ps size")]
    if accelerators or accelerator_bytes:
        needed = _buffers(plan, accelerators)
        values.append(_value("accelerator_bytes", needed, accelerator_bytes, "/api/ps size_vram"))
    return tuple(values)


def tensor_value(spec: ModelSpec, tensor_bytes: int) -> ComparedValue:
    """Return the bytes of all tensors, which have to be the same to the byte."""
    known = spec.tensor_bytes
    return ComparedValue(
        "tensor_bytes", "bytes", known, known, known, tensor_bytes, "/v1/models meta.size"
    )


def file_value(spec: ModelSpec, file_bytes: int) -> ComparedValue:
    """Return the size on disk; files beside the model, as a projector, may be counted with it."""
    known = spec.file_bytes or 0
    return ComparedValue(
        "file_bytes", "bytes", known, known, None, file_bytes, "/api/v1/models size_bytes"
    )


def settings_values(
    *,
    sequence_tokens: int | None,
    told_tokens: int | None,
    slots: int | None,
    told_slots: int | None,
) -> tuple[ComparedValue, ...]:
    """Return context and slots of a server beside those that its settings lead to here.

    `sequence_tokens` and `slots` are None where they were taken from the server's own word: a
    comparison could not fail then.
    """
    values = []
    if sequence_tokens is not None and told_tokens is not None:
        n = sequence_tokens
        source = "/props default_generation_settings.n_ctx"
        values.append(ComparedValue("context_tokens", "tokens", n, n, n, told_tokens, source))
    if slots is not None and told_slots is not None:
        source = "/props total_slots"
        values.append(ComparedValue("slots", "count", slots, slots, slots, told_slots, source))
    return tuple(values)


def resident_value(plan: Plan, resident_bytes: int) -> ComparedValue:
    """Return the memory of a llama.cpp server's process beside what the host has to hold.

    Weights that are mapped can be taken back by the system; working memory is touched by the
    first request; caches on the host grow to their limit.
    """
    memory, host = plan.memory, plan.memory.devices[-1]
    process = process_overhead(is_server=True)
    kept = host.kv_cache_bytes + host.output_bytes
    expected = kept + host.weights_bytes
    slack = round(expected * _RESIDENT_SHARE)
    low = (kept if plan.placement.mmap else expected) - slack
    high = max(host.high_bytes, expected + process.high_bytes) + slack
    return ComparedValue(
        "resident_bytes",
        "bytes",
        expected + process.mid_bytes,
        max(0, low),
        high + memory.mapped_bytes + memory.growth_limit_bytes,
        resident_bytes,
        "resident memory of its process",
    )


def python_value(plan: Plan, resident_bytes: int) -> ComparedValue:
    """Return the memory of a Python process that llama.cpp runs in, beside what it has to hold.

    Python and its packages take some too, how much is not known: there is no upper end. Mapped
    weights can be taken back by the system, so that the lower end is the cache.
    """
    found = resident_value(plan, resident_bytes)
    host = plan.memory.devices[-1]
    held = host.weights_bytes + host.kv_cache_bytes + host.output_bytes
    return replace(found, predicted=held, high=None)


def held_value(plan: Plan, resident_bytes: int) -> ComparedValue:
    """Return the memory of an MLX server's process beside what it has to hold: the weights.

    Caches come with requests, and freed buffers stay with the process: there is no upper end.
    """
    memory = plan.memory
    return ComparedValue(
        "resident_bytes",
        "bytes",
        memory.total_bytes,
        memory.weights_bytes,
        None,
        resident_bytes,
        "resident memory of its process",
    )


def taken_value(plan: Plan, taken_bytes: int) -> ComparedValue:
    """Return what a process takes of accelerators, driver included, beside all that is planned."""
    rows = plan.memory.devices[:-1]
    needed = _Interval(
        sum(row.low_bytes for row in rows),
        sum(row.total_bytes for row in rows),
        sum(row.high_bytes for row in rows),
    )
    return ComparedValue(
        "taken_bytes",
        "bytes",
        needed.mid,
        needed.low,
        needed.high,
        taken_bytes,
        "memory of its process, by the driver",
    )


def vllm_values(bill: Bill, cache: Mapping[str, str]) -> tuple[ComparedValue, ...]:
    """Return the blocks of vLLM's cache beside those that its share of the memory leaves room for.

    A cache whose size was given in bytes leaves nothing to chance; one given in blocks leaves
    nothing to compare.
    """
    told = _whole(cache.get("num_gpu_blocks"))
    if told is None or _whole(cache.get("num_gpu_blocks_override")) is not None:
        return ()
    given = _whole(cache.get("kv_cache_memory_bytes"))
    low, mid, high = bill.n_blocks
    if given is not None:
        low = mid = high = min(
            one.cache.n_blocks(given) for one in bill.devices if one.cache.groups
        )
    source = "/metrics vllm:cache_config_info num_gpu_blocks"
    return (ComparedValue("cache_blocks", "count", mid, low, high, told, source),)


def told_permille(cache: Mapping[str, str]) -> int | None:
    """Return the share of memory that vLLM was told to use, in thousandths."""
    share = cache.get("gpu_memory_utilization", "")
    if not _SHARE.fullmatch(share):
        return None
    return round(float(share) * 1000)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and _DIGITS.fullmatch(text) else None


def _buffers(plan: Plan, rows: Sequence[DeviceMemory]) -> _Interval:
    """Return the buffers of devices without what drivers and the process hold beside them."""
    low = mid = high = 0
    devices = {device.id: device for device in plan.machine.devices}
    is_server = plan.workload.program == "server"
    for row in rows:
        device = devices.get(row.device)
        if device is None:  # the host of a machine that lists no CPU
            overhead = process_overhead(is_server=is_server)
        else:
            overhead = overhead_of(plan.machine, device, is_server=is_server)
        low += row.low_bytes - overhead.low_bytes
        mid += row.total_bytes - row.overhead_bytes
        high += row.high_bytes - overhead.high_bytes
    rounding = _ROUNDING_BYTES * len(rows)
    return _Interval(max(0, low - rounding), mid, high + rounding)


def _value(key: str, needed: _Interval, told: int, source: str) -> ComparedValue:
    return ComparedValue(key, "bytes", needed.mid, needed.low, needed.high, told, source)
