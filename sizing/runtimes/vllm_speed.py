"""How fast vLLM is: its own weights and cache through the terms of `speed`, at vLLM's costs.

Source: vllm-project/vllm 0.33.0 vllm/distributed/utils.py for the layers of a stage. Prompts are
read in batches of `--max-num-batched-tokens`. An FP8 cache is counted as one byte an element with
the scales of Q8_0, 6 % more than it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whatfits.sizing.machine import Device
from whatfits.sizing.placement import Placement
from whatfits.sizing.runtimes.vllm_parallel import stage_layers
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed import estimate_speed
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings

__all__ = ["vllm_placement", "vllm_speed"]

_EMBEDDING: Final = "token_embd.weight"
_CACHE_TYPES: Final = {"auto": "f16", "fp8": "q8_0"}
_MOST_AT_ONCE: Final = 256  # sequences whose cache is laid out one by one here


def vllm_speed(
    model: ModelSpec, machine: Machine, workload: Workload, settings: VllmSettings
) -> Speed | None:
    """Return prompt and decode speed with their intervals; None where weights have no table.

    The throughput is told for as many requests at once as were asked for, not for the most there
    may be.
    """
    if not any(tensor.name == _EMBEDDING for tensor in model.tensors):
        return None
    parallel = min(workload.parallel or 1, _MOST_AT_ONCE)
    kv_type = _CACHE_TYPES[settings.cache_type]
    asked = Workload(
        context_tokens=settings.request_tokens * parallel,
        parallel=parallel,
        kv_type_k=kv_type,
        kv_type_v=kv_type,
        batch=settings.batch_tokens,
        micro_batch=settings.batch_tokens,
    )
    resolved = replace(resolve_settings(model, asked), sequences=parallel)
    return estimate_speed(
        model,
        resolved,
        vllm_placement(model, machine, settings),
        prompt_tokens=workload.prompt_tokens,
        machine=machine,
        engine="vllm",
        ranks=settings.cut.ranks,
    )


def vllm_placement(model: ModelSpec, machine: Machine, settings: VllmSettings) -> Placement:
    """Return where the layers lie: on the first device of their stage, whose ranks share them."""
    cut = settings.cut
    host = machine.host or Device("cpu", "cpu", "unknown CPU", machine.devices[0].pool)
    layers: list[int | None] = []
    for stage, held in enumerate(stage_layers(model.n_layers, cut.stages)):
        layers += [None if settings.on_host else stage] * len(held)
    heads = () if settings.on_host else settings.devices[:: cut.ranks][: cut.stages]
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
