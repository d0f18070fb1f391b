"""How a request drafts tokens ahead, and what that changes in the main context.

Source: llama.cpp (0c1e57098) common/common.h (common_params_speculative: defaults,
need_n_rs_seq), common/speculative.cpp (common_speculative_n_max, the types by name),
src/llama-arch.cpp:llm_arch_supports_rs_rollback.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import FullAttention, LatentAttention, SlidingWindow
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import LayerSpec, ModelSpec
    from whatfits.sizing.workload import SpecType, Workload

__all__ = [
    "DEFAULT_DRAFT_TOKENS",
    "draft_type",
    "drafted_tokens",
    "prediction_layer",
    "state_snapshots",
]

DEFAULT_DRAFT_TOKENS: Final = 3
_MAX_DRAFT_TOKENS: Final = 1024
_TYPES: Final = ("none", "draft-simple", "draft-mtp")
_CAN_STEP_BACK: Final = frozenset(
    {
        "bailingmoe3",
        "deepseek4",
        "glm5-next",
        "kimi-k3",
        "lfm2",
        "lfm2moe",
        "nemotron_h",
        "nemotron_h_moe",
        "qwen35",
        "qwen35moe",
        "qwen4exp",
    }
)


def draft_type(workload: Workload) -> SpecType:
    """Return how drafts are made: as asked for, else by a model when one is given.

    Raises:
        InvalidRequestError: an unknown kind, or one that does not go with the draft model.
    """
    kind, has_model = workload.spec_type, bool(workload.model_draft)
    if kind is None:
        return "draft-simple" if has_model else "none"
    if kind not in _TYPES:
        raise InvalidRequestError(what="spec_type", got=kind, allowed=", ".join(_TYPES))
    if has_model != (kind == "draft-simple"):
        raise InvalidRequestError(
            what="spec_type",
            got=f"{kind} {'with' if has_model else 'without'} a draft model",
            allowed="draft-simple with one; draft-mtp and none without",
        )
    return kind


def drafted_tokens(workload: Workload) -> int:
    """Return how many tokens are drafted ahead at most; 0 when nothing drafts.

    Raises:
        InvalidRequestError: the number is out of range.
    """
    if draft_type(workload) == "none":
        return 0
    count = workload.spec_draft_n_max
    if count is None:
        return DEFAULT_DRAFT_TOKENS
    if isinstance(count, bool) or not 0 <= count <= _MAX_DRAFT_TOKENS:
        raise InvalidRequestError(
            what="spec_draft_n_max",
            got=count,
            allowed=f"a whole number from 0 to {_MAX_DRAFT_TOKENS:,}",
        )
    return count


def state_snapshots(model: ModelSpec, workload: Workload) -> int:
    """Return how many earlier recurrent states are kept beside the current one.

    Only the model's own prediction layers ask for them, and only some architectures can.
    """
    if draft_type(workload) != "draft-mtp" or model.architecture not in _CAN_STEP_BACK:
        return 0
    return drafted_tokens(workload)


def prediction_layer(model: ModelSpec) -> LayerSpec:
    """Return the shape of a prediction layer: the last layer with attention, over all tokens."""
    layer = next(layer for layer in reversed(model.layers) if layer.attention is not None)
    cache = layer.attention
    if isinstance(cache, SlidingWindow):
        cache = FullAttention(cache.key_width, cache.value_width)
    assert isinstance(cache, FullAttention | LatentAttention)
    return replace(layer, attention=cache, recurrent=None, reuses_cache=False, cache_layer=None)
