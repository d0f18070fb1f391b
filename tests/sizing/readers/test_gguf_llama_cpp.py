"""What the reader accepts without a finding, llama.cpp loads, and both count the same bytes.

Nothing is allocated (dry run), so the files need no data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import gguf_builder as b
import pytest

from whatfits.bench.llama_cpp import dry_run
from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing.model import TensorSpec
from whatfits.sizing.quants.ggml_types import GGML_TYPES, tensor_bytes
from whatfits.sizing.readers.gguf import BytesSource, read_gguf_header
from whatfits.sizing.sources.local_file import load_gguf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = pytest.mark.oracle

WIDTH, FEED_FORWARD, VOCABULARY, LAYERS = 512, 1024, 256, 2
METADATA = {
    "general.architecture": "llama",
    "llama.block_count": LAYERS,
    "llama.context_length": 1024,
    "llama.embedding_length": WIDTH,
    "llama.feed_forward_length": FEED_FORWARD,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 4,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.vocab_size": VOCABULARY,
    "tokenizer.ggml.model": "no_vocab",
}
STORAGE_TYPES = ["F32", "F16", "BF16", "Q4_0", "Q8_0", "Q2_K", "Q4_K", "Q6_K", "IQ4_XS", "MXFP4"]


def shapes(kind: str) -> list[tuple[str, tuple[int, ...], str]]:
    """The tensor table of a small llama: name, shape, storage type."""
    rows: list[tuple[str, tuple[int, ...], str]] = [
        ("token_embd.weight", (WIDTH, VOCABULARY), kind),
        ("output_norm.weight", (WIDTH,), "F32"),
        ("output.weight", (WIDTH, VOCABULARY), kind),
    ]
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        rows += [
            (at + "attn_norm.weight", (WIDTH,), "F32"),
            (at + "attn_q.weight", (WIDTH, WIDTH), kind),
            (at + "attn_k.weight", (WIDTH, WIDTH // 2), kind),
            (at + "attn_v.weight", (WIDTH, WIDTH // 2), kind),
            (at + "attn_output.weight", (WIDTH, WIDTH), kind),
            (at + "ffn_norm.weight", (WIDTH,), "F32"),
            (at + "ffn_gate.weight", (WIDTH, FEED_FORWARD), kind),
            (at + "ffn_up.weight", (WIDTH, FEED_FORWARD), kind),
            (at + "ffn_down.weight", (FEED_FORWARD, WIDTH), kind),
        ]
    return rows


def pairs() -> list[bytes]:
    kinds = {str: b.STRING, int: b.UINT32, float: b.FLOAT32}
    return [b.scalar(key, kinds[type(value)], value) for key, value in METADATA.items()]


def write_by_hand(
    path: Path, *, more: Sequence[bytes] = (), alignment: int = 32, version: int = 3
) -> None:
    rows, offset = [], 0
    for name, shape, kind in shapes("Q8_0"):
        rows.append(b.tensor(name, shape, GGML_TYPES[kind].id, offset))
        offset += math.ceil(tensor_bytes(kind, shape) / alignment) * alignment
    header = b.gguf([*pairs(), *more], rows, alignment=alignment, version=version)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + offset)


def assert_both_agree(path: Path) -> None:
    header, _ = load_gguf(path)
    assert header.findings == ()
    reserved = dry_run(path, context_tokens=256)
    assert header.tensor_bytes == reserved.model_bytes
    assert sum(math.prod(t.shape) for t in header.tensors) == reserved.n_parameters


@pytest.mark.parametrize("kind", STORAGE_TYPES)
def test_a_synthetic_model_has_the_bytes_and_parameters_llama_cpp_counts(
    kind: str, tmp_path: Path
) -> None:
    specs = [
        TensorSpec(name, shape, storage, tensor_bytes(storage, shape), "shared", None)
        for name, shape, storage in shapes(kind)
    ]
    path = tmp_path / "m.gguf"
    size = write_synthetic_gguf(path, metadata=METADATA, tensors=specs)
    assert_both_agree(path)
    header, _ = load_gguf(path)
    assert header.file_bytes == size
    assert [(t.name, t.shape, t.type) for t in header.tensors] == shapes(kind)


ACCEPTED = {
    "version 2": {"version": 2},
    "alignment 8": {"more": [b.scalar("general.alignment", b.UINT32, 8)], "alignment": 8},
    "alignment 4096": {"more": [b.scalar("general.alignment", b.UINT32, 4096)], "alignment": 4096},
    "every value type": {"more": b.all_kinds()},
    "a vocabulary that is not used": {"more": b.vocabulary(5_000)[1:]},
    "tokens that are not UTF-8": {"more": [b.array("x", b.STRING, [b"\xff\xfe"] * 20)]},
    "empty strings and arrays": {
        "more": [b.scalar("e", b.STRING, ""), b.array("a", b.INT32), b.array("s", b.STRING)]
    },
    "a hundred thousand empty strings": {"more": [b.array("x", b.STRING, [""] * 100_000)]},
    "a key of 65,535 letters": {"more": [b.scalar("k" * 65_535, b.UINT8, 1)]},
    "floats that are no numbers": {"more": [b.scalar("f", b.FLOAT64, math.nan)]},
    "2,000 keys": {"more": [b.scalar(f"k{i}", b.UINT16, i) for i in range(2_000)]},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_odd_but_sound_headers_load_in_llama_cpp_too(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write_by_hand(path, **ACCEPTED[name])  # type: ignore[arg-type]
    assert_both_agree(path)


def test_the_bytes_of_the_table_are_those_of_each_storage_type(tmp_path: Path) -> None:
    for kind in STORAGE_TYPES:
        rows = [b.tensor("a", (WIDTH, 4), GGML_TYPES[kind].id)]
        size = tensor_bytes(kind, (WIDTH, 4))
        header = read_gguf_header(BytesSource(b.gguf([], rows, data_bytes=size)))
        assert header.tensor_bytes == size


def test_a_split_model_has_the_bytes_llama_cpp_counts(tmp_path: Path) -> None:
    table = shapes("Q8_0")
    parts = [table[:5], table[5:12], table[12:]]
    for index, part in enumerate(parts):
        split = [
            b.scalar("split.no", b.UINT16, index),
            b.scalar("split.count", b.UINT16, len(parts)),
            b.scalar("split.tensors.count", b.INT32, len(table)),
        ]
        rows, offset = [], 0
        for name, shape, kind in part:
            rows.append(b.tensor(name, shape, GGML_TYPES[kind].id, offset))
            offset += math.ceil(tensor_bytes(kind, shape) / 32) * 32
        path = tmp_path / f"m-{index + 1:05d}-of-00003.gguf"
        path.write_bytes(
            b.gguf([*split, *(pairs() if index == 0 else [])], rows, data_bytes=offset)
        )
    assert_both_agree(tmp_path / "m-00001-of-00003.gguf")
