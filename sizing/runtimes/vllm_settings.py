"""A request in vLLM's terms: lengths, batches, cache type, and over which devices it is cut.

Source: vllm-project/vllm 0.33.0 vllm/engine/arg_utils.py (defaults by device), vllm/config/*.py.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import RecurrentState
from whatfits.sizing.runtimes.vllm_devices import capability, default_batches, vllm_devices
from whatfits.sizing.runtimes.vllm_drafts import vllm_drafted_tokens
from whatfits.sizing.runtimes.vllm_kernels import refuse_missing_kernels
from whatfits.sizing.runtimes.vllm_layers import refuse_unknown_caches
from whatfits.sizing.runtimes.vllm_parallel import Cut, cut_over
from whatfits.sizing.runtimes.vllm_refusals import refuse_what_means_nothing
from whatfits.sizing.settings import default_context_tokens, whole_within
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Device, Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["CacheType", "VllmSettings", "resolve_vllm"]

CacheType = Literal["auto", "fp8"]
_MOST_TOKENS: Final = 2**31 - 1
_MOST_SEQUENCES: Final = 2**16
_MOST_BATCH_TOKENS: Final = 2**22
_BATCHES_IN_FLIGHT: Final = 1  # beside one a pipeline stage: scheduling does not wait for results
_SIXTEEN: Final = frozenset({"auto", "f16", "fp16", "float16", "bf16", "bfloat16"})
_EIGHT: Final = frozenset({"fp8", "fp8_e4m3", "e4m3"})
_DATA_CENTRE_BLACKWELL: Final = 10
# FlashMLA, which reads FP8 on Hopper; FlashInfer. Others, FlashAttention on Hopper among them, take
# any multiple of 16.
_HOPPER: Final = 9
_FP8_LATENT_BLOCK, _BLACKWELL_LATENT_BLOCK, _OTHER_BLOCK = 64, 32, 16
_FP8_BY_DEFAULT: Final = "glm-dsa"  # on Blackwell of data centres
_OFFLINE: Final = "api"
_CAPTURING: Final = frozenset({"cuda", "rocm"})  # decoding runs from captured graphs


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """What vLLM is started with.

    Attributes:
        devices: what it runs on: accelerators of one back end, or the host alone.
        cut: how the model is cut over them.
        request_tokens: the longest request, prompt and answer (`--max-model-len`).
        sequences: requests at once (`--max-num-seqs`).
        batch_tokens: tokens of one batch (`--max-num-batched-tokens`).
        cache_type: of the cache: the model's own 16 bits, or FP8.
        offline: used as a library: larger batches by default.
        has_states: some layer keeps a state of fixed size.
        embeds: it hands out embeddings (`--runner pooling`).
        sequences_asked: `sequences` were asked for, and are not lowered to what the cache holds.
        drafted_tokens: tokens that the model's own prediction layers draft ahead; 0 without drafts.
    """

    devices: tuple[Device, ...]
    cut: Cut
    request_tokens: int
    sequences: int
    batch_tokens: int
    cache_type: CacheType
    offline: bool
    has_states: bool
    embeds: bool = False
    sequences_asked: bool = False
    drafted_tokens: int = 0

    @property
    def on_host(self) -> bool:
        """Whether it runs on the CPU."""
        return self.devices[0].kind == "cpu"

    @property
    def in_flight_tokens(self) -> int:
        """Tokens of all batches on the way."""
        return (self.cut.stages + _BATCHES_IN_FLIGHT) * self.batch_tokens

    @property
    def state_slots(self) -> int:
        """Blocks of the cache without which vLLM refuses so many sequences; 0 where it takes fewer.

        A request in progress keeps its states in a block of its own. Where decoding is captured,
        vLLM wants one for each sequence before it starts. Source: vllm-project/vllm pull 38270
        and issue 49064.
        """
        return self.sequences if self.sequences_asked and self._keeps_a_block_each else 0

    def lowered_to(self, n_blocks: int) -> VllmSettings:
        """Return the same with no more sequences than blocks, where that matters and none asked."""
        if self.sequences_asked or not self._keeps_a_block_each or n_blocks >= self.sequences:
            return self
        return replace(self, sequences=n_blocks)

    @property
    def _keeps_a_block_each(self) -> bool:
        return self.has_states and self.devices[0].kind in _CAPTURING

    @property
    def latent_block_tokens(self) -> int:
        """Tokens of a block of latent rows, as the device's attention kernel wants them."""
        if self._major == _DATA_CENTRE_BLACKWELL:
            return _BLACKWELL_LATENT_BLOCK
        is_fp8 = self._major == _HOPPER and self.cache_type == "fp8"
        return _FP8_LATENT_BLOCK if is_fp8 else _OTHER_BLOCK

    @property
    def plain_sparse_rows(self) -> bool:
        """Whether rows that an indexer picks go to FlashInfer's kernels, which want no scales."""
        return self._major == _DATA_CENTRE_BLACKWELL

    def keeps_fp8(self, model: ModelSpec) -> bool:
        """Whether the cache is in FP8: as asked, or where that is what this model's `auto` is.

        Source: vllm-project/vllm 0.33.0 vllm/model_executor/models/config.py
        (GlmMoeDsaForCausalLM).
        """
        is_default = self.plain_sparse_rows and model.architecture == _FP8_BY_DEFAULT
        return self.cache_type == "fp8" or is_default

    @property
    def _major(self) -> int:
        return int(capability(self.devices[0]) or 0)

    def filled(self, workload: Workload) -> Workload:
        """Return the workload with vLLM's defaults filled in."""
        return replace(
            workload,
            context_tokens=self.request_tokens,
            parallel=self.sequences,
            kv_type_k=self.cache_type,
            kv_type_v=self.cache_type,
            batch=self.batch_tokens,
            spec_draft_n_max=self.drafted_tokens or None,
        )


