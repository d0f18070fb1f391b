"""A quantised checkpoint of which only the configuration is here, as mlx-lm would hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from checkpoints import LLAMA, write_config

from whatfits.sizing.sources.mlx_model import load_mlx_model

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ByteRange

WIDTH, INNER, LAYERS = LLAMA["hidden_size"], LLAMA["intermediate_size"], LLAMA["num_hidden_layers"]
KEYS = WIDTH // 4
LINEAR = LAYERS * (2 * WIDTH * WIDTH + 2 * KEYS * WIDTH + 3 * INNER * WIDTH)
DOWN = LAYERS * INNER * WIDTH
ENDS = 2 * LLAMA["vocab_size"] * WIDTH
NORMS = (2 * LAYERS + 1) * WIDTH


def weights(folder: Path, **block: Any) -> ByteRange:  # noqa: ANN401 - JSON
    write_config(folder, {**LLAMA, **block})
    spec = load_mlx_model(str(folder))
    assert spec.weights is not None
    assert spec.file_bytes == spec.weights.mid_bytes
    return spec.weights


@pytest.mark.parametrize(
    ("block", "bits"),
    [
        ({"bits": 4, "group_size": 64}, 4.5),
        ({"bits": 3, "group_size": 32}, 4.0),
        ({"bits": 4, "group_size": 32, "mode": "mxfp4"}, 4.25),
        ({"bits": 8, "group_size": 32, "mode": "mxfp8"}, 8.25),
        ({"bits": 4, "group_size": 16, "mode": "nvfp4"}, 4.5),
    ],
)
def test_its_own_modes_take_their_own_bits(
    tmp_path: Path, block: dict[str, object], bits: float
) -> None:
    found = weights(tmp_path, quantization=block)
    assert found.mid_bytes == (LINEAR + ENDS) * bits / 8 + 2 * NORMS
    assert found.low_bytes == found.high_bytes == found.mid_bytes


def test_modules_with_bits_of_their_own_are_counted(tmp_path: Path) -> None:
    better = {
        f"model.layers.{layer}.mlp.down_proj": {"bits": 6, "group_size": 64}
        for layer in range(LAYERS)
    }
    found = weights(tmp_path, quantization={"bits": 4, "group_size": 64, **better})
    assert found.mid_bytes == (LINEAR + ENDS) * 4.5 / 8 + DOWN * 2 / 8 + 2 * NORMS


@pytest.mark.parametrize(("bits", "zeros"), [(4, 4), (8, 8)])
def test_what_others_made_is_held_at_the_bytes_of_its_checkpoint_or_a_little_more(
    tmp_path: Path, bits: int, zeros: int
) -> None:
    # GPTQ: a scale of 16 bits and a zero point a group of 128, an index of 32 bits a column; the
    # embedding and the output stay in 16 bits
    block = {"quant_method": "gptq", "bits": bits, "group_size": 128, "desc_act": False}
    found = weights(tmp_path, quantization_config=block)
    indexes = LAYERS * (6 * WIDTH + INNER) * 4
    expected = LINEAR * (bits + (16 + zeros) / 128) / 8 + indexes + 2 * (ENDS + NORMS)
    assert found.mid_bytes == expected
    assert found.low_bytes == found.mid_bytes < found.high_bytes <= 1.08 * found.mid_bytes + 1


def test_a_layout_nobody_described_lies_between_its_bits_and_sixteen(tmp_path: Path) -> None:
    block = {"quant_method": "awq", "bits": 3, "group_size": 128}
    found = weights(tmp_path, quantization_config=block)
    assert found.high_bytes == 2 * (LINEAR + ENDS + NORMS)
    assert found.low_bytes < found.high_bytes
