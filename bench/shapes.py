"""The synthetic models that a machine is measured with: small, of several shapes, nobody's own.

Weights are larger than the last-level cache, so that decoding reads memory. Shapes differ in how
many layers share the bytes: that tells the cost of a layer and of a token from that of a byte.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final

from whatfits.bench.synthetic_weights import write_random_gguf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from whatfits.sizing.model import TensorSpec

__all__ = ["Drawn", "Shape", "draw", "write_shape"]

_KV_TYPE_BYTES: Final = 2  # F16 keys and values
_FLOPS_PER_ELEMENT: Final = 2  # a multiplication and an addition
_EMBEDDING: Final = "token_embd.weight"
_OUTPUT: Final = "output.weight"
_CONTEXT_TOKENS: Final = 16_384


@dataclass(frozen=True, slots=True)
class Shape:
    """A dense transformer.

    Attributes:
        name: for people.
        hidden: width of the residual stream.
        layers: how many.
        feed_forward: width of the feed-forward part.
        heads: query heads.
        kv_heads: key and value heads.
        vocabulary: tokens.
        head_width: elements of a head.
    """

    name: str
    hidden: int
    layers: int
    feed_forward: int
    heads: int
    kv_heads: int
    vocabulary: int = 8192
    head_width: int = 64

    @property
    def config(self) -> dict[str, object]:
        """The shape as a configuration of the plainest architecture."""
        return {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "intermediate_size": self.feed_forward,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_width,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": _CONTEXT_TOKENS,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10_000.0,
            "tie_word_embeddings": False,
        }


@dataclass(frozen=True, slots=True)
class Drawn:
    """A shape under a file type: what a step of it reads and computes.

    Attributes:
        shape: the shape.
        file_type: quantisation.
        type_name: the storage type nearly all of it is.
        metadata: of its file.
        tensors: of its file, in order.
        bytes_by_type: bytes of weights that one token reads.
        rows_by_type: rows of matrices that one token is multiplied with.
        flops_by_type: operations with weights a token of a prompt, the output matrix left out: a
            prompt has one.
        cache_bytes_per_token: keys and values that one token in the cache takes.
        attention_flops: operations of one token with one other in the cache.
    """

    shape: Shape
    file_type: str
    type_name: str
    metadata: Mapping[str, object]
    tensors: tuple[TensorSpec, ...]
    bytes_by_type: Mapping[str, int]
    rows_by_type: Mapping[str, int]
    flops_by_type: Mapping[str, int]
    cache_bytes_per_token: int
    attention_flops: int

    @property
    def name(self) -> str:
        """The shape's name and its file type."""
        return f"{self.shape.name} {self.file_type}"

    @property
    def total_bytes(self) -> int:
        """All of its tensors."""
        return sum(tensor.n_bytes for tensor in self.tensors)


def draw(shape: Shape, file_type: str) -> Drawn:
    """Return a shape under a file type, with what a step of it takes.

    Raises:
        UnknownFileTypeError: no such file type.
    """
    from whatfits.sizing.architectures.config_spec import config_file  # noqa: PLC0415 - reads a family

    metadata, tensors = config_file(shape.config, file_type=file_type)
    read = [tensor for tensor in tensors if tensor.name != _EMBEDDING]
    n_bytes: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    flops: Counter[str] = Counter()
    for tensor in read:
        if len(tensor.shape) == 1:
            continue  # norms: too few bytes to tell what theirs cost
        n_bytes[tensor.type] += tensor.n_bytes
        rows[tensor.type] += prod(tensor.shape[1:])
        if tensor.name != _OUTPUT:
            flops[tensor.type] += _FLOPS_PER_ELEMENT * prod(tensor.shape)
    return Drawn(
        shape=shape,
        file_type=file_type,
        type_name=n_bytes.most_common(1)[0][0],
        metadata=metadata,
        tensors=tensors,
        bytes_by_type=n_bytes,
        rows_by_type=rows,
        flops_by_type=flops,
        cache_bytes_per_token=2 * _KV_TYPE_BYTES * shape.layers * shape.kv_heads * shape.head_width,
        attention_flops=2 * _FLOPS_PER_ELEMENT * shape.layers * shape.heads * shape.head_width,
    )


def write_shape(path: Path, drawn: Drawn) -> int:
    """Write a shape with random weights; return the bytes of the file.

    Raises:
        OSError: it cannot be written.
    """
    metadata = {
        "llama.context_length": _CONTEXT_TOKENS,
        **drawn.metadata,
        "tokenizer.ggml.model": "none",
    }
    return write_random_gguf(path, metadata=metadata, tensors=drawn.tensors)
