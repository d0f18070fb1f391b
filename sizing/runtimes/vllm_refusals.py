"""Fields of a request that mean nothing to vLLM, each with what to do instead."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["refuse_what_means_nothing"]

_NOT_OF_WORKLOAD: Final = {
    "micro_batch": "vLLM has one batch: --max-num-batched-tokens, here batch",
    "kv_unified": "vLLM always has one cache for all requests",
    "swa_full": "vLLM keeps windows as it does",
    "outputs_max": "vLLM reserves a row of logits for each of parallel",
    "model_draft": "a second model that drafts is not modelled for vLLM",
    "kv_type_k_draft": "vLLM keeps what drafts remember in the cache of the model",
    "kv_type_v_draft": "vLLM keeps what drafts remember in the cache of the model",
    "mmproj": "vLLM reads vision parts from the checkpoint; they are left out here",
    "lora": "adapters are not modelled for vLLM",
    "cache_ram_mib": "vLLM keeps earlier prompts in the cache itself",
    "ctx_checkpoints": "vLLM has none",
}
_NOT_OF_PLACEMENT: Final = {
    "gpu_layers": "vLLM loads all layers on the devices",
    "tensor_split": "vLLM cuts evenly over the devices",
    "cpu_moe_layers": "vLLM loads all experts on the devices",
    "overrides": "vLLM places no tensor by name",
    "kv_offload": "vLLM keeps its cache on the devices",
    "op_offload": "vLLM has no such switch",
    "mmap": "vLLM copies the weights",
    "gpu_layers_draft": "vLLM loads prediction layers beside the others",
    "mmproj_offload": "vision parts are left out here",
}


def refuse_what_means_nothing(workload: Workload, request: PlacementRequest) -> None:
    """Refuse a setting that was given and that vLLM has nothing for.

    Raises:
        InvalidRequestError: there is one; the message says what to do instead.
    """
    given = [(name, getattr(workload, name), why) for name, why in _NOT_OF_WORKLOAD.items()]
    given += [(name, getattr(request, name), why) for name, why in _NOT_OF_PLACEMENT.items()]
    for name, value, why in given:
        if value not in (None, ()):
            raise InvalidRequestError(what=f"{name} for vllm", got=value, next_step=why)
    for name, value in (
        ("flash_attention", workload.flash_attention),
        ("repack", request.repack),
    ):
        if value != "auto":
            raise InvalidRequestError(what=f"{name} for vllm", got=value, allowed="auto")
