"""A checkpoint on this disk, whole or in parts, and what is refused of one."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from checkpoints import (
    LLAMA,
    llama_tensors,
    n_bytes,
    write_config,
    write_safetensors,
    write_sharded,
)

from whatfits.sizing import check
from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.errors import (
    BadInputError,
    MalformedFileError,
    UnreadableFileError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.sources import checkpoint_files, load

if TYPE_CHECKING:
    from pathlib import Path

    from whatfits.sizing.model import ModelSpec

TENSORS = llama_tensors()
TOTAL = n_bytes(TENSORS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the configuration of a small Llama."""
    inside = tmp_path / "tiny-llama"
    inside.mkdir()
    write_config(inside)
    return inside


def notes(path: Path) -> str:
    return " ".join(load(str(path)).notes)


def refusal(path: Path, kind: type[BadInputError] = UnreadableFileError) -> str:
    with pytest.raises(kind) as caught:
        load(str(path))
    assert str(caught.value).isprintable()
    return str(caught.value)


def same(one: ModelSpec, other: ModelSpec) -> bool:
    fields = ("architecture", "file_type", "tensors", "layers", "hparams", "parameters")
    return all(getattr(one, name) == getattr(other, name) for name in fields)


def test_a_folder_becomes_the_gguf_of_its_configuration(folder: Path) -> None:
    write_safetensors(folder / "model.safetensors", TENSORS)
    spec = load(str(folder), file_type="Q5_K_M")
    expected = spec_from_config(LLAMA, name="x", source="x", file_type="Q5_K_M")
    assert same(spec, expected)
    assert (spec.name, spec.source, spec.planned) == ("tiny-llama", str(folder), True)
    assert spec.parameters == TOTAL // 2


def test_without_a_file_type_the_note_says_what_the_folder_holds(folder: Path) -> None:
    write_safetensors(folder / "model.safetensors", TENSORS)
    said = load(str(folder))
    assert said.file_type == "Q4_K_M"
    shown = f"On disk: {len(TENSORS)} tensors of {TOTAL:,} bytes"
    assert any(note.startswith(shown) and note.endswith("BF16 100.0%.") for note in said.notes)
    assert "llama.cpp loads no safetensors" in notes(folder)


def test_every_way_to_name_a_checkpoint_gives_the_same_model(folder: Path) -> None:
    files = write_sharded(folder, TENSORS, count=3)
    whole = load(str(folder))
    others = (files[1], folder / "config.json", folder / "model.safetensors.index.json")
    for path in others:
        assert same(load(str(path)), whole)
    assert f"{TOTAL:,} bytes ({TOTAL / 2**20:.0f} MiB) in 3 files" in notes(files[2])
    (folder / "model.safetensors.index.json").unlink()
    assert same(load(str(folder)), whole)
    assert "in 3 files" in notes(folder)


def test_a_bare_configuration_says_how_large_its_checkpoint_is(folder: Path) -> None:
    assert f"has about {TOTAL:,} bytes" in notes(folder / "config.json")
    assert notes(folder) == notes(folder / "config.json")


def test_the_command_names_the_file_that_has_to_be_made(folder: Path) -> None:
    plan = check(str(folder), machine="64gb", file_type="Q8_0")
    assert "-m tiny-llama-Q8_0.gguf" in plan.commands["llama.cpp"][0]


