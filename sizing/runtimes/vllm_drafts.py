"""Drafts by a model's own prediction layers under vLLM: which models, and how many tokens.

vLLM loads the layers beside the others, shares the embedding and the output matrix with them, and
keeps what they remember in the same cache. Source: vllm-project/vllm 0.33.0
vllm/config/speculative.py, vllm/v1/spec_decode/llm_base_proposer.py,
vllm/model_executor/models/qwen3_5_mtp.py; caches as logged are in tests/recorded/vllm.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.speculation import drafted_tokens
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes.vllm_parallel import Cut
    from whatfits.sizing.workload import Workload

__all__ = ["vllm_drafted_tokens"]

_BY_LAYERS: Final = "draft-mtp"
_NEITHER: Final = (None, "none")
# Architectures whose prediction layers are like their other layers with attention, and of which
# logs tell the cache with drafts.
_KNOWN: Final = frozenset({"qwen35", "qwen35moe"})


def vllm_drafted_tokens(model: ModelSpec, workload: Workload, cut: Cut) -> int:
    """Return the tokens drafted ahead; 0 without drafts. Unset: one a prediction layer, as in vLLM.

    Raises:
        InvalidRequestError: the model cannot, it is not known what vLLM keeps then, or the number
            is out of range.
    """
    kind, wanted = workload.spec_type, workload.spec_draft_n_max
    if kind in _NEITHER:
        if wanted is not None:
            raise InvalidRequestError(
                what="spec_draft_n_max for vllm",
                got=wanted,
                next_step=f"name what drafts as well: spec_type {_BY_LAYERS}",
            )
        return 0
    if kind != _BY_LAYERS:
        raise InvalidRequestError(
            what="spec_type for vllm", got=kind, allowed=f"none, {_BY_LAYERS}"
        )
    if model.architecture not in _KNOWN or not model.prediction_tensors:
        raise InvalidRequestError(
            what="spec_type for vllm",
            got=_BY_LAYERS,
            allowed=f"a {' or '.join(sorted(_KNOWN))} model that comes with prediction layers",
            next_step=f"what {model.name} takes with drafts is not known: leave them out",
        )
    if cut.stages > 1:
        raise InvalidRequestError(
            what="spec_type for vllm over pipeline stages",
            got=_BY_LAYERS,
            allowed="ranks: a number of devices that divides the model",
            next_step="name fewer devices, or leave the drafts out",
        )
    if wanted == 0:
        raise InvalidRequestError(
            what="spec_draft_n_max for vllm", got=wanted, allowed="at least 1"
        )
    usual = model.hparams.n_layer_nextn if wanted is None else wanted
    return drafted_tokens(replace(workload, spec_draft_n_max=usual))
