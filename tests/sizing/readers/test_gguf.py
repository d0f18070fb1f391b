"""What the GGUF reader keeps, steps over, reads and remembers."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc

import gguf_builder as b
import pytest
from gguf_reference import read_reference

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers import gguf_scan
from whatfits.sizing.readers.gguf import BytesSource, GgufTensor, read_gguf_header

SEEDS = b.seeds()


class CountingSource(BytesSource):
    """Remembers which bytes were asked for."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[tuple[int, int]] = []

    def read(self, offset: int, n: int) -> bytes:
        self.reads.append((offset, n))
        return super().read(offset, n)


class ZerosSource:
    """A file of zeros after its first bytes, of any size, that exists nowhere."""

    def __init__(self, head: bytes, size_bytes: int) -> None:
        self.head = head
        self.size_bytes = size_bytes
        self.bytes_read = 0

    def read(self, offset: int, n: int) -> bytes:
        n = max(0, min(n, self.size_bytes - offset))
        self.bytes_read += n
        return self.head[offset : offset + n].ljust(n, b"\0")


def test_every_value_type_is_read_with_its_own_python_type() -> None:
    header = read_gguf_header(b.gguf(b.all_kinds()))
    expected = {
        **{f"s.{kind}": 7 for kind in b.FORMATS},
        "s.6": 0.5,
        "s.12": -0.25,
        "s.7": True,
        "s.8": "naïve ✓",
    }
    assert {k: v for k, v in header.metadata.items() if k.startswith("s.")} == expected
    for kind in (*b.FORMATS, b.STRING):
        assert header.metadata[f"a.{kind}"] == (expected[f"s.{kind}"],) * 3
        assert header.array_lengths[f"a.{kind}"] == 3
    assert header.metadata["s.7"] is True
    assert type(header.metadata["s.0"]) is int


def test_extreme_numbers_come_out_as_they_went_in() -> None:
    values = {b.UINT64: 2**64 - 1, b.INT64: -(2**63), b.INT8: -128, b.FLOAT64: 5e-324}
    header = read_gguf_header(b.gguf([b.scalar(str(k), k, v) for k, v in values.items()]))
    assert header.metadata == {str(k): v for k, v in values.items()}


@pytest.mark.parametrize("name", SEEDS)
def test_sound_files_read_as_the_plain_reader_reads_them(name: str) -> None:
    data = SEEDS[name]
    pairs, rows, _ = read_reference(data)
    header = read_gguf_header(data)
    for key, value in header.metadata.items():
        assert value == pairs[key]
    assert set(pairs) == set(header.metadata) | set(header.array_lengths)
    assert header.array_lengths == {k: len(v) for k, v in pairs.items() if isinstance(v, tuple)}
    assert [(t.name, t.shape, t.offset_bytes) for t in header.tensors] == [
        (name, shape, offset) for name, shape, _, offset in rows
    ]


def test_tensors_have_exact_bytes_and_offsets() -> None:
    header = read_gguf_header(SEEDS["four dimensions"])
    # 256 elements of Q4_K take 144 bytes: 6 rows; 24 elements of 2 bytes.
    assert header.tensors == (
        GgufTensor("a", (256, 2, 1, 3), "Q4_K", 864, 0),
        GgufTensor("b", (2, 3, 4), "F16", 48, 864),
    )
    assert header.tensor_bytes == 912
    assert header.data_offset_bytes + 912 == header.file_bytes == len(SEEDS["four dimensions"])


def test_alignment_moves_the_data_section() -> None:
    header = read_gguf_header(SEEDS["alignment 64"])
    assert (header.alignment, header.data_offset_bytes % 64) == (64, 0)
    assert read_gguf_header(SEEDS["small model"]).alignment == 32


@pytest.mark.parametrize("kind", b.FORMATS)
def test_arrays_of_numbers_are_kept_up_to_8192_and_only_counted_beyond(kind: int) -> None:
    for length, kept in ((8_192, True), (8_193, False)):
        header = read_gguf_header(b.gguf([b.array("k", kind, [1] * length), b.ARCHITECTURE]))
        assert header.array_lengths["k"] == length
        assert ("k" in header.metadata) is kept
        assert header.metadata["general.architecture"] == "llama"