def resolve_vllm(
    model: ModelSpec, machine: Machine, workload: Workload, request: PlacementRequest
) -> VllmSettings:
    """Return what vLLM would be started with.

    Raises:
        InvalidRequestError: a value is out of range, means nothing to vLLM, or there is no device
            it runs on.
        UnsupportedArchitectureError: what vLLM keeps for this architecture is not known.
    """
    refuse_unknown_caches(model)
    refuse_what_means_nothing(workload, request)
    devices = vllm_devices(machine, request)
    offline = workload.program == _OFFLINE
    batch, sequences = default_batches(devices, machine, offline=offline)
    chosen_batch = whole_within("batch", workload.batch, default=batch, high=_MOST_BATCH_TOKENS)
    chosen_sequences = whole_within(
        "parallel", workload.parallel, default=min(sequences, chosen_batch), high=_MOST_SEQUENCES
    )
    if chosen_batch < chosen_sequences:
        raise InvalidRequestError(
            what="batch",
            got=chosen_batch,
            allowed=f"at least {chosen_sequences:,}, the requests at once",
            next_step="raise batch, or lower parallel",
        )
    for name in ("prompt_tokens", "output_tokens"):
        whole_within(name, getattr(workload, name), default=1, high=_MOST_TOKENS)
    cut = cut_over(model, len(devices), split_mode=request.split_mode)
    cache_type = _cache_type(workload)
    refuse_missing_kernels(model, devices, cut, cache_in_fp8=cache_type == "fp8")
    return VllmSettings(
        devices=devices,
        cut=cut,
        request_tokens=_request_tokens(model, workload),
        sequences=chosen_sequences,
        batch_tokens=chosen_batch,
        cache_type=cache_type,
        offline=offline,
        has_states=any(isinstance(layer.recurrent, RecurrentState) for layer in model.layers),
        embeds=model.embeds,
        sequences_asked=workload.parallel is not None,
        drafted_tokens=vllm_drafted_tokens(model, workload, cut),
    )


def _request_tokens(model: ModelSpec, workload: Workload) -> int:
    """Return the longest request; unset: 8,192 or the training context if that is smaller."""
    trained = model.hparams.context_train_tokens or _MOST_TOKENS
    most = whole_within(
        "context_tokens",
        workload.context_tokens,
        default=default_context_tokens(model),
        high=_MOST_TOKENS,
    )
    if most > trained:
        raise InvalidRequestError(
            what="context_tokens for vllm",
            got=most,
            allowed=f"at most {trained:,}, what the model was trained for",
            next_step="vLLM does not start with more",
        )
    return most


def _cache_type(workload: Workload) -> CacheType:
    kinds = {(workload.kv_type_k or "auto").lower(), (workload.kv_type_v or "auto").lower()}
    if kinds <= _SIXTEEN:
        return "auto"
    if kinds <= _EIGHT:
        return "fp8"
    got = " and ".join(sorted(kinds))
    raise InvalidRequestError(
        what="kv_type for vllm", got=got, allowed="auto (f16, bf16), fp8; one type for both"
    )
