"""How fast vLLM is: its own weights and cache through the terms of `speed`, at vLLM's costs.

Source: vllm-project/vllm 0.33.0 vllm/distributed/utils.py for the layers of a stage. Prompts are
read in batches of `--max-num-batched-tokens`. An FP8 cache is counted as one byte an element with
the scales of Q8_0, 6 % more than it is.
"""

from __future__ import annotations

from whatfits.sizing.machine import Device
from whatfits.sizing.placement import Placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed import estimate_speed
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings
    from whatfits.sizing.settings import Settings

__all__ = ["vllm_placement", "vllm_speed", "vllm_step_settings"]

_EMBEDDING: Final = "token_embd.weight"
_CACHE_TYPES: Final = {"auto": "f16", "fp8": "q8_0"}
_MOST_AT_ONCE: Final = 256  # sequences whose cache is laid out one by one here


def vllm_speed(
    model: ModelSpec,
    machine: Machine,
    settings: VllmSettings,
    *,
    prompt_tokens: int | None,
    parallel: int | None = None,
) -> Speed | None:
    """Return prompt and decode speed with their intervals; None where weights have no table.

    `parallel` is how many requests at once the throughput is told for, where some were asked for:
    the most there may be is no such number. For more than 256 none is told: `serve` does.
    """
    if not any(tensor.name == _EMBEDDING for tensor in model.tensors):
        return None
    together = parallel if parallel and parallel <= _MOST_AT_ONCE else 1
    return estimate_speed(
        model,
        vllm_step_settings(model, settings, together=together),
        vllm_placement(model, machine, settings),
        prompt_tokens=prompt_tokens,
        machine=machine,
        engine="vllm",
        ranks=settings.cut.ranks,
    )


def vllm_step_settings(model: ModelSpec, settings: VllmSettings, *, together: int = 1) -> Settings:
    """Return the same in the terms that steps are timed in, for so many longest requests."""
    kv_type = _CACHE_TYPES[settings.cache_type]
    asked = Workload(
        context_tokens=settings.request_tokens * together,
        parallel=together,
        kv_type_k=kv_type,
        kv_type_v=kv_type,
        batch=settings.batch_tokens,
        micro_batch=settings.batch_tokens,
    )
    return replace(resolve_settings(model, asked), sequences=together)


def vllm_placement(model: ModelSpec, machine: Machine, settings: VllmSettings) -> Placement:
    """Return where the layers lie: on the slowest device of their stage, which the others await."""
    cut = settings.cut
    host = machine.host or Device("cpu", "cpu", "unknown CPU", machine.devices[0].pool)
    layers: list[int | None] = []
    for stage, held in enumerate(cut.layers(model.n_layers)):
        layers += [None if settings.on_host else stage] * len(held)
    starts = () if settings.on_host else range(0, cut.ranks * cut.stages, cut.ranks)
    heads = tuple(_slowest(settings.devices[first : first + cut.ranks]) for first in starts)
    return Placement(
        accelerators=heads,
        host=host,
        layer_device=tuple(layers),
        output_device=layers[-1] if layers else None,
        gpu_layers=0 if settings.on_host else len(layers) + 1,
        cpu_moe_layers=0,
        overrides=(),
        kv_offload=True,
        op_offload=False,
        mmap=False,
        repack=False,
        tensor_split=None,
    )


def _slowest(devices: Sequence[Device]) -> Device:
    """Return the device of a stage that the others wait for; one of unknown speed comes first."""
    return min(devices, key=lambda device: device.bandwidth_bytes_per_s or 0)
