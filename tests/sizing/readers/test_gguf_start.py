"""What the first bytes of a GGUF file say, wherever they end."""

from __future__ import annotations

import struct

import gguf_builder as b
import pytest

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.readers.gguf_start import GgufStart, read_gguf_start
from whatfits.sizing.units import KIB, MIB

SIZE = 10**9
TOKENS = ["token"] * 100
KEYS = [
    b.ARCHITECTURE,
    b.scalar("llama.block_count", b.UINT32, 7),
    b.array("tokenizer.ggml.tokens", b.STRING, TOKENS),
    b.array("llama.heads", b.UINT32, [1, 2, 3]),
]
WHOLE = b.gguf(KEYS, [b.tensor("a", offset=0), b.tensor("bb", offset=128)], data_bytes=256)
TABLE_BYTES = len(b.tensor("a")) + len(b.tensor("bb"))
START_BYTES = 24  # magic, version and two counts


def key_end(count: int) -> int:
    """Return where so many keys end."""
    return START_BYTES + sum(map(len, KEYS[:count]))


def start(n: int, *, size_bytes: int = SIZE) -> GgufStart:
    return read_gguf_start(WHOLE[:n], size_bytes=size_bytes)


def test_all_of_a_header_says_what_the_header_says() -> None:
    header, found = read_gguf_header(WHOLE), start(len(WHOLE), size_bytes=len(WHOLE))
    assert found.metadata == header.metadata
    assert (
        found.array_lengths
        == header.array_lengths
        == {
            "tokenizer.ggml.tokens": 100,
            "llama.heads": 3,
        }
    )
    assert (found.n_tensors, found.file_bytes) == (2, len(WHOLE))
    end = key_end(4) + TABLE_BYTES
    assert found.least_header_bytes == end
    assert found.likely_header_bytes == min(end + 64, len(WHOLE))
    assert found.most_header_bytes == len(WHOLE)


def test_every_key_is_known_from_its_last_byte_on() -> None:
    """But for the tokens, which are never kept."""
    ends = {"general.architecture": 1, "llama.block_count": 2, "llama.heads": 4}
    for n in range(START_BYTES, len(WHOLE) + 1):
        found = start(n)
        assert [*found.metadata] == [key for key, count in ends.items() if key_end(count) <= n]
        assert found.n_tensors == 2
        assert found.least_header_bytes <= key_end(4) + TABLE_BYTES


def test_of_a_list_that_goes_on_beyond_only_its_length_is_known() -> None:
    before = key_end(2) + len(b.string("tokenizer.ggml.tokens")) + 4 + 4
    assert start(before + 7).array_lengths == {}
    assert start(before + 8).array_lengths == {"tokenizer.ggml.tokens": 100}
    last = key_end(4)
    assert "llama.heads" not in start(last - 1).metadata
    assert start(last - 1).array_lengths["llama.heads"] == 3
    assert start(last).metadata["llama.heads"] == (1, 2, 3)


@pytest.mark.parametrize("n", [0, 3, 4, 8, 16, 23])
def test_without_its_counts_nothing_is_known_of_a_file(n: int) -> None:
    with pytest.raises(MalformedFileError, match=f"magic: only {n} bytes are here"):
        start(n)
    assert start(START_BYTES).metadata == {}
    assert start(START_BYTES).n_tensors == 2


def test_a_file_that_ends_there_is_cut_off_itself() -> None:
    for n in (3, 23, 40):
        with pytest.raises(
            MalformedFileError, match=r"the file ends (inside it|\d+ bytes further on)"
        ):
            start(n, size_bytes=n)


def test_what_contradicts_the_format_is_refused_here_too() -> None:
    twice = b.gguf([b.ARCHITECTURE, b.ARCHITECTURE])
    with pytest.raises(MalformedFileError, match="appears twice"):
        read_gguf_start(twice, size_bytes=SIZE)
    with pytest.raises(MalformedFileError, match="magic"):
        read_gguf_start(b"GGML" + bytes(20), size_bytes=SIZE)


@pytest.mark.parametrize(
    ("size_bytes", "most"),
    [(len(WHOLE), len(WHOLE)), (64 * MIB - 1, 64 * MIB - 1), (64 * MIB + 1, 64 * MIB)],
)
def test_a_header_has_no_more_than_its_file_and_than_64_mib(size_bytes: int, most: int) -> None:
    assert start(100, size_bytes=size_bytes).most_header_bytes == most


def test_a_header_has_at_least_what_it_declares() -> None:
    found = start(key_end(2))
    assert found.least_header_bytes == key_end(2) + 2 * (8 + 1 + 4 + 8 + 4 + 8)
    assert found.likely_header_bytes == key_end(2) + 2 * 48 + 192 * KIB + 2 * 72 + 64


def test_no_byte_beyond_the_first_ones_is_needed_for_what_they_say() -> None:
    """The reader looks ahead in windows; where the bytes end, it takes those that are there."""
    long = b.array("list", b.UINT8, [1] * 70_000)
    data = b.gguf([b.ARCHITECTURE, long, *KEYS[1:]], n_pairs=5)
    end = START_BYTES + len(KEYS[0]) + len(long) + len(KEYS[1])
    for n in (end, end + 1, end + 3):
        found = read_gguf_start(data[:n], size_bytes=SIZE)
        assert [*found.metadata] == ["general.architecture", "llama.block_count"]
        assert found.array_lengths == {"list": 70_000}
    assert [*read_gguf_start(data[: end - 1], size_bytes=SIZE).metadata] == ["general.architecture"]
    assert struct.unpack_from("<Q", data, 16) == (5,)
