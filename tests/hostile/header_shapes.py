"""Headers as published files have them: real vocabularies by their recorded lengths, many shapes.

A shape is the whole header; its data would follow. Nothing here uses the reader that is tested.
"""

from __future__ import annotations

import json
import struct
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gguf_builder as b

if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTHS = next(p for p in Path(__file__).parents if p.name == "tests") / (
    "recorded/vocabularies/lengths.json"
)
SPREAD = (0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7)  # of lengths within one block
_STRINGS = tuple(struct.pack("<Q", n) + b"x" * n for n in range(256))
TEMPLATE = "{% for message in messages %}" * 200


class Shape(NamedTuple):
    """A header and how it is to be called."""

    name: str
    data: bytes


@cache
def vocabularies() -> dict[str, dict[str, Any]]:
    """Return the recorded vocabularies by name."""
    rows = json.loads(LENGTHS.read_text("utf-8"))["vocabularies"]
    return {row["name"]: row for row in rows}


def strings(blocks: list[list[int]]) -> tuple[int, bytes]:
    """Return how many strings there are, and themselves; their lengths add up block by block."""
    parts: list[bytes] = []
    for count, total in blocks:
        weights = [SPREAD[index % len(SPREAD)] for index in range(count)]
        scale = total / sum(weights)
        ends = [round(scale * weight) for weight in accumulate(weights)]
        lengths = [end - start for start, end in pairwise([0, *ends])]
        parts += map(_STRINGS.__getitem__, lengths)
    return sum(count for count, _ in blocks), b"".join(parts)


def listed(key: str, blocks: list[list[int]]) -> bytes:
    """A key with an array of strings."""
    count, data = strings(blocks)
    return b.pair(key, b.ARRAY, struct.pack("<IQ", b.STRING, count) + data)


def numbers(key: str, kind: int, count: int) -> bytes:
    """A key with an array of numbers of four bytes."""
    return b.pair(key, b.ARRAY, struct.pack("<IQ", kind, count) + bytes(4 * count))


def sizing_keys(architecture: str = "llama", layers: int = 32) -> list[bytes]:
    """The keys that say how much memory a model takes."""
    plain = {
        "block_count": layers,
        "context_length": 8192,
        "embedding_length": 4096,
        "feed_forward_length": 14336,
        "attention.head_count": 32,
        "attention.head_count_kv": 8,
    }
    named = [b.scalar(f"{architecture}.{key}", b.UINT32, value) for key, value in plain.items()]
    about = [b.scalar(f"general.about_{i}", b.STRING, "a sentence " * 6) for i in range(12)]
    return [b.scalar("general.architecture", b.STRING, architecture), *about, *named]


def tokenizer(
    name: str, *, merges: str | None = None, pre: str = "default", scores: bool = False
) -> list[bytes]:
    """The keys of a tokenizer, in the order in which converters write them."""
    row = vocabularies()[name]
    count = sum(n for n, _ in row["tokens"])
    keys = [
        b.scalar("tokenizer.ggml.model", b.STRING, "gpt2" if merges else "llama"),
        b.scalar("tokenizer.ggml.pre", b.STRING, pre),
        listed("tokenizer.ggml.tokens", row["tokens"]),
    ]
    if scores:
        keys.append(numbers("tokenizer.ggml.scores", b.FLOAT32, count))
    keys.append(numbers("tokenizer.ggml.token_type", b.INT32, count))
    if merges:
        keys.append(listed("tokenizer.ggml.merges", row[merges]))
    return keys


def tail(template: str = TEMPLATE) -> list[bytes]:
    """The keys after the vocabulary."""
    numbered = [b.scalar(f"tokenizer.ggml.id_{i}", b.UINT32, i) for i in range(5)]
    return [*numbered, b.scalar("tokenizer.chat_template", b.STRING, template)]


def table(layers: int, per_layer: tuple[str, ...]) -> list[bytes]:
    """A tensor table of rows of 32 elements, and nothing that a shape would need."""
    names = [f"blk.{i}.{name}.weight" for i in range(layers) for name in per_layer]
    return [
        b.tensor(name, (32,), b.F32, 128 * i)
        for i, name in enumerate(("token_embd.weight", *names))
    ]


DENSE = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
MIXED = (*DENSE, "ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "exp_probs_b")


def whole(keys: list[bytes], tensors: list[bytes]) -> bytes:
    """Return a header with its padding."""
    return b.padded(
        b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys + tensors)
    )


@cache
def all_shapes() -> tuple[Shape, ...]:
    """Return the headers, made once."""
    return tuple(_shapes())


def _shapes() -> Iterator[Shape]:
    """Yield the headers: every recorded vocabulary, and what is unlike the usual file."""
    dense = table(32, DENSE)
    every = {"llama3": "llama-bpe", "llama4": "llama4", "o200k_base": "gpt-4o"}
    for name, row in vocabularies().items():
        if "merges" not in row:
            keys = tokenizer(name, scores=True)
            yield Shape(name, whole([*sizing_keys(), *keys, *tail()], dense))
            continue
        keys = tokenizer(name, merges="merges")
        yield Shape(name, whole([*sizing_keys(), *keys, *tail()], dense))
        keys = tokenizer(name, merges="every_split", pre=every.get(name, "llama-bpe"))
        yield Shape(f"{name}, every split", whole([*sizing_keys(), *keys, *tail()], dense))
    bpe = tokenizer("cl100k_base", merges="merges", pre="qwen2")
    keys = [*sizing_keys("qwen3moe", 94), *bpe, *tail()]
    yield Shape("mixture of 94 layers", whole(keys, table(94, MIXED)))
    keys = [*sizing_keys(), *bpe, *tail(TEMPLATE * 8)]
    yield Shape("long template", whole(keys, dense))
    keys = [*sizing_keys(), *bpe]
    yield Shape("no template", whole(keys, dense))
    keys = [*sizing_keys(), *bpe[:2], bpe[3], bpe[4], bpe[2], *tail()]
    yield Shape("tokens last", whole(keys, dense))
    keys = [*bpe, *tail(), *sizing_keys()]
    yield Shape("sizing keys last", whole(keys, dense))
    keys = [*sizing_keys(), *tail(), *tokenizer("mistral1", scores=True)]
    yield Shape("template first", whole(keys, dense))
    yield Shape("no vocabulary", whole(sizing_keys(), dense))
    yield Shape("further file of a split", whole(sizing_keys()[:1], table(40, MIXED)))
    yield Shape("one tensor", whole(sizing_keys(), dense[:1]))
    keys = [*sizing_keys(), *tokenizer("mistral7", scores=True), *tail()]
    yield Shape("thousands of tensors", whole(keys, table(160, MIXED)))
