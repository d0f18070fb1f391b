"""A GGUF file that names an architecture and is no model: said before a key is blamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf_builder as b
import pytest

from whatfits.sizing import check
from whatfits.sizing.errors import UnreadableFileError, UnsupportedArchitectureError

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = [
    b.scalar("llama.context_length", b.UINT32, 4096),
    b.scalar("llama.embedding_length", b.UINT32, 256),
    b.scalar("llama.block_count", b.UINT32, 2),
    b.scalar("llama.feed_forward_length", b.UINT32, 512),
    b.scalar("llama.attention.head_count", b.UINT32, 4),
]


def test_an_adapter_is_told_from_a_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    kinds = [
        b.scalar("general.type", b.STRING, "adapter"),
        b.scalar("adapter.type", b.STRING, "lora"),
        b.scalar("adapter.lora.alpha", b.FLOAT32, 16.0),
    ]
    weights = [
        b.tensor("blk.0.attn_q.weight.lora_a", (256, 8), b.F32, 0),
        b.tensor("blk.0.attn_q.weight.lora_b", (8, 256), b.F32, 8192),
    ]
    path.write_bytes(b.gguf([b.ARCHITECTURE, *kinds], weights, data_bytes=16384))
    with pytest.raises(UnreadableFileError, match="is an adapter") as caught:
        check(str(path), machine="64gb")
    assert "--lora" in str(caught.value)


@pytest.mark.parametrize("shape", [[], SHAPE])
def test_a_vocabulary_alone_fits_nowhere(shape: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "ggml-vocab.gguf"
    path.write_bytes(b.gguf([b.ARCHITECTURE, *shape, *b.vocabulary()]))
    with pytest.raises(UnreadableFileError, match="a vocabulary and no weights"):
        check(str(path), machine="64gb")


def test_a_control_vector_is_told_from_a_model(tmp_path: Path) -> None:
    path = tmp_path / "calm.gguf"
    keys = [b.scalar("general.architecture", b.STRING, "controlvector")]
    path.write_bytes(b.gguf(keys, [b.tensor("direction.1", (256,))], data_bytes=1024))
    with pytest.raises(UnsupportedArchitectureError, match="a control vector, not a model"):
        check(str(path), machine="64gb")
