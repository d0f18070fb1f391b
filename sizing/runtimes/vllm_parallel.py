"""How vLLM cuts a model over devices: every matrix over all (TP), or layers in stages (PP).

Source: vllm-project/vllm 0.33.0 vllm/distributed/utils.py (get_pp_indices), the parallel layers of
vllm/model_executor/layers.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import LatentAttention
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import pad
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from whatfits.sizing.model import ModelSpec

__all__ = ["VOCABULARY_STEP", "Cut", "cut_over", "stage_layers", "why_not_ranks"]

VOCABULARY_STEP: Final = 64  # rows of the embedding are padded to it
_SSM_GROUPS: Final = "ssm.group_count"
_SSM_HEADS: Final = "ssm.time_step_rank"
_WIDTHS: Final = "feed-forward columns"
_EXPERT_WIDTHS: Final = "columns of an expert"
_GROUPED: Final = (_WIDTHS, _EXPERT_WIDTHS)  # of these a rank has whole groups


@dataclass(frozen=True, slots=True)
class Cut:
    """How many devices a model is cut over, and how.

    Attributes:
        ranks: that share every layer (tensor parallel).
        stages: that have layers of their own (pipeline parallel).
        reason: why it is cut that way, for people; None with one device.
        layer_counts: layers of each stage where vLLM is told (`VLLM_PP_LAYER_PARTITION`); None
            where it shares them out by its own rule.
    """

    ranks: int
    stages: int
    reason: str | None = None
    layer_counts: tuple[int, ...] | None = None

    def layers(self, n_layers: int) -> tuple[range, ...]:
        """Return the layers of each stage."""
        if self.layer_counts is None:
            return stage_layers(n_layers, self.stages)
        return _in_a_row(self.layer_counts)


def cut_over(model: ModelSpec, n_devices: int, *, split_mode: str | None = None) -> Cut:
    """Return how the model is cut: over all devices where that divides it, else in stages.

    `split_mode` asks for one of them: `row` for ranks, `layer` for stages.

    Raises:
        InvalidRequestError: the ranks asked for do not divide the model, or there are more stages
            than layers.
    """
    if n_devices == 1:
        return Cut(1, 1)
    why_not = why_not_ranks(model, n_devices)
    if split_mode == "row" and why_not is not None:
        raise InvalidRequestError(
            what="tensor-parallel ranks",
            got=n_devices,
            allowed=f"a number that divides {why_not}",
            next_step="name fewer devices, or split by layer",
        )
    if split_mode != "layer" and why_not is None:
        return Cut(n_devices, 1, f"tensor parallel over {n_devices} devices")
    if n_devices > model.n_layers:
        raise InvalidRequestError(
            what="pipeline stages", got=n_devices, allowed=f"at most {model.n_layers}, the layers"
        )
    because = "as asked" if why_not is None else f"{n_devices} does not divide {why_not}"
    return Cut(1, n_devices, f"pipeline parallel over {n_devices} devices: {because}")


def why_not_ranks(model: ModelSpec, ranks: int) -> str | None:
    """Return what of the model so many ranks do not divide, in words; None when they divide all."""
    group = 1 if model.checkpoint is None else model.checkpoint.group
    for name, count in _counts(model):
        if count % ranks:
            return f"the {count:,} {name}"
        if group > 1 and name in _GROUPED and count % group == 0 and (count // ranks) % group:
            return f"the {count:,} {name} into whole groups of {group}"
    for heads in {layer.n_head_kv for layer in model.layers if _has_kv_heads(layer.attention)}:
        if heads % ranks and ranks % heads:
            return f"the {heads:,} key/value heads"
    return None


def _has_kv_heads(attention: object) -> bool:
    return attention is not None and not isinstance(attention, LatentAttention)


def _counts(model: ModelSpec) -> Iterator[tuple[str, int]]:
    """Yield what ranks have to divide; 0 where a model has none."""
    hparams = model.hparams
    for heads in sorted({layer.n_head for layer in model.layers}):
        yield "attention heads", heads
    for width in sorted({layer.n_ff for layer in model.layers}):
        yield _WIDTHS, width
    yield _EXPERT_WIDTHS, hparams.n_ff_exp
    yield "columns of the shared experts", hparams.n_ff_shexp
    yield "rows of the padded vocabulary", pad(hparams.n_vocab, VOCABULARY_STEP)
    if any(layer.recurrent is not None for layer in model.layers):
        for key, name in ((_SSM_GROUPS, "groups"), (_SSM_HEADS, "heads")):
            count = model.metadata.get(f"{model.architecture}.{key}")
            # one group goes to every rank (mamba_mixer2.py)
            is_lone = (key, count) == (_SSM_GROUPS, 1)
            yield f"{name} of the state", count if isinstance(count, int) and not is_lone else 0


def stage_layers(n_layers: int, stages: int) -> tuple[range, ...]:
    """Return the layers of each stage: equally many, what remains from the last but one back."""
    counts = [n_layers // stages] * stages
    for back in range(2, n_layers % stages + 2):
        counts[-back] += 1
    return _in_a_row(counts)


def _in_a_row(counts: Sequence[int]) -> tuple[range, ...]:
    starts = [sum(counts[:stage]) for stage in range(len(counts))]
    return tuple(range(start, start + count) for start, count in zip(starts, counts, strict=True))
