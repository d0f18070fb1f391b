"""What a sound safetensors header says, and how long a long one takes."""

from __future__ import annotations

import time

import pytest
import safetensors_builder as b

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers import safetensors, safetensors_index
from whatfits.sizing.readers.byte_source import BytesSource
from whatfits.sizing.readers.checkpoint_shape import bytes_by_type, counts_of, parameters_of
from whatfits.sizing.readers.safetensors import StoredTensor, read_safetensors_header

MICROSECONDS_A_TENSOR = 60  # of processor time; about 6 on a machine with nothing else to do


def test_a_header_says_name_type_shape_place_and_bytes() -> None:
    data = b.safetensors({"a": ("BF16", (3, 5)), "b": ("I64", ())}, {"format": "pt"})
    header = read_safetensors_header(data)
    assert header.tensors == (
        StoredTensor("a", "BF16", (3, 5), 0, 30),
        StoredTensor("b", "I64", (), 30, 8),
    )
    assert header.metadata == {"format": "pt"}
    assert header.tensor_bytes == 38
    assert header.data_offset_bytes == len(data) - 38
    assert (header.file_bytes, header.findings) == (len(data), ())


def test_only_the_header_is_read() -> None:
    class Watched(BytesSource):
        reads: list[tuple[int, int]] = []  # noqa: RUF012 - one instance

        def read(self, offset: int, n: int) -> bytes:
            self.reads.append((offset, n))
            return super().read(offset, n)

    data = b.safetensors({"a": ("F32", (10_000,))})
    header = read_safetensors_header(Watched(data))
    assert Watched.reads == [(0, 8), (8, header.data_offset_bytes - 8)]


def test_long_metadata_is_stepped_over_and_little_of_it_is_kept() -> None:
    metadata = {f"k{i}": "x" for i in range(1_000)} | {"long": "y" * 100_000}
    header = read_safetensors_header(b.safetensors({"a": ("U8", (1,))}, metadata))
    assert len(header.metadata) == 64
    assert header.findings == ()


@pytest.mark.parametrize(("letters", "kept"), [(1_022, True), (1_023, False)])
def test_metadata_is_kept_up_to_a_kibibyte_with_its_quotes(letters: int, kept: bool) -> None:
    header = read_safetensors_header(b.safetensors({}, {"k": "x" * letters}))
    assert ("k" in header.metadata) is kept


def hidden(count: int, *, metadata: int | None = None) -> bytes:
    """Tensors whose fields are written so that a search of the text does not find them."""
    entry = '{"dtype":"U8","shape":[0],"data\\u005foffsets":[0,0]}'
    parts = [f'"{i}":{entry}' for i in range(count)]
    if metadata is not None:
        keys = ",".join(f'"{i}":""' for i in range(metadata))
        parts.insert(0, f'"__metadata__":{{{keys}}}')
    return b.with_header("{" + ",".join(parts) + "}")


def test_tensors_and_keys_of_metadata_are_counted_however_they_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(safetensors, "MAX_TENSORS", 3)
    plain = b.safetensors({f"t{i}": ("U8", (0,)) for i in range(3)})
    for data in (plain, hidden(3), hidden(3, metadata=3)):
        assert len(read_safetensors_header(data).tensors) == 3
    for data, says in (
        (b.safetensors({f"t{i}": ("U8", (0,)) for i in range(4)}), "has 4 tensors"),
        (hidden(5), "has too many tensors"),
        (hidden(4, metadata=0), "has too many tensors"),
        (hidden(3, metadata=4), "has too many keys"),
    ):
        with pytest.raises(MalformedFileError, match=says):
            read_safetensors_header(data)


def test_an_index_may_be_as_long_as_the_limit_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = b'{"weight_map":{"a":"m.safetensors"}}'
    monkeypatch.setattr(safetensors_index, "MAX_INDEX_BYTES", len(data))
    assert safetensors_index.read_safetensors_index(data).files == ("m.safetensors",)
    with pytest.raises(MalformedFileError, match="is 37 bytes long; allowed: up to 36"):
        safetensors_index.read_safetensors_index(data + b" ")


def test_an_index_may_name_as_many_tensors_as_the_limit_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(safetensors_index, "MAX_TENSORS", 2)
    two = b'{"weight_map":{"a":"m.safetensors","b":"m.safetensors"}}'
    assert len(safetensors_index.read_safetensors_index(two).file_of) == 2
    with pytest.raises(MalformedFileError, match="has too many tensors; allowed: up to 2"):
        safetensors_index.read_safetensors_index(two[:-2] + b',"c":"m.safetensors"}}')


def test_the_time_for_a_long_header_grows_with_its_tensors() -> None:
    for count in (5_000, 50_000):
        tensors = {f"model.layers.{i}.mlp.weight": ("BF16", (0, 4096)) for i in range(count)}
        data = b.safetensors(tensors)
        started = time.process_time()
        assert len(read_safetensors_header(data).tensors) == count
        assert time.process_time() - started < MICROSECONDS_A_TENSOR * count * 1e-6


def test_a_refusal_says_what_where_and_what_is_allowed() -> None:
    data = b.with_header('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,7]}}', bytes(8))
    with pytest.raises(MalformedFileError) as caught:
        read_safetensors_header(data)
    assert str(caught.value) == (
        "malformed safetensors: data_offsets of 'a' at byte 13: hold 7 bytes; "
        "allowed: 8, as F32 and the shape make"
    )


def test_tensors_give_away_the_plain_counts() -> None:
    header = read_safetensors_header(
        b.safetensors(
            {
                "visual.blocks.0.q_proj.weight": ("BF16", (9, 9)),
                "model.embed_tokens.weight": ("BF16", (256, 64)),
                "model.layers.0.self_attn.q_proj.weight": ("BF16", (96, 64)),
                "model.layers.0.self_attn.k_proj.weight": ("BF16", (32, 64)),
                "model.layers.0.self_attn.q_norm.weight": ("BF16", (16,)),
                "model.layers.1.mlp.up_proj.weight": ("F32", (128, 64)),
                "mtp.layers.7.mlp.up_proj.weight": ("F32", (1, 1)),
            }
        )
    )
    assert counts_of(header.tensors) == {
        "num_hidden_layers": 2,
        "vocab_size": 256,
        "hidden_size": 64,
        "intermediate_size": 128,
        "head_dim": 16,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
    }
    weights = 256 * 64 + 96 * 64 + 32 * 64 + 16 + 128 * 64
    assert parameters_of(header.tensors, bits=None) == weights
    sums = bytes_by_type(header.tensors)
    assert list(sums) == ["BF16", "F32"]
    assert sum(sums.values()) == header.tensor_bytes


def test_layers_with_a_gap_are_not_counted() -> None:
    for names in (("layers.0.w", "layers.2.w"), ("layers.99999999.w",), ()):
        tensors = [StoredTensor(f"model.{name}", "F32", (1,), 0, 4) for name in names]
        assert "num_hidden_layers" not in counts_of(tensors)
