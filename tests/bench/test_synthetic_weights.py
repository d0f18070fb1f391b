"""Weights by chance: blocks their type could hold, small and finite, in a file llama.cpp loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest

from whatfits.bench.shapes import Shape, draw, write_shape
from whatfits.bench.synthetic_weights import FILLED_TYPES, random_blocks
from whatfits.sizing import load_model
from whatfits.sizing.calibration import DeviceCalibration
from whatfits.sizing.errors import UnknownFileTypeError
from whatfits.sizing.machine import Device
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.speed.costs import costs_of, measured_costs
from whatfits.sizing.speed.rates import Rates

if TYPE_CHECKING:
    from pathlib import Path

TINY = Shape("tiny", 256, 2, 512, 4, 2, vocabulary=512)


@pytest.mark.parametrize("name", FILLED_TYPES)
def test_weights_spread_by_two_hundredths_around_zero(name: str) -> None:
    blocks = random_blocks(name, 1000 * GGML_TYPES[name].block_bytes, seed=1)
    if name == "F32":
        weights = blocks.view(np.float32)
    else:
        kind = gguf.GGMLQuantizationType[name]
        weights = gguf.dequantize(blocks.reshape(1, -1), kind)
    assert np.isfinite(weights).all()
    assert abs(weights.mean()) < 0.005
    assert 0.015 < weights.std() < 0.025


def test_a_type_whose_blocks_are_not_known_is_refused() -> None:
    with pytest.raises(UnknownFileTypeError, match="IQ2_XXS"):
        random_blocks("IQ2_XXS", 66, seed=0)


@pytest.mark.parametrize("file_type", ["Q4_K_M", "Q8_0", "F16", "Q4_0", "Q6_K", "Q5_K_M"])
def test_a_shape_is_read_back_as_it_was_drawn(tmp_path: Path, file_type: str) -> None:
    path = tmp_path / "tiny.gguf"
    drawn = draw(TINY, file_type)
    written = write_shape(path, drawn)
    assert written == path.stat().st_size
    spec = load_model(str(path))
    assert {(t.name, t.type, t.n_bytes) for t in spec.tensors} == {
        (t.name, t.type, t.n_bytes) for t in drawn.tensors
    }
    # every byte of data was written: no holes are left where weights should be
    blocks = path.read_bytes()[-drawn.total_bytes :]
    assert sum(byte == 0 for byte in blocks) < len(blocks) / 4


def test_what_a_token_takes_of_a_shape_is_counted_by_hand() -> None:
    drawn = draw(TINY, "Q8_0")
    kv = 2 * 64
    layer = 256 * (256 + 2 * kv + 256) + 3 * 256 * 512
    assert drawn.flops_by_type == {"Q8_0": 2 * 2 * layer}
    eights = (2 * layer + 256 * 512) // 32 * 34
    assert drawn.bytes_by_type == {"Q8_0": eights}  # norms are left out
    assert drawn.type_name == "Q8_0"
    assert drawn.cache_bytes_per_token == 2 * 2 * (2 * 2 * 64)
    assert drawn.attention_flops == 2 * 4 * 64 * 4


def test_a_layer_that_is_timed_has_the_nine_weights_that_its_time_is_shared_out_by() -> None:
    known = costs_of(Device("cpu", "cpu", "a CPU", "ram", 80_000_000_000))
    timed = DeviceCalibration("cpu", "a CPU", layer_seconds=1e-4)
    an_operation = measured_costs(known, timed, Rates(8e10, None)).table["operation"]
    weights = [t.name for t in draw(TINY, "Q4_0").tensors if t.name.startswith("blk.")]
    assert len(weights) / TINY.layers * an_operation == pytest.approx(1e-4)
