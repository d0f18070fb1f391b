"""A whole checkpoint under a layout: which tensors are quantised, and what each then takes.

The tensors are those of the model's GGUF table: the same matrices under other names, rows first
there. Layers are quantised, embeddings and the output matrix only where a layout does that (MLX);
norms, biases, routers and convolutions stay in 16 bits.
"""

from __future__ import annotations

import re
from functools import partial
from math import prod

from whatfits.sizing.quants.layouts.mlx import MlxMode, MlxModule, mlx_group, mlx_parts
from whatfits.sizing.quants.layouts.parts import HALF
from whatfits.sizing.typed import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final

    from whatfits.sizing.model import TensorSpec
    from whatfits.sizing.quants.layouts.parts import Parts

__all__ = ["Layout", "checkpoint_bytes", "mlx_checkpoint_bytes"]

_LINEAR: Final = (
    r"blk\.\d+\.(attn_(q|k|v|qkv|output|q_a|q_b|kv_a_mqa|kv_b|k_b|v_b|gate)"
    r"|indexer\.attn_(k|q_b)"
    r"|ffn_(gate|up|down|gate_up)(_exps|_shexp)?|ssm_(in|out|alpha|beta|ba|x|dt))\.weight$"
)
_ENDS: Final = ("token_embd.weight", "output.weight")
_GROUP: Final = 64
_MLX_USUAL: Final[Mapping[str, int | None]] = {"ffn_gate_inp": 8}  # routers
_NOTHING: Final[Mapping[str, MlxModule]] = {}


class Layout(Protocol):
    """A function from a matrix to its stored tensors."""

    def __call__(self, rows: int, columns: int, /) -> Parts:
        """Return the stored tensors of one matrix."""
        ...


def checkpoint_bytes(
    tensors: Iterable[TensorSpec],
    layout: Layout,
    *,
    keeps: Callable[[str], bool] = lambda _: False,
) -> dict[str, int]:
    """Return GGUF tensor name → bytes in a checkpoint whose linear layers follow `layout`.

    A stack of experts counts as so many matrices. Tensors that `keeps` names stay in 16 bits.
    """
    return {
        tensor.name: _quantised(tensor.shape, layout)
        if re.match(_LINEAR, tensor.name) and not keeps(tensor.name)
        else prod(tensor.shape) * HALF
        for tensor in tensors
    }


def mlx_checkpoint_bytes(
    tensors: Iterable[TensorSpec],
    *,
    bits: int = 4,
    group: int = _GROUP,
    mode: MlxMode = "affine",
    overrides: Mapping[str, int | None] = _MLX_USUAL,
    exact: Mapping[str, MlxModule] = _NOTHING,
) -> dict[str, int]:
    """Return GGUF tensor name → bytes in an MLX checkpoint.

    Embeddings and the output matrix are quantised as well. `overrides` are modules of their own:
    part of a tensor's name → bits of its affine groups of 64, None for 16 bits; by default routers
    (the gate of a shared expert too) have 8 bits in every mode. `exact` goes before them: tensor →
    how it is stored. A row that is no multiple of the group stays in 16 bits.
    Source: ml-explore/mlx-lm 0.32.2 mlx_lm/models/*.py (quant_predicate), utils.py.
    """
    usual = MlxModule(bits, group, mode)
    sizes: dict[str, int] = {}
    for tensor in tensors:
        module = MlxModule(None, group, mode)
        named = next((part for part in overrides if part in tensor.name), None)
        if tensor.name in exact:
            module = exact[tensor.name]
        elif named is not None:
            module = MlxModule(overrides[named], _GROUP, "affine")
        elif tensor.name in _ENDS or re.match(_LINEAR, tensor.name):
            module = usual
        sizes[tensor.name] = _mlx_bytes(tensor.shape, module)
    return sizes


def _mlx_bytes(shape: tuple[int, ...], module: MlxModule) -> int:
    if module.bits is None or shape[0] % mlx_group(module.group, module.mode):
        return prod(shape) * HALF
    layout = partial(mlx_parts, bits=module.bits, group=module.group, mode=module.mode)
    return _quantised(shape, layout)


def _quantised(shape: tuple[int, ...], layout: Layout) -> int:
    columns, rows, *stack = (*shape, 1) if len(shape) == 1 else shape
    return prod(stack) * sum(layout(rows, columns).values())
