"""A header cut at any byte: what is asked for next is more, and what is certain is not too much."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import gguf_builder as b
import pytest

from whatfits.sizing.readers.byte_source import BytesSource, FrugalSource
from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.readers.gguf_extent import header_end_bytes, least_header_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA_BYTES = 5 * 10**9


def listed(key: str, texts: Sequence[str]) -> bytes:
    strings = b"".join(b.string(text) for text in texts)
    return b.pair(key, b.ARRAY, struct.pack("<IQ", b.STRING, len(texts)) + strings)


def header(model: str, *, last: str = "template") -> bytes:
    """Return a header with forty tokens; `last` is what its keys end with."""
    tokens = [f"token {i}" for i in range(40)]
    keys = [
        b.scalar("general.architecture", b.STRING, "llama"),
        b.scalar("tokenizer.ggml.model", b.STRING, model),
        b.scalar("tokenizer.ggml.pre", b.STRING, "default"),
        listed("tokenizer.ggml.tokens", tokens),
        listed("tokenizer.ggml.merges", [f"{text} x" for text in tokens]),
        b.scalar("tokenizer.chat_template", b.STRING, "template " * 20),
    ]
    if last == "tokens":
        keys = [*keys[:3], *keys[5:], keys[3]]
    tensors = [b.tensor(f"blk.{i}.attn_q.weight", (32,), b.F32, 128 * i) for i in range(4)]
    return b.padded(
        b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys + tensors)
    )


HEADERS = {
    "with merges": header("gpt2"),
    "without": header("llama"),
    "tokens last": header("gpt2", last="tokens"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_cut_anywhere_asks_for_more_and_never_for_more_than_the_file(name: str) -> None:
    whole = HEADERS[name]
    size = len(whole) + DATA_BYTES
    table_end = len(whole.rstrip(b"\0"))  # the last tensor's place ends in zeros, then padding
    for cut in range(1, table_end):
        assert cut < header_end_bytes(whole[:cut], size_bytes=size) <= size
        assert header_end_bytes(whole[:cut], size_bytes=cut + 1) == cut + 1


@pytest.mark.parametrize("name", HEADERS)
def test_what_a_header_has_at_least_is_certain_from_any_of_its_bytes(name: str) -> None:
    whole = HEADERS[name]
    known = [least_header_bytes(whole[:cut]) for cut in range(24, len(whole) + 1)]
    assert known == sorted(known)  # more bytes never tell of less
    assert known[0] > 24  # six keys and four tensors take some room
    assert len(whole) - 32 < known[-1] <= len(whole)  # the whole, without its padding


def test_a_source_that_fetches_is_asked_for_what_it_has_at_hand() -> None:
    class Fetching(BytesSource, FrugalSource):
        asked: list[int] = []  # noqa: RUF012 - one instance
        reads: list[tuple[int, int]] = []  # noqa: RUF012 - same

        def at_hand_bytes(self, offset: int) -> int:
            self.asked.append(offset)
            return 100

        def read(self, offset: int, n: int) -> bytes:
            self.reads.append((offset, n))
            return super().read(offset, n)

    source = Fetching(b.small_model())
    assert read_gguf_header(source).tensors
    assert source.reads[0] == (0, 100)
    assert source.asked == [offset for offset, _ in source.reads]
