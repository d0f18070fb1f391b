"""What a label such as `Q4_K_M`, `IQ3_XXS` or `UD-Q4_K_XL` says, part by part, in plain words.

Source of the block layouts: ggml-org/llama.cpp (commit 0c1e5709, 2026-10-01),
ggml/src/ggml-common.h and ggml/src/ggml-quants.c; of the recipes: src/llama-quant.cpp.
"""

from __future__ import annotations

from whatfits.sizing.errors import UnknownFileTypeError
from whatfits.sizing.quants.file_types import FileType, find_file_type
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

__all__ = ["LabelParts", "explain_label"]


@dataclass(frozen=True, slots=True)
class LabelParts:
    """A label taken apart.

    Attributes:
        label: the label's usual spelling.
        bits: bits a weight is stored in, scales left out: the number in the label.
        method: how weights are rounded.
        variant: what the size letters mean: which tensors get other types.
        block_layout: how a block of the default type is laid out.
        bits_per_weight: exact bits a weight of the default type, scales included.
        default_type: storage type of most tensors.
        file_type: file type whose published rules the label follows; None when it follows none.
    """

    label: str
    bits: int
    method: str
    variant: str
    block_layout: str
    bits_per_weight: float
    default_type: str
    file_type: str | None


_LEGACY: Final = "legacy: each block is rounded to even steps, with a scale of its own"
_K: Final = "K: super-blocks of 256 weights, whose small groups have short scales of their own"
_CODEBOOK: Final = "I: groups of weights are replaced by the nearest entry of a fixed codebook"
_UNEVEN: Final = "I: each weight takes one of 16 unevenly spaced values, denser around zero"
_TERNARY: Final = "ternary: each weight is -1, 0 or +1 times a scale; for models trained so"
_MICROSCALING: Final = (
    "microscaling: tiny floating-point numbers that share a scale per small block"
)
_FLOAT: Final = "floating point: not quantised"

# Storage type → (method, layout of a block).
_TYPES: Final = {
    "F32": (_FLOAT, "no blocks: 32 bits a weight"),
    "F16": (_FLOAT, "no blocks: 16 bits a weight, 5 of them exponent"),
    "BF16": (_FLOAT, "no blocks: 16 bits a weight, 8 of them exponent, the range of F32"),
    "Q8_0": (_LEGACY, "32 weights of 8 bits and a 16-bit scale"),
    "Q5_1": (_LEGACY, "32 weights of 5 bits, a 16-bit scale and a 16-bit minimum"),
    "Q5_0": (_LEGACY, "32 weights of 5 bits and a 16-bit scale"),
    "Q4_1": (_LEGACY, "32 weights of 4 bits, a 16-bit scale and a 16-bit minimum"),
    "Q4_0": (_LEGACY, "32 weights of 4 bits and a 16-bit scale"),
    "Q2_0": (_LEGACY, "64 weights of 2 bits (-1, 0, 1 or 2 steps) and a 16-bit scale"),
    "Q1_0": (_LEGACY, "128 weights of one sign bit and a 16-bit scale"),
    "Q6_K": (_K, "256 weights of 6 bits: 16 groups with 8-bit scales, one 16-bit factor"),
    "Q5_K": (
        _K,
        "256 weights of 5 bits: 8 groups with 6-bit scale and minimum, two 16-bit factors",
    ),
    "Q4_K": (
        _K,
        "256 weights of 4 bits: 8 groups with 6-bit scale and minimum, two 16-bit factors",
    ),
    "Q3_K": (_K, "256 weights of 3 bits: 16 groups with 6-bit scales, one 16-bit factor"),
    "Q2_K": (
        _K,
        "256 weights of 2 bits: 16 groups with 4-bit scale and minimum, two 16-bit factors",
    ),
    "IQ4_NL": (_UNEVEN, "32 weights of 4 bits and a 16-bit scale"),
    "IQ4_XS": (_UNEVEN, "256 weights of 4 bits: 8 groups with 6-bit scales, one 16-bit factor"),
    "IQ3_S": (
        _CODEBOOK,
        "256 weights: 9 bits pick four of them, a sign bit each, 4-bit scales per 32",
    ),
    "IQ3_XXS": (
        _CODEBOOK,
        "256 weights: 8 bits pick four of them, 7 bits their signs by eight, 4-bit scales per 32",
    ),
    "IQ2_S": (
        _CODEBOOK,
        "256 weights: 10 bits pick eight of them, a sign bit each, 4-bit scales per 16",
    ),
    "IQ2_XS": (
        _CODEBOOK,
        "256 weights: 9 bits pick eight of them, 7 bits their signs, 4-bit scales per 16",
    ),
    "IQ2_XXS": (
        _CODEBOOK,
        "256 weights: 8 bits pick eight of them, 7 bits their signs, 4-bit scales per 32",
    ),
    "IQ1_M": (
        _CODEBOOK,
        "256 weights: 11 bits pick eight of them, a shift for each eight, 3-bit scales per 16",
    ),
    "IQ1_S": (
        _CODEBOOK,
        "256 weights: 11 bits pick eight of them, a shift and a 3-bit scale per 32",
    ),
    "TQ2_0": (_TERNARY, "256 weights of 2 bits and a 16-bit scale"),
    "TQ1_0": (_TERNARY, "256 weights, five to a byte, and a 16-bit scale"),
    "MXFP4": (_MICROSCALING, "32 weights of 4 bits (2 of them exponent) and an 8-bit power of two"),
    "NVFP4": (_MICROSCALING, "64 weights of 4 bits (2 of them exponent), an 8-bit scale per 16"),
}

