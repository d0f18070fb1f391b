from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check, load_model
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.sources.dropped import MAX_HEAD_BYTES, load_dropped
from whatfits.sizing.sources.gguf_model import as_file_type

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14_336,
    "vocab_size": 128_256,
    "max_position_embeddings": 131_072,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("llama_cpp", reason="needs the extra [bench]")
    from whatfits.bench.synthetic import write_catalog_model

    path = tmp_path_factory.mktemp("dropped") / "qwen3-8b.gguf"
    write_catalog_model(path, "qwen3-8b", file_type="Q4_K_M")
    return path


def test_the_beginning_of_a_file_is_the_file(model_file: Path) -> None:
    with model_file.open("rb") as file:
        head = file.read(2**20)
    size = model_file.stat().st_size
    assert size > 100 * len(head)
    dropped = load_dropped("qwen3-8b.gguf", head, size_bytes=size)
    whole = load_model(str(model_file))
    assert dropped.tensors == whole.tensors
    assert dropped.layers == whole.layers
    assert (dropped.name, dropped.file_type) == ("qwen3-8b", "Q4_K_M")
    assert not dropped.planned


@pytest.mark.parametrize("name", ["my qwen3.gguf", r"C:\models\my qwen3.gguf"])
def test_a_command_names_the_file_that_was_handed_over(model_file: Path, name: str) -> None:
    with model_file.open("rb") as file:
        head = file.read(2**20)
    dropped = load_dropped(name, head, size_bytes=model_file.stat().st_size)
    plan = check(dropped, machine="rtx-4090 + 32gb", workload={"context_tokens": 8192})
    (line,) = plan.commands["llama.cpp"]
    assert line.startswith("llama-server -m 'my qwen3.gguf' -c 8192")


def test_a_file_of_another_type_than_it_has_is_one_to_be_made(model_file: Path) -> None:
    with model_file.open("rb") as file:
        head = file.read(2**20)
    dropped = load_dropped("qwen3-8b.gguf", head, size_bytes=model_file.stat().st_size)
    other = as_file_type(dropped, "Q8_0")
    assert other.tensors == load_model(str(model_file), file_type="Q8_0").tensors
    assert other.planned
    assert "The file is Q4_K_M; this is what Q8_0 of it would take." in other.notes
    described = load_dropped(
        "config.json", json.dumps(CONFIG).encode(), size_bytes=len(json.dumps(CONFIG))
    )
    assert as_file_type(described, "Q8_0").notes == described.notes


def test_a_header_that_is_cut_off_is_refused(model_file: Path) -> None:
    with model_file.open("rb") as file:
        head = file.read(4096)
    with pytest.raises(BadInputError, match="beyond the first"):
        load_dropped("a.gguf", head, size_bytes=model_file.stat().st_size)


def test_a_configuration_is_the_model_it_describes() -> None:
    data = json.dumps(CONFIG).encode()
    spec = load_dropped("config.json", data, size_bytes=len(data))
    assert spec.parameters == load_model("llama-3.1-8b").parameters
    assert spec.planned


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("model.bin", b"PK\x03\x04", "archive"),
        ("model.gguf", b"", "empty"),
        ("page.gguf", b"<!DOCTYPE html>", "web page"),
        ("model.safetensors", b"\x10\0\0\0\0\0\0\0{}", "safetensors"),
        ("config.json", b"[1]", "json"),
        ("config.json", b'{"_class_name": "UNet2DModel"}', ""),
        ("model.gguf", b"GGUF\x03\0\0\0", ""),
    ],
)
def test_what_is_no_model_is_refused_in_a_line(name: str, data: bytes, said: str) -> None:
    with pytest.raises(BadInputError) as refused:
        load_dropped(name, data, size_bytes=len(data))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("length", "size"), [(100, 99), (MAX_HEAD_BYTES + 1, 2**40)])
def test_more_than_was_asked_for_is_refused(length: int, size: int) -> None:
    with pytest.raises(BadInputError, match="beginning of a file"):
        load_dropped("a.gguf", bytes(length), size_bytes=size)
