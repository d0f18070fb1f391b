"""GGUF files made by hand, byte by byte: whatever a well-behaved writer would never write.

Format: ggml docs/gguf.md. Nothing here uses the reader that is tested.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = range(10)
UINT64, INT64, FLOAT64 = 10, 11, 12

FORMATS = {
    UINT8: "B",
    INT8: "b",
    UINT16: "H",
    INT16: "h",
    UINT32: "I",
    INT32: "i",
    FLOAT32: "f",
    BOOL: "?",
    UINT64: "Q",
    INT64: "q",
    FLOAT64: "d",
}
F32, F16, Q4_0, Q8_0, Q4_K, I8 = 0, 1, 2, 8, 12, 24


def string(text: str | bytes, *, length: int | None = None) -> bytes:
    """A string; `length` lies about it."""
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data) if length is None else length) + data


def raw(kind: int, value: object) -> bytes:
    """The bytes of one value of a scalar type."""
    if kind == STRING:
        assert isinstance(value, str | bytes)
        return string(value)
    return struct.pack("<" + FORMATS[kind], value)


def pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    """A key-value whose value is given as bytes."""
    return string(key) + struct.pack("<I", kind) + value


def scalar(key: str | bytes, kind: int, value: object) -> bytes:
    """A key-value with a scalar or string."""
    return pair(key, kind, raw(kind, value))


def array(
    key: str | bytes, kind: int, values: Iterable[object] = (), *, length: int | None = None
) -> bytes:
    """A key-value with an array; `length` lies about it."""
    items = [raw(kind, value) for value in values]
    count = len(items) if length is None else length
    return pair(key, ARRAY, struct.pack("<IQ", kind, count) + b"".join(items))


def tensor(
    name: str | bytes,
    shape: Sequence[int] = (32,),
    kind: int = F32,
    offset: int = 0,
    *,
    n_dims: int | None = None,
) -> bytes:
    """One row of the tensor table; `n_dims` lies about the shape."""
    count = len(shape) if n_dims is None else n_dims
    dims = struct.pack(f"<{len(shape)}Q", *shape)
    return string(name) + struct.pack("<I", count) + dims + struct.pack("<iQ", kind, offset)


def padded(data: bytes, alignment: int = 32) -> bytes:
    return data + bytes(-len(data) % alignment)


def gguf(
    pairs: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    *,
    data_bytes: int = 0,
    alignment: int = 32,
    version: int = 3,
    n_pairs: int | None = None,
    n_tensors: int | None = None,
    magic: bytes = b"GGUF",
) -> bytes:
    """A whole file; `n_pairs` and `n_tensors` lie about what follows."""
    head = magic + struct.pack(
        "<IQQ",
        version,
        len(tensors) if n_tensors is None else n_tensors,
        len(pairs) if n_pairs is None else n_pairs,
    )
    body = head + b"".join(pairs) + b"".join(tensors)
    return padded(body, alignment) + bytes(data_bytes) if tensors else body


ARCHITECTURE = scalar("general.architecture", STRING, "llama")


def all_kinds() -> list[bytes]:
    """One key of every scalar type, and an array of each."""
    sample = {FLOAT32: 0.5, FLOAT64: -0.25, BOOL: True, STRING: "naïve ✓"}
    scalars = [scalar(f"s.{kind}", kind, sample.get(kind, 7)) for kind in (*FORMATS, STRING)]
    arrays = [array(f"a.{kind}", kind, [sample.get(kind, 7)] * 3) for kind in (*FORMATS, STRING)]
    return scalars + arrays


def vocabulary(n: int = 40) -> list[bytes]:
    """The tokenizer keys of a model, small."""
    return [
        scalar("tokenizer.ggml.model", STRING, "gpt2"),
        array("tokenizer.ggml.tokens", STRING, [f"t{i}" for i in range(n)]),
        array("tokenizer.ggml.token_type", INT32, [1] * n),
        array("tokenizer.ggml.merges", STRING, [f"a b{i}" for i in range(n)]),
    ]


def two_tensors(first: str = "token_embd.weight", second: str = "output.weight") -> list[bytes]:
    """Two tensors of 128 and 34 bytes, the second at 128."""
    return [tensor(first, (8, 4), F32, 0), tensor(second, (32,), Q8_0, 128)]


TWO_TENSORS_BYTES = 128 + 34


def small_model() -> bytes:
    """A sound file of some 400 bytes: what mutations start from."""
    return gguf(
        [
            ARCHITECTURE,
            scalar("llama.block_count", UINT32, 2),
            array("llama.attention.head_count_kv", INT32, [4, 8]),
            array("tokenizer.ggml.tokens", STRING, ["a", "bc", ""]),
            scalar("llama.rope.freq_base", FLOAT32, 1e4),
            scalar("general.flag", BOOL, True),
        ],
        two_tensors(),
        data_bytes=TWO_TENSORS_BYTES,
    )


def seeds() -> dict[str, bytes]:
    """Sound files, one a feature of the format."""
    return {
        "version 2": gguf([ARCHITECTURE], [tensor("a")], data_bytes=128, version=2),
        "small model": small_model(),
        "every value type": gguf(all_kinds(), [tensor("a")], data_bytes=128),
        "vocabulary only": gguf([ARCHITECTURE, *vocabulary()]),
        "alignment 64": gguf(
            [scalar("general.alignment", UINT32, 64)],
            [tensor("a", (2,), F32, 0), tensor("b", (2,), F32, 64)],
            data_bytes=72,
            alignment=64,
        ),
        "one file of a set": gguf(
            [
                scalar("split.no", UINT16, 1),
                scalar("split.count", UINT16, 2),
                scalar("split.tensors.count", INT32, 2),
            ],
            two_tensors(),
            data_bytes=TWO_TENSORS_BYTES,
        ),
        "four dimensions": gguf(
            [ARCHITECTURE],
            [tensor("a", (256, 2, 1, 3), Q4_K, 0), tensor("b", (2, 3, 4), F16, 864)],
            data_bytes=864 + 48,
        ),
        "many short strings": gguf(
            [array("tags", STRING, [f"tag{i}" for i in range(16)]), *vocabulary(3)]
        ),
    }


def large_seeds() -> dict[str, bytes]:
    """Sound files of ten to forty kilobytes: a vocabulary, many keys, a long tensor table."""
    rows, offset = [], 0
    for layer in range(12):
        for part in ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_down"):
            rows.append(tensor(f"blk.{layer}.{part}.weight", (32, 1 + layer % 2), I8, offset))
            offset += 32 * (1 + layer % 2)
    keys = [scalar(f"llama.figure_{index}", 4 + index % 3, index) for index in range(400)]
    return {
        "long vocabulary": gguf([ARCHITECTURE, *vocabulary(900)]),
        "many keys": gguf([ARCHITECTURE, *keys], [tensor("a")], data_bytes=128),
        "long table": gguf([ARCHITECTURE], rows, data_bytes=offset),
    }
