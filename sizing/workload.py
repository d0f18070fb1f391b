"""What is asked of a model: context, sequences, cache types, batch sizes, and where layers go.

Every field may be None: the runtime's own default is then used, and the answer says which.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Any, ClassVar, Final

__all__ = ["PINS", "OnOff", "PlacementRequest", "Program", "SpecType", "Workload"]

Program = Literal["server", "api"]
SpecType = Literal["none", "draft-simple", "draft-mtp"]
OnOff = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class Workload:
    """A request's shape.

    Attributes:
        program: `server` is the program that the printed command starts; `api` takes the C
            library's defaults (logits for the whole micro-batch, full window cache).
        context_tokens: the runtime's own context flag (llama.cpp: the whole cache).
        parallel: sequences served at once.
        kv_type_k: type of the key cache, as `f16`, `q8_0`.
        kv_type_v: type of the value cache.
        batch: logical batch in tokens.
        micro_batch: physical batch in tokens.
        flash_attention: `auto`, `on` or `off`.
        kv_unified: one cache shared by all sequences.
        swa_full: keep the full context in sliding-window layers.
        outputs_max: rows of logits reserved (0: the whole micro-batch).
        prompt_tokens: length of the prompt that speed is told for.
        output_tokens: length of the answer that speed is told for.
        model_draft: a model that drafts for this one, by catalog name or path.
        spec_type: how drafts are made: `draft-simple` by a model, `draft-mtp` by the model's own
            next-token-prediction layers; unset: by a model when there is one.
        spec_draft_n_max: tokens drafted ahead.
        kv_type_k_draft: type of the draft's key cache.
        kv_type_v_draft: type of the draft's value cache.
        mmproj: path of a vision or audio projector.
        lora: paths of LoRA adapters.
        cache_ram_mib: what the server may keep of earlier prompts in RAM, in MiB (0: nothing).
        ctx_checkpoints: states a slot may keep of its own past, for models that cannot step back.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    program: Program = "server"
    context_tokens: int | None = None
    parallel: int | None = None
    kv_type_k: str | None = None
    kv_type_v: str | None = None
    batch: int | None = None
    micro_batch: int | None = None
    flash_attention: OnOff = "auto"
    kv_unified: bool | None = None
    swa_full: bool | None = None
    outputs_max: int | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    model_draft: str | None = None
    spec_type: SpecType | None = None
    spec_draft_n_max: int | None = None
    kv_type_k_draft: str | None = None
    kv_type_v_draft: str | None = None
    mmproj: str | None = None
    lora: tuple[str, ...] = ()
    cache_ram_mib: int | None = None
    ctx_checkpoints: int | None = None


@dataclass(frozen=True, slots=True)
class PlacementRequest:
    """Where weights, cache and buffers shall lie; None leaves it to us or to the runtime.

    Attributes:
        gpu_layers: layers on accelerators, the output layer counted (llama.cpp's `-ngl`).
        tensor_split: proportions over the accelerators, in order.
        cpu_moe_layers: the experts of that many first layers stay on the host.
        overrides: (regular expression on tensor names, device id or `CPU`) pairs.
        kv_offload: keep the cache on the accelerators.
        op_offload: copy host weights to an accelerator for large batches.
        split_mode: `layer`, `row` or `none`.
        devices: ids of the accelerators that may be used; empty for none, None for all.
        mmap: map the file instead of reading it.
        repack: rearrange weights for the CPU.
        gpu_layers_draft: layers of the draft model on accelerators.
        mmproj_offload: the projector lies on the first accelerator.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    gpu_layers: int | None = None
    tensor_split: tuple[float, ...] | None = None
    cpu_moe_layers: int | None = None
    overrides: tuple[tuple[str, str], ...] = ()
    kv_offload: bool | None = None
    op_offload: bool | None = None
    split_mode: Literal["layer", "row", "none"] | None = None
    devices: tuple[str, ...] | None = None
    mmap: bool | None = None
    repack: OnOff = "auto"
    gpu_layers_draft: int | None = None
    mmproj_offload: bool | None = None


PINS: Final[dict[str, tuple[str, Any]]] = {
    "gpu_layers": ("-ngl", None),
    "cpu_moe_layers": ("--n-cpu-moe", None),
    "overrides": ("-ot", ()),
    "kv_offload": ("--no-kv-offload", None),
}
"""What of a placement says which parts lie where: its flag, and the value that leaves it open."""
