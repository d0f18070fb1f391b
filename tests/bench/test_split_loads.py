"""Split models are loaded under the names they go by: llama.cpp finds the other files by them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import gguf_builder as b
import pytest
from llama_cpp_here import needs_llama_cpp

from whatfits.bench.loads import load_for_real
from whatfits.bench.plans import plan
from whatfits.bench.run_settings import RunSettings
from whatfits.bench.shapes import Shape, draw
from whatfits.bench.speed_process import LoadedModel
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_llama_cpp

KINDS = {int: b.UINT32, float: b.FLOAT32, str: b.STRING}
SETTINGS = RunSettings(context_tokens=64, mmap=False)
SHAPE = Shape("tiny", hidden=64, layers=3, feed_forward=128, heads=2, kv_heads=1, vocabulary=256)


def write_parts(folder: Path, prefix: str) -> list[Path]:
    """Write a tiny model over three files; llama.cpp wants their numbers in these very types."""
    drawn = draw(SHAPE, "F16")
    texts = {"llama.context_length": 64, **drawn.metadata, "tokenizer.ggml.model": "none"}
    metadata = [b.scalar(key, KINDS[type(value)], value) for key, value in texts.items()]
    paths = []
    for number in range(3):
        pairs = [
            b.scalar("split.no", b.UINT16, number),
            b.scalar("split.count", b.UINT16, 3),
            b.scalar("split.tensors.count", b.INT32, len(drawn.tensors)),
        ]
        rows, offset = [], 0
        for tensor in drawn.tensors[number::3]:
            kind = GGML_TYPES[tensor.type].id
            rows.append(b.tensor(tensor.name, tensor.shape, kind, offset))
            offset += pad(tensor.n_bytes, 32)
        data = b.gguf([*pairs, *(metadata if number == 0 else [])], rows, data_bytes=offset)
        path = folder / f"{prefix}-{number + 1:05d}-of-00003.gguf"
        path.write_bytes(data)
        paths.append(path)
    return paths


def assert_runs(path: Path) -> None:
    planned = plan(path, SETTINGS)
    outcome = load_for_real(path, SETTINGS)
    assert outcome.kind == "measured", outcome.reason
    assert {name: row["context"] for name, row in outcome.buffers.items()} == {
        name: row.context for name, row in planned.buffers.items()
    }
    with LoadedModel(path, SETTINGS) as model:
        assert model.load_seconds >= 0


def test_links_of_a_download_cache_are_loaded_by_their_own_names(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots"
    blobs.mkdir()
    snapshot.mkdir()
    for number, path in enumerate(write_parts(tmp_path, "m")):
        path.rename(blobs / f"{number:064x}")
        (snapshot / path.name).symlink_to(blobs / f"{number:064x}")
    assert_runs(snapshot / "m-00001-of-00003.gguf")


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes there")
def test_a_name_that_is_no_text_is_handed_over_byte_by_byte(tmp_path: Path) -> None:
    assert_runs(write_parts(tmp_path, os.fsdecode(b"\xff m"))[0])
