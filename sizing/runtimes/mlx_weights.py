"""The tensors of a model as mlx-lm keeps them: which are quantised, and what each then takes.

Linear layers, embeddings and stacks of experts are quantised where a row is a whole number of
groups; norms, biases, convolutions and state decay are not. The tensors come from the model's GGUF
table in 16 bits: the same matrices under other names, rows first there, and what that keeps in
32 bits is what MLX keeps in 16.
Source: ml-explore/mlx-lm 0.32.2 mlx_lm/utils.py (quantize_model), mlx_lm/convert.py (recipes),
mlx_lm/models/*.py. Error: none against 17 loads (tests/golden/test_recorded_mlx.py); state decay
and the selection bias of experts have 32 bits in some checkpoints, which the interval holds.
"""

from __future__ import annotations

import re
from math import prod

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import ByteRange
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.layouts.mlx import mlx_parts
from whatfits.sizing.quants.layouts.parts import F32, HALF
from whatfits.sizing.runtimes.mlx_models import mlx_model
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import ModelSpec, TensorSpec
    from whatfits.sizing.quants.layouts.mlx import MlxMode
    from whatfits.sizing.runtimes.mlx_models import MlxModel
    from whatfits.sizing.runtimes.mlx_types import MlxType

__all__ = ["MARK", "SIXTEEN_BITS", "as_mlx", "stored_arrays"]

SIXTEEN_BITS: Final = "16 bits"
"""Type of a tensor that is not quantised."""
MARK: Final = "mlx.file_type"
"""Key in a model's metadata: it is as mlx-lm has it."""

_MADE: Final = "rope_f"  # rope_freqs, rope_factors_…: computed, in no checkpoint
_ROUTER: Final = re.compile(r"blk\.\d+\.ffn_gate_inp(_shexp)?\.weight")
_SMALL_MATRIX: Final = re.compile(r"blk\.\d+\.indexer\.proj\.weight")  # in 32 bits in a GGUF
# These have 32 bits where the publisher's checkpoint has them so: `cast_predicate`.
_PERHAPS_32: Final = re.compile(r"blk\.\d+\.(ssm_a|exp_probs_b\.bias)$")
# What a recipe's `v_proj`, `v_a_proj` and `down_proj` find: the fused matrices hold a `v_proj` in
# their names too.
_BETTER: Final = (
    r"blk\.\d+\.(attn_v|attn_qkv|attn_kv_a_mqa|ffn_down|ffn_down_exps|ffn_down_shexp)\.weight"
)
_OUTPUT: Final = "output.weight"
_NATIVE: Final = "MXFP4"
_NATIVE_LABEL: Final = "mxfp4"
_GROUP: Final = 64
_ROUTER_BITS: Final = 8
_LEFT_OVER: Final = 1.15  # of a model without a tensor table: what may stay in 16 bits


class _Stored(NamedTuple):
    """How one tensor is kept."""

    label: str
    n_bytes: int
    high_bytes: int


def as_mlx(model: ModelSpec, file_type: MlxType) -> ModelSpec:
    """Return `model`, given in 16 bits as a GGUF, as mlx-lm has it under a file type.

    Next-token-prediction layers are left out, as mlx-lm leaves them.

    Raises:
        InvalidRequestError: the recipe looks for modules that this model does not have.
        UnsupportedArchitectureError: mlx-lm does not run it.
    """
    rules = mlx_model(model.architecture, name=model.name)
    if file_type.high_bits is not None and not rules.down_proj:
        raise InvalidRequestError(
            what="file type",
            got=file_type.name,
            allowed=f"a plain one: {model.name} has no `down_proj` modules for a recipe",
            next_step="take 4bit",
        )
    hparams = replace(model.hparams, n_layer_nextn=0)
    metadata = {**model.metadata, MARK: file_type.name}
    if not model.tensors:
        return replace(
            model,
            hparams=hparams,
            file_header=None,
            file_type=file_type.name,
            weights=_scaled(model, file_type),
            metadata=metadata,
        )
    tensors: list[TensorSpec] = []
    low = high = 0
    for tensor in model.tensors:
        if tensor.name.startswith(_MADE):
            continue
        kept = _stored(tensor, file_type, rules, n_layers=model.n_layers)
        tensors.append(replace(tensor, type=kept.label, n_bytes=kept.n_bytes, offset_bytes=None))
        low += kept.n_bytes
        high += kept.high_bytes
    reason = "state decay and selection biases have 16 or 32 bits, as the publisher kept them"
    return replace(
        model,
        tensors=tuple(tensors),
        hparams=hparams,
        file_header=None,
        file_type=file_type.name,
        file_bytes=low,
        weights=None if low == high else ByteRange(low, low, high, reason),
        prediction_tensors=(),
        metadata=metadata,
    )


