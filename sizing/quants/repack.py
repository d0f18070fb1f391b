"""Which weights llama.cpp rearranges into a CPU buffer of their own, and what they take there.

Without a GPU, llama.cpp offers every weight to the extra buffers of its CPU back end before the
plain one, in this order: `AMX`, then `CPU_REPACK`. A weight goes where the operation that uses it
is supported: matrix products with rows that divide by the kernel's width, and nothing else.
Features are named as Linux lists them (`avx2`, `avx512f`, `avx512_vnni`, `amx_int8`, `asimddp`,
`i8mm`, `vxe`, `zvl256b`); ggml's own names for the same are accepted too (`dotprod`, …).

Source: ggml-org/llama.cpp (commit 0c1e5709, 2026-10-01), ggml/src/ggml-cpu/repack.cpp
(ggml_repack_get_optimal_repack_type, extra_buffer_type), ggml/src/ggml-cpu/amx/amx.cpp and mmq.cpp,
ggml/src/ggml-cpu/ggml-cpu.cpp (order), src/llama-arch.cpp (LLM_TENSOR_INFOS, the operations),
src/llama-model-loader.cpp (weight_buft_supported). Holds for a build that uses what the CPU has.
Error: none against dry runs on AMX and recorded ones on AVX2.
"""

from __future__ import annotations

from functools import lru_cache

from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.quants.tensor_classes import split_layer
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.model import TensorSpec

__all__ = ["AMX", "CPU_REPACK", "deciding_features", "repack_buffer", "repacked_bytes"]

AMX: Final = "AMX"
CPU_REPACK: Final = "CPU_REPACK"

_ALIGNMENT: Final = 32  # bytes; every tensor of a CPU buffer starts on such a boundary
_STACK_DIMENSIONS: Final = 3  # a stack of experts
_MATRIX_DIMENSIONS: Final = 2

_SAME_FEATURE: Final = {
    "avx512": "avx512f",
    "avx512vnni": "avx512_vnni",
    "asimddp": "dotprod",
    "matmul_int8": "i8mm",
}

_REPACK_KERNELS: Final = {
    "Q4_0": (("avx2", 8), ("i8mm", 4), ("dotprod", 4), ("vxe", 4), ("rvv256", 16)),
    "Q4_K": (("avx2", 8), ("i8mm", 8), ("dotprod", 8), ("rvv256", 16)),
    "Q2_K": (("avx512f", 8), ("rvv256", 16)),
    "Q5_K": (("i8mm", 8), ("dotprod", 8)),
    "Q6_K": (("i8mm", 8), ("dotprod", 8)),
    "IQ4_NL": (("avx2", 8), ("dotprod", 4), ("rvv256", 16)),
    "MXFP4": (("avx2", 8), ("dotprod", 4)),
    "Q8_0": (("i8mm", 4), ("dotprod", 4), ("rvv256", 16)),
    "Q1_0": (("i8mm", 4), ("dotprod", 4)),
}
"""Storage type → (CPU feature, number the rows must divide by)."""

_AMX_ROWS: Final = 32
_AMX_COLUMNS: Final = {
    "Q4_0": 32,
    "Q4_1": 32,
    "Q8_0": 32,
    "Q4_K": 256,
    "Q5_K": 256,
    "Q6_K": 256,
    "IQ4_XS": 256,
    "F16": 16,
}
"""Storage type AMX computes with → number the row length must divide by."""

_AMX_EXTRA_BLOCK_BYTES: Final = {"Q8_0": 4, "Q4_K": 4, "Q5_K": 4, "IQ4_XS": 2}
"""Storage type → bytes its blocks grow by: a sum to correct with, or scales spread out."""

_DECIDING: Final = frozenset(
    {"amx", *(feature for kernels in _REPACK_KERNELS.values() for feature, _ in kernels)}
)

