"""What a checkpoint takes on disk that nobody has downloaded: its configuration says enough."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.quants.layouts.checkpoint import checkpoint_bytes, mlx_checkpoint_bytes
from whatfits.sizing.quants.layouts.module_names import gguf_part, keeper
from whatfits.sizing.quants.layouts.parts import HALF

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from whatfits.sizing.model import TensorSpec
    from whatfits.sizing.quants.layouts.from_config import CheckpointQuantisation

__all__ = ["whole_checkpoint_bytes"]

_DTYPE_BYTES: Final = {"float32": 4, "float16": 2, "bfloat16": 2}
_MADE: Final = "rope_f"  # rope_freqs, rope_factors_long, rope_factors_short
_MAX_OVERRIDES: Final = 2_000  # each is looked for in each tensor's name


def whole_checkpoint_bytes(
    tensors: Iterable[TensorSpec],
    quantisation: CheckpointQuantisation | None,
    config: Mapping[str, object],
) -> int | None:
    """Return the tensor bytes of a checkpoint of this configuration; None when it is not known."""
    # Rotary factors are computed by the converter; no checkpoint holds them.
    tensors = tuple(tensor for tensor in tensors if not tensor.name.startswith(_MADE))
    if quantisation is None:
        kind = config.get("dtype", config.get("torch_dtype"))
        each = _DTYPE_BYTES.get(kind, HALF) if isinstance(kind, str) else HALF
        return sum(prod(tensor.shape) * each for tensor in tensors)
    if quantisation.layout is None or len(quantisation.overrides) > _MAX_OVERRIDES:
        return None
    try:
        return sum(_sizes(tensors, quantisation).values())
    except InvalidRequestError:  # a row that is no multiple of the group
        return None


def _sizes(tensors: tuple[TensorSpec, ...], quantisation: CheckpointQuantisation) -> dict[str, int]:
    assert quantisation.layout is not None
    if quantisation.method != "mlx":
        keeps = keeper(quantisation.excluded, only_experts=quantisation.only_experts)
        return checkpoint_bytes(tensors, quantisation.layout, keeps=keeps)
    given = ((gguf_part(name), bits) for name, bits in quantisation.overrides.items())
    overrides = {part: bits for part, bits in given if part is not None}
    return mlx_checkpoint_bytes(
        tensors,
        bits=quantisation.bits or 4,
        group=quantisation.group,
        mode=quantisation.mode,
        overrides=overrides,
    )