def test_a_folder_of_the_download_cache_is_called_after_its_repository(tmp_path: Path) -> None:
    cache = tmp_path / "models--org--Tiny-Llama-1B"
    snapshot, blobs = cache / "snapshots" / "0a1b2c", cache / "blobs"
    for made in (snapshot, blobs):
        made.mkdir(parents=True)
    write_config(blobs)
    (blobs / "config.json").rename(blobs / "aaaa")
    write_safetensors(blobs / "bbbb", TENSORS)
    (snapshot / "config.json").symlink_to("../../blobs/aaaa")
    (snapshot / "model.safetensors").symlink_to("../../blobs/bbbb")
    assert load(str(snapshot)).name == "Tiny-Llama-1B"
    assert load(str(snapshot / "model.safetensors")).name == "Tiny-Llama-1B"


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "model-00001-of-00001.safetensors"]
)
def test_a_link_that_leaves_the_folder_is_not_followed(
    name: str, folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    write_config(outside)
    write_safetensors(outside / "model.safetensors", TENSORS)
    if name == "config.json":
        write_safetensors(folder / "model.safetensors", TENSORS)
        (folder / name).unlink()
    (folder / name).symlink_to(
        outside / ("config.json" if name == "config.json" else "model.safetensors")
    )
    assert "link that leaves the folder" in refusal(folder)


def test_an_index_cannot_name_a_file_outside_the_folder(folder: Path, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "x.safetensors", TENSORS)
    for name in ("../x.safetensors", str(tmp_path / "x.safetensors")):
        values = {"weight_map": {"a": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(values))
        assert "plain name" in refusal(folder, MalformedFileError)


def test_files_that_lead_in_a_circle_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").symlink_to("model.safetensors")
    assert "leads back to itself" in refusal(folder) or "leaves the folder" in refusal(folder)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_regular_file_is_refused_at_once(kind: str, folder: Path) -> None:
    path = folder / "model.safetensors"
    if kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    assert "allowed: a regular file" in refusal(folder)


def test_a_download_that_is_not_finished_is_understood(folder: Path) -> None:
    files = write_sharded(folder, TENSORS, count=3)
    files[0].unlink()
    said = notes(folder)
    assert f"1 files are missing of the checkpoint: {files[0].name}." in said
    assert load(str(folder)).parameters == TOTAL // 2
    write_safetensors(files[1], {"model.norm.weight": ("BF16", (512,))}, missing=100)
    assert "100 bytes missing at the end of the file" in notes(folder)
    for path in files[1:]:
        path.unlink()
    assert "no file of the checkpoint is there" in refusal(folder)


def test_an_index_that_lies_is_found_out(folder: Path) -> None:
    write_safetensors(folder / "model.safetensors", TENSORS)
    weight_map = dict.fromkeys([*TENSORS, "ghost"], "model.safetensors")
    values = {"metadata": {"total_size": 5}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(values))
    said = notes(folder)
    assert "the index names 1 tensors that no file holds" in said
    assert f"claims 5 bytes of tensors, the files hold {TOTAL:,}" in said


def test_a_tensor_in_two_files_is_refused(folder: Path) -> None:
    for path in write_sharded(folder, TENSORS, count=2, index=False):
        write_safetensors(path, {"model.norm.weight": ("BF16", (512,))})
    assert "in a file before it" in refusal(folder, MalformedFileError)


def test_all_files_together_hold_no_more_tensors_than_an_index_may(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_safetensors(folder / "model-00001-of-00002.safetensors", {"a": ("F32", (1,))})
    write_safetensors(folder / "model-00002-of-00002.safetensors", {"b": ("F32", (1,))})
    monkeypatch.setattr(checkpoint_files, "MAX_TENSORS", 2)
    load(str(folder))
    monkeypatch.setattr(checkpoint_files, "MAX_TENSORS", 1)
    said = refusal(folder, MalformedFileError)
    assert "are 2 up to 'model-00002-of-00002.safetensors'; allowed: up to 1" in said


def test_a_malformed_file_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(bytes(64))
    assert refusal(folder, MalformedFileError).endswith(f"file: {path}")


@pytest.mark.parametrize("suffix", ["bin", "pt", "pth", "ckpt"])
def test_a_pickle_is_never_opened(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pytorch_model.{suffix}"
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch hacked'\ntR.")
    for named in (path, tmp_path):
        said = refusal(named)
        assert "runs code when it is opened" in said
        assert "use the GGUF or the safetensors files" in said


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.PT"])
def test_the_index_of_pickles_is_refused_in_every_place(name: str, tmp_path: Path) -> None:
    index = tmp_path / f"{name}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"a": name}}))
    for named in (index, tmp_path):
        said = refusal(named)
        assert "runs code when it is opened" in said
        assert "use the GGUF or the safetensors files" in said
    index.rename(tmp_path / "model.safetensors.index.json")
    for named in (tmp_path / "model.safetensors.index.json", tmp_path):
        said = refusal(named, MalformedFileError)
        assert "a pickle: it runs code when it is opened" in said
        assert "allowed: the plain name of a .safetensors file" in said


def test_an_index_by_the_name_of_a_configuration_is_no_model(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"weight_map": {"a": "model.safetensors"}}))
    assert "the index of a checkpoint" in refusal(folder, UnsupportedArchitectureError)


def test_code_that_a_repository_brings_along_is_named_and_never_run(folder: Path) -> None:
    (folder / "evil.py").write_text("raise SystemExit('run')")
    plain = load(str(folder))
    for values in (
        {**LLAMA, "auto_map": {"AutoConfig": "evil.Config"}},
        {"model_type": "x", "text_config": {**LLAMA, "auto_map": {"AutoModel": "evil.Model"}}},
    ):
        write_config(folder, values)
        spec = load(str(folder))
        assert same(spec, plain)
        assert "auto_map names code of the repository; it is never run" in spec.notes


def test_beside_a_configuration_pickles_are_named_and_left_alone(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"PK\3\4")
    assert "weights in the folder are pickles" in notes(folder)


def test_a_pickle_by_another_name_is_no_safetensors_file(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x80\x04\x95" + bytes(40))
    assert "a Python pickle" in refusal(folder)
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "run 'git lfs pull'" in refusal(folder)


def test_a_gguf_in_the_folder_is_the_model(folder: Path) -> None:
    (folder / "m.gguf").write_bytes(b"GGUF")
    assert "malformed gguf" in refusal(folder, MalformedFileError)
    (folder / "m.gguf").rename(folder / "x.safetensors")  # the first bytes count, not the name
    assert "malformed gguf" in refusal(folder / "x.safetensors", MalformedFileError)


def test_an_adapter_is_no_model(folder: Path) -> None:
    write_safetensors(folder / "adapter_model.safetensors", {"a": ("F32", (2,))})
    assert "an adapter (LoRA), not a model" in refusal(folder)


def test_several_models_in_a_folder_have_to_be_chosen_from(folder: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        write_safetensors(folder / name, TENSORS)
    assert "holds 2 models" in refusal(folder)
    write_safetensors(folder / "model.safetensors", TENSORS)
    assert "in 1 file" in notes(folder)


def test_of_several_indexes_the_usual_one_counts_or_one_has_to_be_named(folder: Path) -> None:
    write_sharded(folder, TENSORS, count=2)
    usual = folder / "model.safetensors.index.json"
    other = folder / "consolidated.safetensors.index.json"
    other.write_bytes(b'{"weight_map":{"a":"gone.safetensors"}}')
    assert f"{TOTAL:,} bytes" in notes(folder)
    usual.rename(folder / "second.safetensors.index.json")
    assert "the folder holds 2 models" in refusal(folder)
    other.unlink()
    assert f"{TOTAL:,} bytes" in notes(folder)


def test_where_the_tensors_and_the_configuration_differ_the_tensors_count(folder: Path) -> None:
    write_safetensors(folder / "model.safetensors", TENSORS)
    write_config(
        folder, {**LLAMA, "vocab_size": 2000, "num_hidden_layers": "3", "hidden_size": None}
    )
    spec = load(str(folder), file_type="F16")
    assert same(spec, spec_from_config(LLAMA, name="x", source="x", file_type="F16"))
    said = " ".join(spec.notes)
    assert "vocab_size is 2,000 in config.json, the embedding has 2,048 rows" in said
    assert "num_hidden_layers of config.json is '3', no number" in said
    assert "num_hidden_layers, hidden_size: missing in config.json, read from the tensors" in said


def test_an_unknown_kind_has_its_parameters_counted_and_an_interval(folder: Path) -> None:
    write_config(folder, {**LLAMA, "model_type": "unheard_of", "architectures": ["Unheard"]})
    write_safetensors(folder / "model.safetensors", TENSORS)
    spec = load(str(folder))
    assert spec.parameters == TOTAL // 2
    assert spec.weights is not None
    assert spec.weights.low_bytes < spec.weights.high_bytes < spec.weights.low_bytes * 1.5
    (folder / "model.safetensors").unlink()
    guessed = load(str(folder))
    assert guessed.weights is not None
    assert guessed.weights.low_bytes < spec.weights.mid_bytes < guessed.weights.high_bytes
    assert "a plain transformer of these widths" in guessed.weights.reason
    assert (
        "Read of config.json: num_hidden_layers 3, hidden_size 512, num_attention_heads 8, "
        "num_key_value_heads 2, intermediate_size 1,024, vocab_size 2,048."
    ) in guessed.notes
    assert guessed.cache_interval > 0


def test_a_file_without_a_configuration_speaks_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    write_safetensors(path, TENSORS)
    spec = load(str(path))
    known = spec_from_config(LLAMA, name="x", source="x", file_type="Q4_K_M")
    widths = [(layer.attention.key_width, layer.attention.value_width) for layer in known.layers]  # type: ignore[union-attr]
    assert [(a.attention.key_width, a.attention.value_width) for a in spec.layers] == widths  # type: ignore[union-attr]
    assert (spec.name, spec.parameters) == ("tiny", TOTAL // 2)
    write_safetensors(path, {"unet.conv.weight": ("F16", (4, 4, 3, 3))})
    said = refusal(path, UnsupportedArchitectureError)
    assert "1 tensors of 288 bytes" in said
    assert "put the config.json" in said
