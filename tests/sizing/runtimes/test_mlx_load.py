"""Checkpoints on disk under mlx-lm: converted, or run as they lie there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check
from whatfits.sizing.api import load_model
from whatfits.sizing.errors import InvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path

MAC = "mac-m4-max-64gb"
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 2048,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
WIDTH, INNER, KEYS = 512, 1024, 128
SIZES = {"BF16": 2, "F16": 2, "U32": 4, "I32": 4}
MATRICES = {
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (KEYS, WIDTH),
    "self_attn.v_proj": (KEYS, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.gate_proj": (INNER, WIDTH),
    "mlp.up_proj": (INNER, WIDTH),
    "mlp.down_proj": (WIDTH, INNER),
}


def write(folder: Path, tensors: dict[str, tuple[str, tuple[int, ...]]]) -> int:
    """Write a safetensors file whose data is a hole, and return the bytes of its tensors."""
    header, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = SIZES[dtype]
        for dimension in shape:
            size *= dimension
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return end


def matrices() -> dict[str, tuple[int, int]]:
    found = {"model.embed_tokens": (2048, WIDTH)}
    for layer in range(2):
        found |= {f"model.layers.{layer}.{name}": shape for name, shape in MATRICES.items()}
    return found


def norms() -> dict[str, tuple[str, tuple[int, ...]]]:
    names = ["model.norm.weight"]
    for layer in range(2):
        names += [
            f"model.layers.{layer}.{norm}.weight"
            for norm in ("input_layernorm", "post_attention_layernorm")
        ]
    return dict.fromkeys(names, ("BF16", (WIDTH,)))


def in_16_bits() -> dict[str, tuple[str, tuple[int, ...]]]:
    return {**norms(), **{f"{name}.weight": ("BF16", shape) for name, shape in matrices().items()}}


def by_mlx(bits: int, group: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    tensors = norms()
    for name, (rows, columns) in matrices().items():
        tensors[f"{name}.weight"] = ("U32", (rows, columns * bits // 32))
        tensors[f"{name}.scales"] = ("BF16", (rows, columns // group))
        tensors[f"{name}.biases"] = ("BF16", (rows, columns // group))
    return tensors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "tiny"
    inside.mkdir()
    (inside / "config.json").write_text(json.dumps(LLAMA))
    return inside


def with_block(folder: Path, **fields: object) -> None:
    (folder / "config.json").write_text(json.dumps({**LLAMA, **fields}))


def test_a_checkpoint_in_16_bits_is_converted_to_4bit(folder: Path) -> None:
    total = write(folder, in_16_bits())
    spec = load_model(str(folder), runtime="mlx")
    plain = load_model(str(folder), file_type="bf16", runtime="mlx")
    assert (spec.file_type, spec.planned, plain.tensor_bytes) == ("4bit", True, total)
    plan = check(str(folder), machine=MAC, runtime="mlx")
    assert plan.commands["mlx"][0].startswith(f"mlx_lm.convert --hf-path {folder} --mlx-path tiny-")


def test_what_a_conversion_makes_is_what_then_lies_there(folder: Path, tmp_path: Path) -> None:
    write(folder, in_16_bits())
    converted = tmp_path / "converted"
    converted.mkdir()
    with_block(converted, quantization={"bits": 6, "group_size": 32, "mode": "affine"})
    total = write(converted, by_mlx(6, 32))
    planned = load_model(str(folder), file_type="6bit-g32", runtime="mlx")
    there = load_model(str(converted), runtime="mlx")
    assert planned.tensor_bytes == total
    assert there.weights is not None
    assert there.weights.low_bytes == there.weights.high_bytes == total
    assert not there.planned


def test_a_checkpoint_of_mlxs_runs_as_it_is(folder: Path) -> None:
    with_block(folder, quantization={"bits": 4, "group_size": 64})
    total = write(folder, by_mlx(4, 64))
    plan = check(str(folder), machine=MAC, runtime="mlx")
    assert plan.memory.weights_bytes == total
    (line,) = plan.commands["mlx"]
    assert line.startswith(f"mlx_lm.server --model {folder} ")
    assert "The checkpoint is run as it is, without a conversion." in plan.notes
    with pytest.raises(InvalidRequestError, match="quantised already"):
        load_model(str(folder), file_type="8bit", runtime="mlx")


def test_other_senses_and_prediction_layers_on_disk_are_not_loaded(folder: Path) -> None:
    with_block(folder, quantization={"bits": 4, "group_size": 64})
    total = write(folder, by_mlx(4, 64))
    more = {"vision_tower.patch.weight": ("BF16", (64, 64)), "mtp.fc.weight": ("BF16", (64, 64))}
    write(folder, {**by_mlx(4, 64), **more})
    spec = load_model(str(folder), runtime="mlx")
    assert spec.weights is not None
    assert spec.weights.mid_bytes == total


def test_awq_is_taken_as_it_is_with_an_interval(folder: Path) -> None:
    with_block(
        folder,
        quantization_config={
            "quant_method": "awq",
            "bits": 4,
            "group_size": 128,
            "zero_point": True,
        },
    )
    tensors = {**norms(), "model.embed_tokens.weight": ("F16", (2048, WIDTH))}
    for name, (rows, columns) in matrices().items():
        if name.startswith("model.layers"):
            tensors[f"{name}.qweight"] = ("I32", (columns, rows // 8))
            tensors[f"{name}.qzeros"] = ("I32", (columns // 128, rows // 8))
            tensors[f"{name}.scales"] = ("F16", (columns // 128, rows))
    total = write(folder, tensors)
    spec = load_model(str(folder), runtime="mlx")
    assert spec.weights is not None
    assert spec.weights.low_bytes == total < spec.weights.high_bytes <= 1.08 * total + 1


def test_a_bare_configuration_of_mlxs_is_worked_out(folder: Path) -> None:
    write(folder, in_16_bits())
    converted = load_model(str(folder), file_type="4bit", runtime="mlx").tensor_bytes
    (folder / "model.safetensors").unlink()
    with_block(folder, quantization={"bits": 4, "group_size": 64})
    spec = load_model(str(folder / "config.json"), runtime="mlx")
    assert spec.weights is not None
    assert spec.weights.low_bytes == spec.weights.high_bytes == converted
    own = {"bits": 8, "group_size": 64}
    with_block(folder, quantization={"bits": 4, "group_size": 64, "model.embed_tokens": own})
    mixed = load_model(str(folder / "config.json"), runtime="mlx").weights
    assert mixed is not None
    more_bytes = 2048 * WIDTH // 2  # four bits a weight more, the scales as they were
    assert mixed.low_bytes == mixed.high_bytes == converted + more_bytes


def test_a_gguf_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(InvalidRequestError, match="runs no GGUF") as caught:
        load_model(str(path), runtime="mlx")
    assert str(caught.value).isprintable()


def test_a_kind_of_model_without_a_file_in_mlx_lm_is_refused(folder: Path) -> None:
    with_block(folder, model_type="mllama")
    write(folder, in_16_bits())
    with pytest.raises(ValueError, match=r"llama\.cpp"):
        load_model(str(folder), runtime="mlx")
