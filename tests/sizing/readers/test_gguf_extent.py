"""Where a header ends is told from its first bytes: few requests, little that is not needed."""

from __future__ import annotations

import math
import statistics
import struct

import pytest
from header_shapes import Shape, all_shapes

from whatfits.sizing.readers.gguf_extent import header_end_bytes, least_header_bytes
from whatfits.sizing.units import KIB, MIB

WINDOW = 64 * KIB
DATA_BYTES = 5 * 10**9
SHAPES = all_shapes()


def fetched(shape: Shape) -> tuple[int, int]:
    """Return (requests, bytes) until the whole header is there."""
    size = len(shape.data) + DATA_BYTES
    have, requests = WINDOW, 1
    while have < len(shape.data):
        further = header_end_bytes(shape.data[:have], size_bytes=size)
        assert further > have
        have, requests = further, requests + 1
    return requests, have


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
def test_a_header_comes_in_few_requests_and_without_much_beside_it(shape: Shape) -> None:
    requests, n_bytes = fetched(shape)
    assert requests <= (4 if shape.name == "tokens last" else 2)
    if len(shape.data) > MIB:
        assert n_bytes <= 1.15 * len(shape.data)
    else:
        assert n_bytes <= len(shape.data) + MIB


def test_over_all_shapes_the_usual_header_takes_two_requests_and_an_eighth() -> None:
    assert len(SHAPES) >= 20
    found = [(*fetched(shape), len(shape.data)) for shape in SHAPES]
    assert statistics.median(requests for requests, _, _ in found) == 2
    assert sorted(requests for requests, _, _ in found)[int(0.95 * len(found))] <= 3
    assert statistics.median(n / size for _, n, size in found if size > WINDOW) <= 1.12


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name for shape in SHAPES])
def test_a_header_that_is_all_there_ends_where_it_does(shape: Shape) -> None:
    end = header_end_bytes(shape.data, size_bytes=len(shape.data) + DATA_BYTES)
    assert len(shape.data) - 32 <= end - 64 <= len(shape.data)


def test_no_header_is_expected_beyond_the_file_or_beyond_64_mib() -> None:
    start = SHAPES[0].data[:WINDOW]
    assert header_end_bytes(start, size_bytes=100 * KIB) == 100 * KIB
    absurd = b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16
    assert header_end_bytes(absurd, size_bytes=2**40) == 64 * MIB


@pytest.mark.parametrize("n", [0, 1, 4, 23, 24, 25, 100, 5_000])
def test_any_cut_of_a_header_asks_for_more_of_it(n: int) -> None:
    assert header_end_bytes(SHAPES[0].data[:n], size_bytes=10**9) > n


def start(*, tensors: int, keys: int) -> bytes:
    """How a file begins: what it is, its version, and how much is in it."""
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys)


def texts(key: str, count: int, *given: str) -> bytes:
    """A key with a list of so many texts, of which the first ones are here."""
    head = struct.pack("<Q", len(key)) + key.encode() + struct.pack("<IIQ", 9, 8, count)
    return head + b"".join(struct.pack("<Q", len(text)) + text.encode() for text in given)


def test_a_header_has_at_least_the_smallest_form_of_all_that_it_declares() -> None:
    # A tensor: length of its name and a letter, number of dimensions and one, type, offset.
    assert least_header_bytes(start(tensors=3, keys=0)) == 24 + 3 * (8 + 1 + 4 + 8 + 4 + 8)
    # Five texts of which two are here: the others have their lengths at least.
    data = start(tensors=1, keys=1) + texts("tokens", 5, "a", "bcd")
    assert least_header_bytes(data) == len(data) + 3 * 8 + 33


def tensor(name: str, *sides: int) -> bytes:
    """A tensor's place in the table: 8 bytes a side, its type and its offset."""
    head = struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(sides))
    return head + struct.pack(f"<{len(sides)}QIQ", *sides, 0, 0)


@pytest.mark.parametrize("sides", [(32,), (32, 8), (32, 8, 2, 3)])
def test_a_table_is_walked_up_to_the_tensor_that_is_cut_off(sides: tuple[int, ...]) -> None:
    one = tensor("first", *sides)
    data = start(tensors=3, keys=0) + one
    for cut in (b"", one[:-1]):
        assert least_header_bytes(data + cut) == len(data) + 2 * 33
        expected = max(len(data) + 2 * len(one) + 64, math.ceil(len(data + cut) * 1.06 + 64))
        assert header_end_bytes(data + cut, size_bytes=DATA_BYTES) == expected
    assert least_header_bytes(data + one) == len(data + one) + 33


def test_tensors_and_keys_that_are_not_here_are_taken_to_be_of_usual_length() -> None:
    ten = header_end_bytes(start(tensors=10, keys=0), size_bytes=DATA_BYTES)
    assert ten == 24 + 10 * 72 + 64  # and what the reader looks at behind them
    unknown = header_end_bytes(start(tensors=0, keys=2), size_bytes=DATA_BYTES)
    assert unknown == 24 + 2 * 48 + 192 * KIB + 64
    whole = header_end_bytes(start(tensors=0, keys=0), size_bytes=DATA_BYTES)
    assert whole == 24 + 64


def test_behind_tokens_come_their_kinds_and_scores_and_a_template() -> None:
    data = start(tensors=0, keys=2) + texts("tokenizer.ggml.tokens", 4, "a", "b", "c", "d")
    numbers = 4 * 4 + 4 * 4  # a kind and a score a token
    expected = len(data) + 48 + numbers + 16 * KIB + 64
    assert header_end_bytes(data, size_bytes=DATA_BYTES) == expected


def test_a_step_is_worthwhile_and_ends_with_the_file() -> None:
    data = start(tensors=1, keys=0) + struct.pack("<Q", 100_000) + b"x" * 99_900
    assert header_end_bytes(data, size_bytes=DATA_BYTES) == math.ceil(len(data) * 1.06 + 64)
    assert header_end_bytes(data, size_bytes=len(data) + 10) == len(data) + 10
