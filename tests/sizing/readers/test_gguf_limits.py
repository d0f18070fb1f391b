"""The limits of a GGUF header as numbers: the last that is taken, and the first that is not."""

from __future__ import annotations

import struct

import gguf_builder as b
import pytest

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.readers.gguf_start import read_gguf_start

TOO_LARGE = "value too large to keep (only its length is known) under key"
LONG_NAME = "tensor name above the 63 bytes that llama.cpp takes"
SIZE = 2**40


def said_of_start(data: bytes) -> str:
    """Return why the first bytes of a large file are refused; empty where they are not."""
    try:
        read_gguf_start(data, size_bytes=SIZE)
    except MalformedFileError as error:
        return str(error)
    return ""


def start(*, tensors: int = 0, keys: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys)


def values_of(*pairs: bytes) -> tuple[set[str], tuple[str, ...]]:
    """Return the keys that are kept, and what is said of the others."""
    header = read_gguf_header(b.gguf([*pairs]))
    return {*header.metadata}, header.findings


def refusal(data: bytes) -> str:
    with pytest.raises(MalformedFileError) as caught:
        read_gguf_header(data)
    return str(caught.value)


# counts and lengths


def test_a_file_has_up_to_65536_tensors_and_as_many_keys() -> None:
    assert said_of_start(start(tensors=65_536)) == ""
    assert "declares 65,537; allowed: at most 65,536" in said_of_start(start(tensors=65_537))
    assert said_of_start(start(keys=65_536)) == ""
    said = said_of_start(start(keys=65_537))
    assert "number of keys at byte 16: declares 65,537; allowed: at most 65,536" in said


def test_no_more_keys_are_believed_than_the_file_can_hold() -> None:
    # the smallest: length of a name of one letter, the letter, what its value is, a byte of value
    smallest = 8 + 1 + 4 + 1
    with pytest.raises(MalformedFileError) as caught:
        read_gguf_start(start(keys=3), size_bytes=24 + 3 * smallest - 1)
    assert "declares 3, but the file ends 41 bytes further on; allowed: at most 2" in str(
        caught.value
    )
    assert read_gguf_start(start(keys=3), size_bytes=24 + 3 * smallest).metadata == {}


def test_no_more_tensors_are_believed_than_the_file_can_hold() -> None:
    # the smallest: length of a name of one letter, the letter, one axis, its length, type, offset
    smallest = 8 + 1 + 4 + 8 + 4 + 8
    with pytest.raises(MalformedFileError) as caught:
        read_gguf_start(start(tensors=3), size_bytes=24 + 3 * smallest - 1)
    assert "declares 3, but the file ends 98 bytes further on; allowed: at most 2" in str(
        caught.value
    )
    assert read_gguf_start(start(tensors=3), size_bytes=24 + 3 * smallest).n_tensors == 3


def test_a_name_has_up_to_65535_bytes_and_a_text_16_mebibytes() -> None:
    one = start(keys=1)
    assert said_of_start(one + struct.pack("<Q", 65_535)) == ""
    said = said_of_start(one + struct.pack("<Q", 65_536))
    assert "declares 65,536 bytes; allowed: 1 to 65,535 bytes" in said
    text = one + b.string("k") + struct.pack("<I", b.STRING)
    assert said_of_start(text + struct.pack("<Q", 2**24)) == ""
    said = said_of_start(text + struct.pack("<Q", 2**24 + 1))
    assert "declares 16,777,217 bytes; allowed: at most 16,777,216" in said


def test_a_header_has_up_to_64_mebibytes() -> None:
    head = start(keys=1) + b.string("k") + struct.pack("<II", b.ARRAY, b.UINT8)
    rest = 64 * 2**20 - len(head) - 8
    assert said_of_start(head + struct.pack("<Q", rest)) == ""
    said = said_of_start(head + struct.pack("<Q", rest + 1))
    assert f"declares {rest + 1:,}" in said
    assert f"at most {rest:,} there" in said


# what is kept


@pytest.mark.parametrize(("count", "kept"), [(8_192, True), (8_193, False)])
def test_a_list_of_up_to_8192_numbers_is_kept(count: int, kept: bool) -> None:
    assert values_of(b.array("k", b.UINT8, [1] * count)) == ({"k"} if kept else set(), ())