def test_short_lists_of_short_strings_are_kept_and_all_others_only_counted() -> None:
    lists = {
        "sixteen": ["t"] * 16,
        "seventeen": ["t"] * 17,
        "none": [],
        "longest": ["x" * 1_024],
        "longer": ["a", "x" * 1_025, "b"],
    }
    pairs = [b.array(key, b.STRING, values) for key, values in lists.items()]
    header = read_gguf_header(b.gguf([*pairs, b.ARCHITECTURE]))
    assert set(header.metadata) == {"sixteen", "none", "longest", "general.architecture"}
    assert header.metadata["sixteen"] == ("t",) * 16
    assert header.array_lengths == {key: len(values) for key, values in lists.items()}


def test_text_is_kept_as_it_is_and_made_printable_only_in_messages() -> None:
    text = "{% for m in messages %}\n\x1b[0m\u202e"
    header = read_gguf_header(b.gguf([b.scalar("template\n", b.STRING, text)]))
    assert header.metadata == {"template\n": text}
    assert header.findings == (
        "key with characters other than printable ASCII: 'template\N{REPLACEMENT CHARACTER}'",
    )


def test_a_rule_broken_often_is_one_finding() -> None:
    pairs = [b.scalar(f"k\n{i}", b.UINT8, 1) for i in range(1_000)]
    rule = "key with characters other than printable ASCII"
    for count, more in ((1, ""), (2, " and 1 more"), (1_000, " and 999 more")):
        (line,) = read_gguf_header(b.gguf(pairs[:count])).findings
        assert line == f"{rule}: 'k\N{REPLACEMENT CHARACTER}0'{more}"


def test_errors_name_the_field_its_owner_and_its_place() -> None:
    data = b.gguf([b.ARCHITECTURE, b.array("llama.tags", b.STRING, length=2**40)])
    with pytest.raises(MalformedFileError) as caught:
        read_gguf_header(data)
    error = caught.value
    place = data.index(struct.pack("<Q", 2**40))
    assert (error.file_format, error.offset_bytes) == ("gguf", place)
    assert error.field == "array length of key 'llama.tags'"
    assert error.reason == "declares 1,099,511,627,776"
    assert error.allowed == "at most 67,108,864"


def test_a_count_that_the_rest_of_the_file_cannot_hold_hints_at_the_download() -> None:
    data = b.small_model()[:60]
    with pytest.raises(MalformedFileError) as caught:
        read_gguf_header(data)
    assert str(caught.value) == (
        "malformed gguf: number of tensors at byte 8: declares 2, but the file ends 36 bytes"
        " further on; allowed: at most 1 there; perhaps the download did not finish"
    )


def one(row: bytes) -> bytes:
    return b.gguf([], [row], data_bytes=128)


AFTER_KEY = 24 + 8 + 1 + 4  # counts, key length, key of one letter, value type
AFTER_NAME = 24 + 8 + 1


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b.gguf(magic=b"NOPE"), 0),
        (b.gguf(version=9), 4),
        (b.gguf(n_tensors=2**40), 8),
        (b.gguf(n_pairs=2**40), 16),
        (b.gguf([b.scalar("", b.UINT32, 1)]), 24),
        (b.gguf([b.scalar(b"\xff", b.UINT32, 1)]), 24),
        (b.gguf([b.scalar("k", b.UINT32, 1)] * 2), AFTER_KEY + 4),
        (b.gguf([b.pair("k", b.STRING, b.string("x", length=2**40))]), AFTER_KEY),
        (b.gguf([b.pair("k", b.BOOL, b"\2")]), AFTER_KEY),
        (b.gguf([b.pair("k", 99, b"\2")]), AFTER_KEY - 4),
        (b.gguf([b.scalar("general.alignment", b.UINT64, 32)]), 24 + 8 + 17),
        (b.gguf([b.array("k", b.ARRAY, length=0)]), AFTER_KEY),
        (b.gguf([b.array("k", b.UINT8, length=1)]), AFTER_KEY + 4),
        (b.gguf([b.pair("k", b.ARRAY, struct.pack("<IQ", 7, 3) + b"\0\2\1")]), AFTER_KEY + 13),
        (one(b.tensor("")), 24),
        (b.gguf([], [b.tensor("a")] * 2), AFTER_NAME + 24),
        (one(b.tensor("a", n_dims=9)), AFTER_NAME),
        (one(b.tensor("a", (32, 0))), AFTER_NAME + 4),
        (one(b.tensor("a", (33, 2), b.Q8_0)), AFTER_NAME + 4),
        (one(b.tensor("a", (32, 2), 99)), AFTER_NAME + 4 + 16),
        (one(b.tensor("a", (32, 2), b.F16, 7)), AFTER_NAME + 4 + 16 + 4),
        (b.gguf([], [b.tensor("a"), b.tensor("b", offset=96)], data_bytes=500), 96 + 96),
        (one(b.tensor("a"))[:-5], 64 + 123),
    ],
)
def test_the_place_of_an_error_is_where_the_field_starts(data: bytes, place: int) -> None:
    with pytest.raises(MalformedFileError) as caught:
        read_gguf_header(data)
    assert caught.value.offset_bytes == place


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("n" * 63, ()),
        ("n" * 64, ("tensor name above the 63 bytes",)),
        ("é", ("tensor name with characters",)),
        ("n" * 61 + "é", ("tensor name with characters",)),
        ("n" * 62 + "é", ("tensor name with characters", "tensor name above the 63 bytes")),
    ],
)
def test_odd_and_long_names_are_told_apart(name: str, rules: tuple[str, ...]) -> None:
    header = read_gguf_header(one(b.tensor(name)))
    assert len(header.findings) == len(rules)
    for line, rule in zip(header.findings, rules, strict=True):
        assert line.startswith(rule)
    assert [(t.name, t.file_index) for t in header.tensors] == [(name, 0)]


