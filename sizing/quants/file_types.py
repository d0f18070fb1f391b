"""File types of llama.cpp (quantisations), the names people give them, and KV cache types.

A file type is a recipe: a default storage type, and rules that give some tensors another one
(`whatfits.sizing.quants.mixing`).

Source: ggml-org/llama.cpp (commit 0c1e5709, 2026-10-01), include/llama.h (LLAMA_FTYPE_*),
src/llama-quant.cpp (default types, which types need an importance matrix),
tools/quantize/quantize.cpp (what the tool offers), common/arg.cpp (KV cache types). The `_L` and
`_XL` variants are published by quantisers on Hugging Face: a stock type whose token embedding and
output matrix are kept at Q8_0.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError, UnknownFileTypeError
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "FILE_TYPES",
    "KV_TYPES",
    "FileType",
    "file_type_of_id",
    "find_file_type",
    "find_kv_type",
]


@dataclass(frozen=True, slots=True)
class FileType:
    """One recipe for the storage types of a model's tensors.

    Attributes:
        name: as people and files write it, `Q4_K_M`.
        id: number in a GGUF header (`general.file_type`); variants share the stock type's.
        default_type: ggml type of a tensor no rule singles out.
        stock_name: file type whose mixing rules hold; differs from `name` for variants.
        offered: `llama-quantize` takes this name.
        wants_imatrix: `llama-quantize` refuses it for a transformer without an importance matrix.
        aliases: other names people type, compared without case, `_`, `-` and spaces.
        token_embedding_type: storage type the token embedding is forced to; None by the rules.
        output_type: storage type the output matrix is forced to; None by the rules.
    """

    name: str
    id: int
    default_type: str
    stock_name: str
    offered: bool = True
    wants_imatrix: bool = False
    aliases: tuple[str, ...] = ()
    token_embedding_type: str | None = None
    output_type: str | None = None

    @property
    def nominal_bits_per_weight(self) -> float:
        """Bits a weight of the default storage type; the mix as a whole takes more."""
        return GGML_TYPES[self.default_type].bits_per_weight

    @property
    def is_float(self) -> bool:
        """True for F32, F16 and BF16, which the converter writes without quantising."""
        return self.default_type in {"F32", "F16", "BF16"}


def _stock(
    name: str,
    type_id: int,
    default_type: str,
    *aliases: str,
    wants_imatrix: bool = False,
    offered: bool = True,
) -> FileType:
    return FileType(
        name=name,
        id=type_id,
        default_type=default_type,
        stock_name=name,
        offered=offered,
        wants_imatrix=wants_imatrix,
        aliases=aliases,
    )


def _with_q8_0_ends(name: str, stock: FileType) -> FileType:
    """Return the published variant of `stock` whose embedding and output stay at Q8_0."""
    return FileType(
        name=name,
        id=stock.id,
        default_type=stock.default_type,
        stock_name=stock.name,
        offered=False,
        token_embedding_type="Q8_0",  # noqa: S106 - a storage type, no secret
        output_type="Q8_0",
    )


_STOCK: Final = (
    _stock("F32", 0, "F32", "fp32", "float32", "32bit"),
    _stock("F16", 1, "F16", "fp16", "float16", "half", "16bit"),
    _stock("BF16", 32, "BF16", "bfloat16"),
    _stock("Q8_0", 7, "Q8_0", "q8", "8bit", "int8"),
    _stock("Q6_K", 18, "Q6_K", "q6", "6bit"),
    _stock("Q5_K_M", 17, "Q5_K", "q5_k", "q5", "5bit"),
    _stock("Q5_K_S", 16, "Q5_K"),
    _stock("Q5_1", 9, "Q5_1"),
    _stock("Q5_0", 8, "Q5_0"),
    _stock("Q4_K_M", 15, "Q4_K", "q4_k", "q4", "4bit", "int4"),
    _stock("Q4_K_S", 14, "Q4_K"),
    _stock("Q4_1", 3, "Q4_1"),
    _stock("Q4_0", 2, "Q4_0"),
    _stock("MXFP4_MOE", 38, "MXFP4", "mxfp4"),
    _stock("NVFP4", 39, "NVFP4", offered=False),
    _stock("IQ4_NL", 25, "IQ4_NL"),
    _stock("IQ4_XS", 30, "IQ4_XS", "iq4"),
    _stock("Q3_K_L", 13, "Q3_K"),
    _stock("Q3_K_M", 12, "Q3_K", "q3_k", "q3", "3bit"),
    _stock("Q3_K_S", 11, "Q3_K"),
    _stock("IQ3_M", 27, "IQ3_S", "iq3"),
    _stock("IQ3_S", 26, "IQ3_S"),
    _stock("IQ3_XS", 22, "IQ3_S", wants_imatrix=True),
    _stock("IQ3_XXS", 23, "IQ3_XXS", wants_imatrix=True),
    _stock("Q2_K", 10, "Q2_K", "q2", "2bit"),
    _stock("Q2_K_S", 21, "Q2_K", wants_imatrix=True),
    _stock("Q2_0", 41, "Q2_0"),
    _stock("IQ2_M", 29, "IQ2_S", "iq2", wants_imatrix=True),
    _stock("IQ2_S", 28, "IQ2_XS", wants_imatrix=True),
    _stock("IQ2_XS", 20, "IQ2_XS", wants_imatrix=True),
    _stock("IQ2_XXS", 19, "IQ2_XXS", wants_imatrix=True),
    _stock("TQ2_0", 37, "TQ2_0"),
    _stock("TQ1_0", 36, "TQ1_0"),
    _stock("IQ1_M", 31, "IQ1_M", "iq1", wants_imatrix=True),
    _stock("IQ1_S", 24, "IQ1_S", wants_imatrix=True),
    _stock("Q1_0", 40, "Q1_0"),
)
_STOCK_BY_NAME: Final = {kind.name: kind for kind in _STOCK}
_STOCK_BY_ID: Final = {kind.id: kind for kind in _STOCK}

_VARIANTS: Final = tuple(
    _with_q8_0_ends(name, _STOCK_BY_NAME[stock])
    for name, stock in (
        ("Q6_K_L", "Q6_K"),
        ("Q5_K_L", "Q5_K_M"),
        ("Q4_K_L", "Q4_K_M"),
        ("Q3_K_XL", "Q3_K_L"),
        ("Q2_K_L", "Q2_K"),
    )
)

FILE_TYPES: Final = {kind.name: kind for kind in (*_STOCK, *_VARIANTS)}
"""Name → file type, most bits first, published variants last."""

KV_TYPES: Final = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "IQ4_NL", "Q5_0", "Q5_1")
"""Storage types llama.cpp takes for keys and values (`--cache-type-k`, `--cache-type-v`)."""

_RETIRED: Final = (  # numbers 4, 5, 6, 33, 34 and 35
    "Q4_1_SOME_F16",
    "Q4_2",
    "Q4_3",
    "Q4_0_4_4",
    "Q4_0_4_8",
    "Q4_0_8_8",
)
_GUESSED_FLAG: Final = 1024  # set on the id when a file does not say its type


def _key(text: str) -> str:
    """Return `text` without case, `_`, `-` and spaces, so that `q4km` is `Q4_K_M`."""
    return text.strip().upper().replace("_", "").replace("-", "").replace(" ", "")


_BY_KEY: Final = {
    _key(name): kind for kind in FILE_TYPES.values() for name in (kind.name, *kind.aliases)
}
_RETIRED_KEYS: Final = {_key(name) for name in _RETIRED}


def find_file_type(text: str) -> FileType:
    """Return the file type that `text` names: `Q4_K_M`, `q4km`, `4bit`, `fp16`, `Q4_K_L`, ….

    Raises:
        UnknownFileTypeError: there is none of that name; the message suggests the nearest.
    """
    key = _key(text)
    found = _BY_KEY.get(key)
    if found is not None:
        return found
    if key.startswith("UD"):
        hint = "a UD mix follows no published rule: give the .gguf file itself"
    elif key in _RETIRED_KEYS:
        hint = "llama.cpp no longer reads it; Q4_0 is rearranged when it loads"
    else:
        hint = _nearest(key)
    raise UnknownFileTypeError(
        what="unknown file type", got=text, next_step=f"{hint} (run 'whatfits quants')"
    )


def _nearest(key: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error

    close = get_close_matches(key, _BY_KEY, n=1, cutoff=0.5)
    return f"did you mean '{_BY_KEY[close[0]].name}'?" if close else "take Q4_K_M, Q8_0 or F16"


def file_type_of_id(type_id: int) -> FileType | None:
    """Return the stock file type of a header's `general.file_type`; None for an unknown id."""
    return _STOCK_BY_ID.get(type_id & ~_GUESSED_FLAG)


_KV_BY_KEY: Final = {
    **{_key(name): name for name in KV_TYPES},
    "FP32": "F32",
    "FP16": "F16",
    "Q8": "Q8_0",
    "Q4": "Q4_0",
}


def find_kv_type(text: str) -> str:
    """Return the ggml type a KV cache type names, as in `GGML_TYPES`: `q8_0` → `Q8_0`.

    Raises:
        InvalidRequestError: llama.cpp takes no such type for its cache.
    """
    found = _KV_BY_KEY.get(_key(text))
    if found is None:
        raise InvalidRequestError(
            what="KV cache type", got=text, allowed=", ".join(KV_TYPES).lower()
        )
    return found