_ENDS: Final = "stock {0}, but token embedding and output matrix are kept at Q8_0"
_VARIANTS: Final = {
    "Q5_K_M": "medium: half of the attention values and feed-forward outputs get 6 bits",
    "Q5_K_S": "small: 5 bits throughout, 6 for the output matrix",
    "Q4_K_M": "medium: half of the attention values and feed-forward outputs get 6 bits",
    "Q4_K_S": "small: the first attention values and feed-forward outputs get 5 bits",
    "Q3_K_L": "large: attention values and outputs and feed-forward outputs get 5 bits",
    "Q3_K_M": "medium: attention values and outputs and feed-forward outputs get 4 or 5 bits",
    "Q3_K_S": "small: 3 bits throughout, 6 for the output matrix",
    "Q2_K": "attention values and outputs and feed-forward outputs get 3 or 4 bits",
    "Q2_K_S": "small: 2 bits nearly throughout, 4 for the first feed-forward outputs",
    "IQ4_XS": "extra small: longer blocks than IQ4_NL, so fewer bits go to scales",
    "IQ4_NL": "non-linear: short blocks, so rows of any usual width fit",
    "IQ3_M": "medium: attention values and outputs and early feed-forward outputs get 4 bits",
    "IQ3_S": "small: attention values get 4 bits where heads share them",
    "IQ3_XS": "extra small: as IQ3_S, with queries, keys and most feed-forward inputs at IQ3_XXS",
    "IQ3_XXS": "smallest of three bits: queries and keys go down to IQ2_S",
    "IQ2_M": "medium: IQ2_S, with attention outputs and early feed-forward outputs at 3 bits",
    "IQ2_S": "small: IQ2_XS, with attention outputs and early feed-forward outputs at 3 bits",
    "IQ2_XS": "extra small: attention values and early feed-forward outputs get 2.6 bits or more",
    "IQ2_XXS": "smallest of two bits: attention values and early feed-forward outputs get more",
    "IQ1_M": "medium: scales twice as dense as in IQ1_S; attention values and outputs get more",
    "IQ1_S": "small: attention values and outputs and early feed-forward outputs get more",
    "MXFP4_MOE": "experts in MXFP4, everything else in Q8_0",
    "NVFP4": "comes with the checkpoint; llama-quantize does not make it",
}
_ONE_SIZE: Final = "one recipe, no size letters"
_UNPUBLISHED: Final = "UD: types chosen layer by layer, by no published rule: only the file tells"


def explain_label(name: str) -> LabelParts:
    """Return the parts of a label; aliases such as `q4km` are taken for what they name.

    Raises:
        UnknownFileTypeError: there is no such label.
    """
    shown = name.strip().upper().replace("-", "_")
    if shown.startswith("UD_"):
        return _unpublished(shown.removeprefix("UD_"), given=name)
    file_type = find_file_type(name)
    return _parts(
        file_type.name,
        file_type.default_type,
        variant=_variant(file_type),
        file_type=file_type.stock_name,
    )


def _variant(file_type: FileType) -> str:
    if file_type.output_type is not None:
        return _ENDS.format(file_type.stock_name)
    return _VARIANTS.get(file_type.name, _ONE_SIZE)


def _unpublished(rest: str, *, given: str) -> LabelParts:
    """Return the parts of a UD label: its base type is the stock one of its letters."""
    base = rest.removesuffix("_XL")
    if base == "Q8_K":  # there is no storage type of that name in files
        base = "Q8_0"
    try:
        default_type = find_file_type(base).default_type
    except UnknownFileTypeError as error:
        raise UnknownFileTypeError(
            what="unknown file type", got=given, next_step="run 'whatfits quants'"
        ) from error
    return _parts(f"UD-{rest}", default_type, variant=_UNPUBLISHED, file_type=None)


def _parts(label: str, default_type: str, *, variant: str, file_type: str | None) -> LabelParts:
    method, block_layout = _TYPES[default_type]
    digits = "".join(c if c.isdigit() else " " for c in default_type).split()
    return LabelParts(
        label=label,
        bits=int(digits[0]),
        method=method,
        variant=variant,
        block_layout=block_layout,
        bits_per_weight=GGML_TYPES[default_type].bits_per_weight,
        default_type=default_type,
        file_type=file_type,
    )