def stored_arrays(model: ModelSpec) -> int:
    """Return how many arrays the weights are: a quantised matrix is two or three."""
    return sum(_arrays(tensor.type) for tensor in model.tensors)


def _arrays(label: str) -> int:
    if label.startswith("affine"):
        return 3
    return 2 if label in ("mxfp4", "mxfp8", "nvfp4") else 1


def _stored(tensor: TensorSpec, file_type: MlxType, rules: MlxModel, *, n_layers: int) -> _Stored:
    count = prod(tensor.shape)
    if tensor.type == _NATIVE:  # already quantised: a conversion leaves it
        return _Stored(_NATIVE_LABEL, tensor.n_bytes, tensor.n_bytes)
    bits, group, mode = _way(tensor, file_type, rules, n_layers=n_layers)
    columns = tensor.shape[0]
    if bits is None or columns % file_type.group or columns % group:
        wide = F32 if _PERHAPS_32.match(tensor.name) else HALF
        return _Stored(SIXTEEN_BITS, count * HALF, count * wide)
    rows = count // columns
    size = sum(mlx_parts(rows, columns, bits=bits, group=group, mode=mode).values())
    label = f"affine {bits} bits" if mode == "affine" else mode
    return _Stored(label, size, size)


def _way(
    tensor: TensorSpec, file_type: MlxType, rules: MlxModel, *, n_layers: int
) -> tuple[int | None, int, MlxMode]:
    """Return bits (None for 16), group and mode of one tensor."""
    usual = (file_type.bits, file_type.group, file_type.mode)
    kept = (None, file_type.group, file_type.mode)
    if file_type.bits is None:
        return kept
    mixed = file_type.high_bits is not None
    if _ROUTER.fullmatch(tensor.name):
        if rules.router == "kept":
            return kept
        # a recipe takes the place of the model's own choice
        own = rules.router == "eight" and not mixed
        return (_ROUTER_BITS, _GROUP, "affine") if own else usual
    if not _is_matrix(tensor):
        return kept
    if mixed and _is_better(tensor, n_layers=n_layers):
        return (file_type.high_bits, file_type.group, "affine")
    return usual


def _is_matrix(tensor: TensorSpec) -> bool:
    if _SMALL_MATRIX.fullmatch(tensor.name):
        return True
    return len(tensor.shape) > 1 and tensor.type == "F16" and tensor.name.endswith(".weight")


def _is_better(tensor: TensorSpec, *, n_layers: int) -> bool:
    """Return whether a recipe gives a matrix its higher bits.

    The first and the last eighth of the layers have them, and every third in between.
    """
    if tensor.name == _OUTPUT:
        return True
    if not re.fullmatch(_BETTER, tensor.name) or tensor.layer is None:
        return False
    first = n_layers // 8
    last = 7 * n_layers // 8
    return tensor.layer < first or tensor.layer >= last or (tensor.layer - first) % 3 == 2  # noqa: PLR2004 - the third


def _scaled(model: ModelSpec, file_type: MlxType) -> ByteRange | None:
    """Return the interval of weights without a tensor table, from that in 16 bits."""
    known = model.weights
    if known is None:
        return None
    share = file_type.bits_per_weight / 16
    return ByteRange(
        round(known.low_bytes * share),
        round(known.mid_bytes * share),
        round(known.high_bytes * min(1.0, share * _LEFT_OVER)),
        known.reason,
    )
