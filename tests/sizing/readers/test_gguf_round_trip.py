"""Whatever a writer may write is read back as it was."""

from __future__ import annotations

import math
import struct

import gguf_builder as b
from hypothesis import given, settings
from hypothesis import strategies as st

from whatfits.sizing.quants.ggml_types import GGML_TYPES, tensor_bytes
from whatfits.sizing.readers.gguf import GgufTensor, read_gguf_header

RANGES = {
    b.UINT8: (0, 2**8 - 1),
    b.INT8: (-(2**7), 2**7 - 1),
    b.UINT16: (0, 2**16 - 1),
    b.INT16: (-(2**15), 2**15 - 1),
    b.UINT32: (0, 2**32 - 1),
    b.INT32: (-(2**31), 2**31 - 1),
    b.UINT64: (0, 2**64 - 1),
    b.INT64: (-(2**63), 2**63 - 1),
}
VALUES = {
    **{kind: st.integers(*limits) for kind, limits in RANGES.items()},
    b.FLOAT32: st.floats(width=32, allow_nan=False),
    b.FLOAT64: st.floats(allow_nan=False),
    b.BOOL: st.booleans(),
    b.STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
}
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=63)


@st.composite
def typed_values(draw: st.DrawFn) -> tuple[int, bool, object]:
    kind = draw(st.sampled_from(sorted(VALUES)))
    as_array = draw(st.booleans())
    strategy = VALUES[kind]
    return kind, as_array, draw(st.lists(strategy, max_size=16) if as_array else strategy)


@st.composite
def tensor_tables(draw: st.DrawFn) -> list[tuple[str, str, tuple[int, ...]]]:
    table = []
    for name in draw(st.lists(names, unique=True, max_size=5)):
        kind = GGML_TYPES[draw(st.sampled_from(sorted(GGML_TYPES)))]
        rest = draw(st.lists(st.integers(1, 5), max_size=3))
        shape = (draw(st.integers(1, 3)) * kind.block_elements, *rest)
        table.append((name, kind.name, shape))
    return table


reserved = {"general.alignment", "general.architecture"}


@settings(deadline=None, max_examples=200)
@given(
    metadata=st.dictionaries(names.filter(lambda n: n not in reserved), typed_values(), max_size=6),
    table=tensor_tables(),
    alignment=st.sampled_from([None, 8, 16, 32, 256, 4096]),
    version=st.sampled_from([2, 3]),
)
def test_written_headers_are_read_back(
    metadata: dict[str, tuple[int, bool, object]],
    table: list[tuple[str, str, tuple[int, ...]]],
    alignment: int | None,
    version: int,
) -> None:
    pairs = [
        b.array(key, kind, value) if as_array else b.scalar(key, kind, value)  # type: ignore[arg-type]
        for key, (kind, as_array, value) in metadata.items()
    ]
    if alignment is not None:
        pairs.append(b.scalar("general.alignment", b.UINT32, alignment))
    unit = alignment or 32
    rows, expected, offset = [], [], 0
    for name, kind, shape in table:
        rows.append(b.tensor(name, shape, GGML_TYPES[kind].id, offset))
        expected.append(GgufTensor(name, shape, kind, tensor_bytes(kind, shape), offset))
        offset += math.ceil(tensor_bytes(kind, shape) / unit) * unit
    data = b.gguf(pairs, rows, data_bytes=offset, alignment=unit, version=version)

    header = read_gguf_header(data)

    wanted = {
        key: tuple(value) if as_array else value  # type: ignore[arg-type]
        for key, (_, as_array, value) in metadata.items()
    }
    if alignment is not None:
        wanted["general.alignment"] = alignment
    assert dict(header.metadata) == wanted
    assert [type(v) for v in header.metadata.values()] == [type(v) for v in wanted.values()]
    assert header.tensors == tuple(expected)
    assert (header.version, header.alignment, header.findings) == (version, unit, ())
    assert header.file_bytes == len(data)
    if table:
        assert header.data_offset_bytes == len(data) - offset


@settings(deadline=None, max_examples=200)
@given(strings=st.lists(st.binary(max_size=300), min_size=17, max_size=200))
def test_long_lists_of_any_bytes_are_stepped_over_to_the_byte(strings: list[bytes]) -> None:
    data = b.gguf([b.array("tokens", b.STRING, strings), b.scalar("after", b.UINT32, 11)])
    header = read_gguf_header(data)
    assert header.array_lengths == {"tokens": len(strings)}
    assert header.metadata == {"after": 11}
    assert data.endswith(struct.pack("<I", 11))