@pytest.mark.parametrize(
    ("count", "letters", "kept"),
    [(16, 1, True), (17, 1, False), (1, 1_024, True), (2, 1_025, False)],
)
def test_up_to_16_texts_of_up_to_a_kibibyte_are_kept(count: int, letters: int, kept: bool) -> None:
    pair = b.array("k", b.STRING, ["x" * letters] * count)
    assert values_of(pair)[0] == ({"k"} if kept else set())


def test_four_mebibytes_of_text_are_kept_and_not_a_letter_more() -> None:
    most = b.scalar("k", b.STRING, "x" * 2**22)
    assert values_of(most) == ({"k"}, ())
    assert values_of(most, b.scalar("l", b.STRING, "")) == ({"k", "l"}, ())
    assert values_of(most, b.scalar("l", b.STRING, "x")) == ({"k"}, (f"{TOO_LARGE}: 'l'",))
    longer = b.scalar("k", b.STRING, "x" * (2**22 + 1))
    assert values_of(longer, b.scalar("l", b.STRING, "x")) == ({"l"}, (f"{TOO_LARGE}: 'k'",))


@pytest.mark.parametrize(("last", "kept"), [(1_638, True), (1_639, False)])
def test_a_number_of_a_list_counts_forty_bytes(last: int, kept: bool) -> None:
    """Of 16,777,216 bytes 51 lists of 8,192 leave 65,536: 1,638 numbers and 16 bytes."""
    full = [b.array(f"k{index}", b.UINT8, bytes(8_192)) for index in range(51)]
    keys, findings = values_of(*full, b.array("last", b.UINT8, bytes(last)))
    assert ("last" in keys) is kept
    assert len(keys) == 51 + kept
    assert findings == (() if kept else (f"{TOO_LARGE}: 'last'",))


# tensors


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 63, ()),
        ("x" * 64, (f"{LONG_NAME}: '{'x' * 64}'",)),
        ("ü" * 31, ("tensor name with characters other than printable ASCII: '" + "ü" * 31 + "'",)),
    ],
)
def test_a_tensor_name_of_up_to_63_bytes_is_usual(name: str, said: tuple[str, ...]) -> None:
    header = read_gguf_header(b.gguf([], [b.tensor(name)], data_bytes=128))
    assert header.findings == said


@pytest.mark.parametrize("n_dims", [0, 1, 4, 5])
def test_a_tensor_has_one_to_four_dimensions(n_dims: int) -> None:
    data = b.gguf([], [b.tensor("a", (32, 1, 1, 1, 1)[:n_dims])], data_bytes=128)
    if n_dims in (1, 4):
        assert read_gguf_header(data).tensors[0].n_bytes == 128
    else:
        assert f"number of dimensions of tensor 'a' at byte 33: is {n_dims}" in refusal(data)


def test_a_tensor_has_up_to_a_pebibyte() -> None:
    largest = b.gguf([], [b.tensor("a", (2**50,), b.I8)])
    assert f"the file ends {2**50:,} bytes early" in refusal(largest)
    more = b.gguf([], [b.tensor("a", (2**50 + 1,), b.I8)])
    assert "allowed: no zero, and at most 1,125,899,906,842,624 bytes of I8" in refusal(more)
    both = [b.tensor("a", (2**50,), b.I8), b.tensor("b", (32,), b.I8, 2**50)]
    assert f"takes {2**50 + 32:,} bytes; allowed: at most {2**50:,}" in refusal(b.gguf([], both))


@pytest.mark.parametrize(
    ("alignment", "fine"),
    [(4, False), (8, True), (16, True), (24, False), (2**30, True), (2**31, False)],
)
def test_data_is_aligned_to_a_power_of_two_from_8_to_2_to_the_30(
    alignment: int, fine: bool
) -> None:
    data = b.gguf([b.scalar("general.alignment", b.UINT32, alignment)])
    if fine:
        assert read_gguf_header(data).alignment == alignment
    else:
        said = refusal(data)
        assert f"is {alignment:,}; allowed: a power of two from 8 to 1,073,741,824" in said
    assert read_gguf_header(b.gguf()).alignment == 32
