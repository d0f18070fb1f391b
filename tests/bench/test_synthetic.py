"""Synthetic models: what is written is read again, and takes no room on the disk."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.bench.synthetic import write_catalog_model, write_synthetic_gguf
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.model import TensorSpec
from whatfits.sizing.quants.ggml_types import tensor_bytes
from whatfits.sizing.sources.gguf_model import load_file

if TYPE_CHECKING:
    from pathlib import Path

TENSOR = TensorSpec("t.weight", (64, 3), "F32", tensor_bytes("F32", (64, 3)), "layer")
MODELS = {"smollm2-135m": "Q4_K_M", "qwen3-30b-a3b": "Q8_0", "all-minilm-l6-v2": "F16"}


def _written(path: Path, value: object) -> bytes:
    write_synthetic_gguf(path, metadata={"key": value}, tensors=())
    return path.read_bytes()


@pytest.mark.parametrize("model", MODELS)
def test_a_catalog_model_is_read_again_as_it_was_written(tmp_path: Path, model: str) -> None:
    path = tmp_path / "model.gguf"
    spec = write_catalog_model(path, model, file_type=MODELS[model])
    read = load_file(str(path))
    assert read.architecture == spec.architecture
    assert read.layers == spec.layers
    assert {(t.name, t.shape, t.type, t.n_bytes) for t in read.tensors} == {
        (t.name, t.shape, t.type, t.n_bytes) for t in spec.tensors
    }


def test_a_large_model_takes_next_to_no_room(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_catalog_model(path, "llama-3.1-405b", file_type="F16")
    assert path.stat().st_size > 800 * 10**9
    assert path.stat().st_blocks * 512 < 2 << 20


def test_a_model_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no-such-model"):
        write_catalog_model(tmp_path / "model.gguf", "no-such-model", file_type="Q8_0")


def test_the_file_is_as_long_as_it_is_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    size = write_synthetic_gguf(path, metadata={}, tensors=[TENSOR, TENSOR])
    assert path.stat().st_size == size
    assert path.read_bytes()[-2 * TENSOR.n_bytes :] == bytes(2 * TENSOR.n_bytes)


@pytest.mark.parametrize(
    ("value", "kind", "data"),
    [
        (True, 7, b"\x01"),
        (5, 4, struct.pack("<I", 5)),
        (2**32 - 1, 4, b"\xff" * 4),
        (2**32, 10, struct.pack("<Q", 2**32)),
        (-5, 5, struct.pack("<i", -5)),
        (0.5, 6, struct.pack("<f", 0.5)),
        ("é", 8, struct.pack("<Q", 2) + "é".encode()),
        ([], 9, struct.pack("<IQ", 4, 0)),
        ([1, -1], 9, struct.pack("<IQii", 5, 2, 1, -1)),
        ((0.5,), 9, struct.pack("<IQf", 6, 1, 0.5)),
        ([True, False], 9, struct.pack("<IQ??", 7, 2, True, False)),
    ],
)
def test_a_value_is_written_with_its_type(
    tmp_path: Path, value: object, kind: int, data: bytes
) -> None:
    key = struct.pack("<Q", 3) + b"key"
    assert key + struct.pack("<I", kind) + data in _written(tmp_path / "x.gguf", value)


@pytest.mark.parametrize("value", [None, {}, [1, "a"], [[1]], b"x"])
def test_a_value_without_a_type_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(TypeError):
        _written(tmp_path / "x.gguf", value)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), max_size=6))
def test_tensors_begin_at_multiples_of_the_alignment(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("x") / "x.gguf"
    tensors = [
        TensorSpec(f"t{i}", shape, "F32", tensor_bytes("F32", shape), "layer")
        for i, shape in enumerate(shapes)
    ]
    size = write_synthetic_gguf(path, metadata={}, tensors=tensors)
    assert size % 32 == 0
    assert size >= sum(t.n_bytes for t in tensors)