# Weights that never reach a matrix product: looked up by row, added, or convolved.
_NO_PRODUCT_NAMES: Final = frozenset(
    {
        "position_embd.weight",
        "token_types.weight",
        "per_layer_token_embd.weight",
        "conv1d.weight",
        "d2t.weight",
        "blk.nextn.embed_tokens.weight",
    }
)
_NO_PRODUCT_PARTS: Final = (
    "_norm",
    ".norm",
    "attn_rel_b",
    "conv1d",
    "shortconv.conv.",
    "_conv_base",
    "_ape.",
    "tid2eid",
    "_res_score",
    "markov_w1",
    "selector_predecessor",
    "selector_successor",
    "time_mix_lerp",
    "time_mix_first",
    ".conv1.",
    ".conv2.",
    ".dw.",
)

_Operation = Literal["product", "product by expert"]


def repack_buffer(spec: TensorSpec, *, features: frozenset[str]) -> str | None:
    """Return the extra CPU buffer a weight goes to, `AMX` or `CPU_REPACK`; None for plain memory.

    The token embedding is taken for a matrix, as it is where it serves as the output too; where it
    is only looked up it stays in plain memory, and the caller does not ask.
    """
    operation = _operation(split_layer(spec.name)[1])
    if operation is None:
        return None
    held = _held_features(features)
    if operation == "product" and "amx" in held and _fits_amx(spec):
        return AMX
    dimensions = _dimensions(spec.shape)
    wanted = _MATRIX_DIMENSIONS if operation == "product" else _STACK_DIMENSIONS
    if dimensions != wanted:
        return None
    rows = spec.shape[1]
    kernels = _REPACK_KERNELS.get(spec.type, ())
    return CPU_REPACK if any(f in held and rows % n == 0 for f, n in kernels) else None


def deciding_features(features: frozenset[str]) -> frozenset[str]:
    """Return the features that decide where weights go: CPUs with the same ones treat all alike."""
    return _held_features(features) & _DECIDING


def repacked_bytes(spec: TensorSpec, *, buffer: str) -> int:
    """Return the bytes a weight takes in an extra buffer, padding to the next tensor included.

    `CPU_REPACK` rearranges in place. `AMX` adds a few bytes a block, and reserves one matrix only
    for a stack of them (as llama.cpp does at this commit, for stacks outside the experts).
    """
    extra = _AMX_EXTRA_BLOCK_BYTES.get(spec.type, 0)
    packed = buffer == AMX and spec.type in _AMX_COLUMNS and spec.type != "F16"
    if not packed:
        return pad(spec.n_bytes, _ALIGNMENT)
    kind = GGML_TYPES[spec.type]
    blocks = spec.shape[0] // kind.block_elements * spec.shape[1]
    return pad(blocks * (kind.block_bytes + extra), _ALIGNMENT)


@lru_cache(maxsize=1024)
def _operation(name: str) -> _Operation | None:
    """Return how a weight of this name is used; None when in no matrix product."""
    if not name.endswith(".weight") or name in _NO_PRODUCT_NAMES:
        return None
    if any(part in name for part in _NO_PRODUCT_PARTS):
        return None
    return "product by expert" if name.endswith(("_exps.weight", "_chexps.weight")) else "product"


@lru_cache(maxsize=16)
def _held_features(features: frozenset[str]) -> frozenset[str]:
    """Return the features under one name each, and `amx` and `rvv256` where all they need is."""
    held = {_SAME_FEATURE.get(name.lower(), name.lower()) for name in features}
    if {"amx_int8", "avx512_vnni"} <= held:
        held.add("amx")
    if {"zvfh", "zvl256b"} <= held and "zvl512b" not in held:
        held.add("rvv256")  # the kernels are written for vectors of exactly 256 bits
    return frozenset(held)


def _fits_amx(spec: TensorSpec) -> bool:
    columns = _AMX_COLUMNS.get(spec.type)
    if columns is None or len(spec.shape) < _MATRIX_DIMENSIONS:
        return False
    return spec.shape[1] % _AMX_ROWS == 0 and spec.shape[0] % columns == 0


def _dimensions(shape: tuple[int, ...]) -> int:
    """Return the dimensions of a tensor, trailing ones of one left out."""
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    return len(shape)
