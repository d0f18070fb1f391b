"""Safetensors files put together by hand, sound or not."""

from __future__ import annotations

import json
import struct
from typing import Any

from gguf_case import REFUSED, Case

BITS = {"F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "U8": 8, "I8": 8, "BOOL": 8}


def with_header(header: bytes | str, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A file with this header text, its length as it is or as it is claimed to be."""
    raw = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(dtype: str = "F32", shape: Any = (2,), start: Any = 0, end: Any = None) -> dict[str, Any]:  # noqa: ANN401 - unsound ones too
    """An entry of the header; its end is the right one when it is not given."""
    if end is None:
        n_bytes = BITS[dtype] // 8
        for dimension in shape:
            n_bytes *= dimension
        end = start + n_bytes
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def stored(dtype: str, shape: tuple[int, ...], start: int, n_bytes: int) -> dict[str, Any]:
    """An entry of the header for a tensor that lies at `start`."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, start + n_bytes]}


def safetensors(
    tensors: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, Any] | None = None
) -> bytes:
    """A sound file with tensors of these types and shapes, zeros for data."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, (dtype, shape) in tensors.items():
        header[name] = entry(dtype, shape, end)
        end = header[name]["data_offsets"][1]
    text = json.dumps(header, separators=(",", ":"))
    return with_header(text + " " * (-len(text) % 8), bytes(end))


def raw(name: str, value: str) -> str:
    """A header with one member, written as given."""
    return f'{{"{name}":{value}}}'


GOOD = json.dumps(entry(), separators=(",", ":"))


def one(
    name: str, header: str | bytes, answer: str = REFUSED, says: str = "", data: int = 8
) -> Case:
    """A case of a header before so many zeros; it is refused unless said otherwise."""
    return Case(name, with_header(header, bytes(data)), answer, says)


def seeds() -> dict[str, bytes]:
    """Small sound files of every kind of content."""
    loose = json.dumps({"a": entry(), "b": entry("F16", (3,), 8)}, indent=1)
    shuffled = (
        '{"b":{"data_offsets":[8,14],"shape":[3],"dtype":"F16"},"a":' + json.dumps(entry()) + "}"
    )
    return {
        "empty": with_header("{}"),
        "one": safetensors({"a": ("F32", (2,))}),
        "model": safetensors(
            {"model.embed_tokens.weight": ("BF16", (8, 4)), "model.norm.weight": ("BF16", (4,))},
            {"format": "pt"},
        ),
        "scalars and nothing": safetensors(
            {"s": ("I64", ()), "z": ("F32", (0, 7)), "t": ("U8", (3,))}
        ),
        "loose": with_header(loose, bytes(14)),
        "shuffled": with_header(shuffled, bytes(14)),
        "escapes": with_header(
            '{"__metadata__":{"a\\n":"\\u00fc"},"\\u0061/ü":' + json.dumps(entry()) + "}", bytes(8)
        ),
        "quantised": safetensors(
            {"l.qweight": ("I32", (4, 8)), "l.scales": ("F16", (1, 8)), "l.g_idx": ("I32", (32,))}
        ),
    }


def large_seeds() -> dict[str, bytes]:
    """Sound files of ten kilobytes: many tensors as writers write them, and written loosely."""
    rows = {f"model.layers.{i}.mlp.down_proj.weight": ("BF16", (1 + i % 3,)) for i in range(110)}
    usual = safetensors(rows, {"format": "pt"})
    (length,) = struct.unpack_from("<Q", usual)
    header = json.loads(usual[8 : 8 + length])
    loose = json.dumps(dict(list(header.items())[:60]), indent=2)
    end = header[list(header)[59]]["data_offsets"][1]
    return {"many tensors": usual, "many tensors, loose": with_header(loose, bytes(end))}
