"""What the tensors of a checkpoint say about the model: counts, parameters, types.

Names are those of Hugging Face checkpoints. Vision and audio towers and next-token blocks are
left out: they are no part of the language model's plain shape.
"""

from __future__ import annotations

import re
from math import gcd

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Final

    from whatfits.sizing.readers.safetensors import StoredTensor

__all__ = ["bytes_by_type", "counts_of", "has_output", "layers_of", "parameters_of"]

_OTHER_PARTS: Final = re.compile(
    r"(?:^|\.)(?:visual|vision\w*|audio\w*|multi_modal_projector|mtp|image_\w+|connector)\."
)
_LAYER: Final = re.compile(
    r"(?:model\.|language_model\.|transformer\.|gpt_neox\.|backbone\.)*(?:layers|h|blocks)\.(\d+)\."
)
_EMBEDDINGS: Final = (
    "embed_tokens.weight",
    "wte.weight",
    "word_embeddings.weight",
    "embed_in.weight",
)
_OUTPUT: Final = re.compile(r"(?:^|\.)(?:lm_head|embed_out|output|output_layer|head|ff_out)\.\w+$")
_MAX_LAYERS: Final = 4_096
_FLOATS: Final = frozenset({"F16", "BF16", "F32", "F64"})
_WHOLE_WORDS: Final = {"I32": 32, "U32": 32, "I8": 8, "U8": 8, "I64": 64}
# Tensors beside a quantised matrix that hold no weights.
_BESIDE: Final = re.compile(
    r"(?:[._](?:scales?|scale_inv|scale_2|zeros|qzeros|g_idx|biases|absmax|quant_map|SCB"
    r"|zero_point|weight_shape|input_scale|input_scale_ub|global_scale|weight_format)"
    r"|\.quant_state\.\S+)$"
)
_USUAL_HEAD: Final = 128  # of most models; only splits widths that are exact into heads


def counts_of(tensors: Sequence[StoredTensor]) -> dict[str, int]:
    """Return the plain fields of a configuration that the tensors give away."""
    text = [tensor for tensor in tensors if not _OTHER_PARTS.search(tensor.name)]
    counts: dict[str, int] = {}
    layers = layers_of(text)
    if layers and len(layers) == max(layers) + 1 <= _MAX_LAYERS:
        counts["num_hidden_layers"] = len(layers)
    for tensor in text:
        if tensor.name.endswith(_EMBEDDINGS) and len(tensor.shape) == len(("rows", "columns")):
            counts["vocab_size"] = tensor.shape[0]
            if tensor.dtype in _FLOATS:
                counts["hidden_size"] = tensor.shape[1]
            break
    return {**counts, **_widths(text)}


def layers_of(tensors: Iterable[StoredTensor]) -> frozenset[int]:
    """Return the numbers of the language model's layers that have tensors."""
    names = (tensor.name for tensor in tensors if not _OTHER_PARTS.search(tensor.name))
    return frozenset(int(found[1]) for name in names if (found := _LAYER.match(name)))


def has_output(tensors: Iterable[StoredTensor]) -> bool | None:
    """Return whether the logits have a matrix of their own; None where no embedding was seen."""
    ends = [
        tensor.name
        for tensor in tensors
        if not _OTHER_PARTS.search(tensor.name) and not _LAYER.match(tensor.name)
    ]
    if not any(name.endswith(_EMBEDDINGS) for name in ends):
        return None
    return any(_OUTPUT.search(name) for name in ends)


def _widths(tensors: Iterable[StoredTensor]) -> dict[str, int]:
    """Return heads and the feed-forward width, from the first layer that has them."""
    rows: dict[str, int] = {}
    for tensor in tensors:
        if tensor.dtype in _FLOATS and tensor.shape:
            rows.setdefault(".".join(tensor.name.split(".")[-2:]), tensor.shape[0])
    found: dict[str, int] = {}
    if "gate_proj.weight" in rows or "up_proj.weight" in rows:
        found["intermediate_size"] = rows.get("gate_proj.weight") or rows["up_proj.weight"]
    queries, keys = rows.get("q_proj.weight", 0), rows.get("k_proj.weight", 0)
    if queries and keys:
        head = rows.get("q_norm.weight") or gcd(queries, keys, _USUAL_HEAD)
        found |= {
            "head_dim": head,
            "num_attention_heads": queries // head,
            "num_key_value_heads": keys // head,
        }
    return found


def parameters_of(tensors: Iterable[StoredTensor], *, bits: int | None) -> int | None:
    """Return the weights of the language model; None when packed ones cannot be counted.

    `bits` is what one packed weight takes. Scales and zero points are no weights.
    """
    total = 0
    for tensor in tensors:
        if _OTHER_PARTS.search(tensor.name) or _BESIDE.search(tensor.name):
            continue
        elements = 1
        for dimension in tensor.shape:
            elements *= dimension
        word = _WHOLE_WORDS.get(tensor.dtype)
        if word is not None:
            if bits is None:
                return None
            elements = elements * word // bits
        total += elements
    return total or None


def bytes_by_type(tensors: Iterable[StoredTensor]) -> Mapping[str, int]:
    """Return type → bytes, the most first."""
    sums: dict[str, int] = {}
    for tensor in tensors:
        sums[tensor.dtype] = sums.get(tensor.dtype, 0) + tensor.n_bytes
    return dict(sorted(sums.items(), key=lambda item: -item[1]))
