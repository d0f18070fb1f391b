"""What a checkpoint takes on disk that nobody has downloaded: its configuration says enough."""

from __future__ import annotations

import re
from math import prod

from whatfits.sizing.architectures import language_parts
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.quants.layouts.checkpoint import checkpoint_bytes, mlx_checkpoint_bytes
from whatfits.sizing.quants.layouts.mlx import MlxModule
from whatfits.sizing.quants.layouts.module_names import gguf_part, keeper
from whatfits.sizing.quants.layouts.parts import HALF
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

    from whatfits.sizing.model import TensorSpec
    from whatfits.sizing.quants.layouts.block import CheckpointQuantisation

__all__ = ["ExpectedBytes", "whole_checkpoint_bytes"]

_DTYPE_BYTES: Final = {"float32": 4, "float16": 2, "bfloat16": 2}
_MADE: Final = "rope_f"  # rope_freqs, rope_factors_long, rope_factors_short
_BY_PUBLISHERS: Final = frozenset({"fp8"})
_MAX_OVERRIDES: Final = 20_000
_ROUTER: Final = re.compile(r"blk\.\d+\.ffn_gate_inp(_shexp)?\.weight")
_OWN_ROUTERS: Final = ("exp_probs_b", "attn_kv_a_mqa")
_OTHER_PARTS: Final = re.compile(r"(?:^|\.)(?:visual|vision\w*|audio\w*|embed_vision|mtp)(?:\.|$)")
_LEAST_BITS: Final = 1  # of any method


class ExpectedBytes(NamedTuple):
    """Tensor bytes of a checkpoint; the same twice where they are worked out."""

    low: int
    high: int


def whole_checkpoint_bytes(
    tensors: Iterable[TensorSpec],
    quantisation: CheckpointQuantisation | None,
    config: Mapping[str, object],
    *,
    predicting: Iterable[TensorSpec] = (),
) -> ExpectedBytes | None:
    """Return the tensor bytes of a checkpoint of this configuration; None without tensors.

    `predicting` are the blocks that predict further tokens: publishers store them, in 16 bits or
    FP8; the tools that quantise a model afterwards load it without them.
    Where the layout or the modules it is for are not known, from all weights in the bits that the
    block names, without scales, to all of them in 16 bits.
    """
    if quantisation is None or quantisation.method in _BY_PUBLISHERS:
        tensors = (*tensors, *predicting)
    # Rotary factors are computed by the converter; no checkpoint holds them.
    tensors = tuple(tensor for tensor in tensors if not tensor.name.startswith(_MADE))
    if not tensors:
        return None
    each = _element_bytes(config)
    plain = sum(prod(tensor.shape) for tensor in tensors) * each
    if quantisation is None:
        return ExpectedBytes(plain, plain)
    worked_out = _worked_out(tensors, quantisation)
    if worked_out is not None:
        return ExpectedBytes(worked_out, worked_out)
    bits = min(quantisation.bits or _LEAST_BITS, 8 * each)
    return ExpectedBytes(plain // each * bits // 8, plain)


def _element_bytes(config: Mapping[str, object]) -> int:
    """Return the bytes of a weight that is not quantised."""
    for part in language_parts(config):
        kind = part.get("dtype") or part.get("torch_dtype")
        if isinstance(kind, str):
            return _DTYPE_BYTES.get(kind.removeprefix("torch."), HALF)
    return HALF


def _worked_out(
    tensors: tuple[TensorSpec, ...], quantisation: CheckpointQuantisation
) -> int | None:
    unread = quantisation.excluded.unread or quantisation.only.unread
    if quantisation.layout is None or unread or len(quantisation.overrides) > _MAX_OVERRIDES:
        return None
    try:
        sizes = _mlx_sizes if quantisation.method == "mlx" else _sizes
        found = sizes(tensors, quantisation)
    except InvalidRequestError:  # a row that is no multiple of the group
        return None
    return None if found is None else sum(found.values())


def _sizes(
    tensors: tuple[TensorSpec, ...], quantisation: CheckpointQuantisation
) -> dict[str, int] | None:
    assert quantisation.layout is not None
    keeps = keeper(
        quantisation.excluded, only=quantisation.only, only_experts=quantisation.only_experts
    )
    return checkpoint_bytes(tensors, quantisation.layout, keeps=keeps)


def _mlx_sizes(
    tensors: tuple[TensorSpec, ...], quantisation: CheckpointQuantisation
) -> dict[str, int] | None:
    """Return the sizes of an MLX checkpoint; None when a module it names has no tensor here.

    A router that is not named has the bits of the rest, as every linear layer; those of DeepSeek's
    kind (a bias for the choice of experts, or latent attention) are no linear layers in MLX's code
    and stay in 16 bits.
    """
    own_kind = any(mark in tensor.name for tensor in tensors for mark in _OWN_ROUTERS)
    routers = (tensor.name for tensor in tensors if _ROUTER.fullmatch(tensor.name))
    usual = MlxModule(quantisation.bits, quantisation.group, quantisation.mode)
    exact = dict.fromkeys(routers, usual._replace(bits=None) if own_kind else usual)
    for module, own in quantisation.overrides.items():
        name = gguf_part(module)
        if name is not None:
            exact[name] = own
        elif not _OTHER_PARTS.search(module):
            return None
    return mlx_checkpoint_bytes(
        tensors,
        bits=quantisation.bits or 4,
        group=quantisation.group,
        mode=quantisation.mode,
        overrides={},
        exact=exact,
    )