def test_a_truncated_file_says_how_long_it_should_be() -> None:
    data = one(b.tensor("a"))
    with pytest.raises(MalformedFileError, match=f"allowed: {len(data)} bytes in all"):
        read_gguf_header(data[:-5])


def test_a_gap_may_lead_to_the_end_of_the_file_but_not_beyond_it() -> None:
    data = b.gguf([], [b.tensor("a"), b.tensor("b", offset=160)], data_bytes=160)
    header = read_gguf_header(data, allow_missing_data=True)
    assert header.tensors[1].offset_bytes == 160
    with pytest.raises(MalformedFileError, match="leads to byte"):
        read_gguf_header(data[:-1], allow_missing_data=True)


def long_vocabulary(n: int = 200_000) -> bytes:
    """A header of some megabytes with strings of many lengths, a few beyond a window."""
    rng = random.Random(5)  # noqa: S311 - a fixed series of test inputs
    lengths = [min(int(rng.lognormvariate(1.8, 0.8)), 400) for _ in range(n)]
    lengths[n // 3] = 3_000_000
    lengths[n // 2] = 1_500_000
    tokens = b"".join(struct.pack("<Q", k) + b"x" * k for k in lengths)
    value = struct.pack("<IQ", b.STRING, n) + tokens
    pairs = [b.pair("tokens", b.ARRAY, value), b.array("scores", b.FLOAT32, [1.0] * 9_000)]
    return b.gguf([*pairs, b.ARCHITECTURE], b.two_tensors(), data_bytes=b.TWO_TENSORS_BYTES)


def test_every_byte_is_read_at_most_twice_and_data_not_at_all() -> None:
    data = long_vocabulary() + bytes(50_000_000)
    source = CountingSource(data)
    header = read_gguf_header(source)
    assert header.array_lengths == {"tokens": 200_000, "scores": 9_000}
    assert len(header.tensors) == 2
    assert sum(n for _, n in source.reads) < 1.5 * header.data_offset_bytes
    assert max(offset + n for offset, n in source.reads) < header.data_offset_bytes + 2**20 + 64
    # What is stepped over and lies outside the window is not read at all.
    assert sum(n for _, n in source.reads) < header.data_offset_bytes


def test_stepping_over_more_than_there_is_is_refused() -> None:
    cursor = gguf_scan.HeaderCursor(BytesSource(bytes(100)))
    cursor.skip(100, "array")
    assert cursor.remaining_bytes == 0
    with pytest.raises(MalformedFileError, match="the file ends inside it: 1 bytes needed, 0"):
        cursor.skip(1, "array")


def test_nothing_is_read_beyond_the_end_of_the_file() -> None:
    for data in (*SEEDS.values(), long_vocabulary(20_000)):
        source = CountingSource(data)
        read_gguf_header(source)
        assert all(offset + n <= len(data) for offset, n in source.reads)


def test_windows_grow_from_64_to_256_kib() -> None:
    tokens = b.array("t", b.STRING, ["x" * 100] * 60_000)
    source = CountingSource(b.gguf([tokens]))
    read_gguf_header(source)
    kib = [n // 1_024 for _, n in source.reads]
    assert kib[:3] == [64, 256, 256]
    assert max(kib) == 256


def test_a_usual_small_header_takes_one_read() -> None:
    source = CountingSource(b.small_model() + bytes(10**6))
    read_gguf_header(source)
    assert len(source.reads) == 1


@pytest.mark.parametrize("single", [1, 2, 3, 4_096])
@pytest.mark.parametrize("window", [8, 9, 17, 64, 1000])
def test_the_width_of_the_window_changes_nothing(
    window: int, single: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [*SEEDS.values(), b.gguf([b.array("t", b.STRING, ["x" * k for k in range(200)])])]
    expected = [read_gguf_header(data) for data in files]
    monkeypatch.setattr(gguf_scan, "_FIRST_WINDOW_BYTES", window)
    monkeypatch.setattr(gguf_scan, "_WINDOW_BYTES", window)
    monkeypatch.setattr(gguf_scan, "_SINGLE_STRINGS", single)
    assert [read_gguf_header(data) for data in files] == expected
    lie = b.gguf([b.array("t", b.STRING, ["x" * k for k in range(200)], length=201)])
    with pytest.raises(MalformedFileError, match="the file ends inside it"):
        read_gguf_header(lie)


def test_a_file_that_shrinks_while_it_is_read_is_an_error_not_a_crash() -> None:
    data = long_vocabulary(20_000)
    source = CountingSource(data)
    read_gguf_header(source)
    for turn in range(len(source.reads)):

        class Shrinking(CountingSource):
            def read(self, offset: int, n: int) -> bytes:
                whole = super().read(offset, n)
                return whole if len(self.reads) <= turn else whole[:5]  # noqa: B023 - used here

        with pytest.raises(MalformedFileError, match="shrank while it was read"):
            read_gguf_header(Shrinking(data))


def test_a_header_longer_than_64_mib_is_refused_without_reading_it() -> None:
    value = struct.pack("<IQ", b.STRING, 17) + struct.pack("<Q", 2**24)
    source = ZerosSource(b.gguf([b.pair("k", b.ARRAY, value)]), 2**40)
    assert read_gguf_header(source, allow_missing_data=True).array_lengths == {"k": 17}
    numbers = struct.pack("<IQ", b.UINT8, 2**26 - 24 - 25 - 4)  # four bytes remain after it
    pairs = [b.pair("k", b.ARRAY, numbers)]
    long = ZerosSource(b.gguf(pairs, n_pairs=2), 2**40)
    with pytest.raises(MalformedFileError, match=r"headers up to 67,108,864 bytes"):
        read_gguf_header(long)
    assert long.bytes_read < 2**21


def test_a_header_of_eight_megabytes_is_read_in_little_memory() -> None:
    data = long_vocabulary(300_000)
    source = BytesSource(data)
    tracemalloc.start()
    read_gguf_header(source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data) > 7_000_000
    assert peak < 4 * 2**20


def test_values_kept_in_memory_have_a_bound_whatever_the_header_holds() -> None:
    text = "\U0001f600" + "x" * 2**20
    pairs = [b.scalar(f"s{i}", b.STRING, text) for i in range(30)]
    pairs += [b.array(f"n{i}", b.UINT8, [3] * 8_192) for i in range(400)]
    data = b.gguf(pairs)
    tracemalloc.start()
    header = read_gguf_header(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 * 2**20
    assert header.findings[0].startswith("value too large to keep")
    assert header.array_lengths["n399"] == 8_192


def test_as_many_numbers_are_kept_as_sixteen_mib_hold() -> None:
    header = read_gguf_header(b.gguf([b.array(f"n{i}", b.UINT8, [3] * 8_192) for i in range(60)]))
    assert len(header.metadata) == 16 * 2**20 // (40 * 8_192) == 51


@pytest.mark.parametrize("token", [b.string(""), b.string("x" * 9), b.string("x" * 300)])
def test_time_grows_with_the_bytes_not_with_their_square(token: bytes) -> None:
    def seconds(count: int) -> float:
        value = struct.pack("<IQ", b.STRING, count) + token * count
        data = b.gguf([b.pair("k", b.ARRAY, value)])
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            read_gguf_header(data)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(100_000) < 8 * seconds(25_000)  # four times the work; a square would be 16
