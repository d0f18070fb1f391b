"""What is told of a checkpoint, field by field, however it is named and whatever lies beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from checkpoints import LLAMA, write_safetensors

from whatfits.sizing.errors import BadInputError, MalformedFileError, UnreadableFileError
from whatfits.sizing.readers.safetensors import StoredTensor
from whatfits.sizing.sources.checkpoint_files import (
    Checkpoint,
    read_checkpoint,
    read_checkpoint_in,
)
from whatfits.sizing.sources.folders import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from whatfits.sizing.readers.byte_source import ByteSource

A, B = StoredTensor("a", "F32", (2,), 0, 8), StoredTensor("b", "F32", (3,), 0, 12)
FIRST, SECOND, THIRD = (f"m-{n:05d}-of-00003.safetensors" for n in (1, 2, 3))


def write(folder: Path, name: str, tensor: StoredTensor = A) -> int:
    """Write a file with one tensor and return its length."""
    write_safetensors(folder / name, {tensor.name: (tensor.dtype, tensor.shape)})
    return (folder / name).stat().st_size


def write_json(folder: Path, name: str, values: dict[str, Any]) -> None:
    (folder / name).write_text(json.dumps(values))


def said(path: Path, kind: type[BadInputError] = UnreadableFileError) -> str:
    with pytest.raises(kind) as caught:
        read_checkpoint(str(path))
    return str(caught.value)


# files


def test_the_files_of_a_set_are_added_up_and_those_that_lack_are_named(tmp_path: Path) -> None:
    file_bytes = write(tmp_path, FIRST, A) + write(tmp_path, THIRD, B)
    expected = Checkpoint(str(tmp_path), None, (A, B), 2, file_bytes, (SECOND,))
    for named in (tmp_path, tmp_path / FIRST, tmp_path / THIRD):
        assert read_checkpoint(str(named)) == expected
    file_bytes += write(tmp_path, SECOND, StoredTensor("c", "F32", (), 0, 4))
    whole = read_checkpoint(str(tmp_path))
    assert [tensor.name for tensor in whole.tensors] == ["a", "c", "b"]
    assert (whole.n_files, whole.file_bytes, whole.missing) == (3, file_bytes, ())


def test_a_file_by_itself_is_a_checkpoint(tmp_path: Path) -> None:
    file_bytes = write(tmp_path, "x.safetensors")
    expected = Checkpoint(str(tmp_path), None, (A,), 1, file_bytes)
    assert read_checkpoint(str(tmp_path)) == expected
    assert read_checkpoint(str(tmp_path / "x.safetensors")) == expected
    (tmp_path / "x.safetensors").rename(tmp_path / "X.SAFETENSORS")
    assert read_checkpoint(str(tmp_path)) == expected


def test_where_no_file_is_there_the_first_is_named(tmp_path: Path) -> None:
    first = str(tmp_path / FIRST)
    assert f"no file of the checkpoint is there: {first!r}" in said(tmp_path / SECOND)


def test_what_two_files_say_is_said_once(tmp_path: Path) -> None:
    for name, odd in ((FIRST, "a\n"), (SECOND, "a\n\n"), (THIRD, "")):
        write(tmp_path, name, StoredTensor(odd, "F32", (2,), 0, 8))
    findings = read_checkpoint(str(tmp_path)).findings
    assert len(findings) == len(set(findings)) == 3


def test_a_tensor_in_two_files_is_refused_where_no_index_chooses(tmp_path: Path) -> None:
    for name in (FIRST, SECOND, THIRD):
        write(tmp_path, name)
    text = said(tmp_path, MalformedFileError)
    assert f"tensor 'a': is in {SECOND!r} and in a file before it" in text
    index = {"weight_map": {"a": SECOND, "b": FIRST}}
    write_json(tmp_path, "model.safetensors.index.json", index)
    chosen = read_checkpoint(str(tmp_path))
    assert (chosen.tensors, chosen.n_files) == ((A,), 2)
    assert chosen.findings == ("the index names 1 tensors that no file holds",)


def test_of_a_file_the_tensors_that_an_index_takes_from_another_are_passed_over(
    tmp_path: Path,
) -> None:
    write_safetensors(tmp_path / "1.safetensors", {"a": ("F32", (1,)), "z": ("F32", (1,))})
    write(tmp_path, "2.safetensors", A)
    index = {"weight_map": {"a": "2.safetensors", "z": "1.safetensors"}}
    write_json(tmp_path, "model.safetensors.index.json", index)
    found = read_checkpoint(str(tmp_path))
    assert [(tensor.name, tensor.shape) for tensor in found.tensors] == [("z", (1,)), ("a", (2,))]
    assert found.findings == ()


def test_all_files_that_are_there_are_announced_before_the_first_is_opened(tmp_path: Path) -> None:
    """A folder elsewhere fetches them at once."""
    said: list[object] = []

    class Watched(LocalFolder):
        def expect(self, names: Sequence[str]) -> None:
            said.append([*names])

        def open(self, name: str) -> AbstractContextManager[ByteSource]:
            said.append(name)
            return super().open(name)

    for name in (THIRD, FIRST):
        write(tmp_path, name, StoredTensor(name, "F32", (2,), 0, 8))
    read_checkpoint_in(Watched(str(tmp_path)))
    assert said == [[FIRST, THIRD], FIRST, THIRD]


# indexes


def test_an_index_names_the_files_and_claims_their_size(tmp_path: Path) -> None:
    file_bytes = write(tmp_path, "one.safetensors", A) + write(tmp_path, "two.safetensors", B)
    write(tmp_path, "model.safetensors", StoredTensor("other", "F32", (), 0, 4))
    name = "model.safetensors.index.json"
    weight_map = {"a": "one.safetensors", "b": "two.safetensors"}
    write_json(tmp_path, name, {"metadata": {"total_size": 20}, "weight_map": weight_map})
    expected = Checkpoint(str(tmp_path), None, (A, B), 2, file_bytes, (), 20)
    for named in (tmp_path, tmp_path / name):
        assert read_checkpoint(str(named)) == expected


def test_of_what_is_not_there_yet_an_index_is_not_blamed(tmp_path: Path) -> None:
    file_bytes = write(tmp_path, "one.safetensors", A)
    weight_map = {"a": "one.safetensors", "b": "two.safetensors"}
    values = {"metadata": {"total_size": 20}, "weight_map": weight_map}
    write_json(tmp_path, "model.safetensors.index.json", values)
    expected = Checkpoint(str(tmp_path), None, (A,), 1, file_bytes, ("two.safetensors",), 20)
    assert read_checkpoint(str(tmp_path)) == expected


def test_a_tensor_that_an_index_forgot_is_taken_all_the_same(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "m.safetensors", {"a": ("F32", (2,)), "x": ("F32", (1,))})
    index = {"weight_map": {"a": "m.safetensors"}}
    write_json(tmp_path, "model.safetensors.index.json", index)
    found = read_checkpoint(str(tmp_path))
    assert [tensor.name for tensor in found.tensors] == ["a", "x"]
    assert (found.findings, found.total_bytes) == ((), None)


def test_of_several_indexes_the_usual_one_counts_wherever_it_stands(tmp_path: Path) -> None:
    for number, prefix in enumerate(("a", "model", "z")):
        tensor = StoredTensor(prefix, "F32", (number + 1,), 0, 4 * number + 4)
        write(tmp_path, f"{prefix}.safetensors", tensor)
        index = {"weight_map": {prefix: f"{prefix}.safetensors"}}
        write_json(tmp_path, f"{prefix}.safetensors.index.json", index)
    assert [tensor.name for tensor in read_checkpoint(str(tmp_path)).tensors] == ["model"]
    (tmp_path / "model.safetensors.index.json").unlink()
    text = said(tmp_path)
    assert "the folder holds 2 models" in text
    assert "a.safetensors.index.json, z.safetensors.index.json; name one" in text
    (tmp_path / "z.safetensors.index.json").unlink()
    assert [tensor.name for tensor in read_checkpoint(str(tmp_path)).tensors] == ["a"]


# several models


def test_of_several_sets_the_first_with_the_usual_name_counts(tmp_path: Path) -> None:
    for name in ("a.safetensors", "model-b.safetensors", "model-c.safetensors", "z.safetensors"):
        write(tmp_path, name, StoredTensor(name, "F32", (2,), 0, 8))
    assert [one.name for one in read_checkpoint(str(tmp_path)).tensors] == ["model-b.safetensors"]


def test_several_sets_are_listed_by_their_first_files(tmp_path: Path) -> None:
    for name in (SECOND, THIRD, "b.safetensors"):
        write(tmp_path, name)
    assert f"holds 2 models: {str(tmp_path)!r}; allowed: b.safetensors, {FIRST}; " in said(tmp_path)


def test_an_adapter_beside_a_model_is_no_second_one(tmp_path: Path) -> None:
    write(tmp_path, "adapter_model.safetensors", B)
    assert "holds an adapter (LoRA), not a model" in said(tmp_path)
    write(tmp_path, "x.safetensors")
    assert read_checkpoint(str(tmp_path)).tensors == (A,)


# configurations


def test_a_configuration_stands_beside_whatever_else_is_named(tmp_path: Path) -> None:
    write(tmp_path, "m.safetensors")
    write_json(tmp_path, "config.json", LLAMA)
    write_json(tmp_path, "m.safetensors.index.json", {"weight_map": {"a": "m.safetensors"}})
    for named in ("", "m.safetensors", "m.safetensors.index.json"):
        found = read_checkpoint(str(tmp_path / named))
        assert found.config is not None
        assert found.config.values == LLAMA
        assert found.tensors == (A,)
    alone = read_checkpoint(str(tmp_path / "config.json"))
    assert alone == Checkpoint(str(tmp_path), found.config)
    write_json(tmp_path, "other.json", {**LLAMA, "vocab_size": 7})
    other = read_checkpoint(str(tmp_path / "other.json")).config
    assert other is not None
    assert other.values["vocab_size"] == 7


def test_a_folder_without_weights_has_its_configuration_or_nothing(tmp_path: Path) -> None:
    assert "no safetensors file and no config.json in the folder" in said(tmp_path)
    (tmp_path / "m.bin").write_bytes(b"PK")
    assert "the weights in the folder are pickles" in said(tmp_path)
    write_json(tmp_path, "config.json", LLAMA)
    found = read_checkpoint(str(tmp_path))
    (finding,) = found.findings
    assert finding.startswith("the weights in the folder are pickles: ")
    assert (found.tensors, found.n_files, found.file_bytes) == ((), 0, 0)
    (tmp_path / "m.bin").unlink()
    assert read_checkpoint(str(tmp_path)).findings == ()
    write_json(tmp_path, "m.bin.index.json", {})
    assert read_checkpoint(str(tmp_path)).findings == (finding,)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("quantize_config.json", "gptq"),
        ("quant_config.json", "awq"),
        ("hf_quant_config.json", "modelopt"),
    ],
)
def test_how_weights_are_quantised_may_be_said_beside_the_configuration(
    name: str, method: str, tmp_path: Path
) -> None:
    write_json(tmp_path, "config.json", LLAMA)
    write_json(tmp_path, name, {"bits": 4})
    config = read_checkpoint(str(tmp_path)).config
    assert config is not None
    block = {"quant_method": method, "bits": 4}
    assert config.values == {**LLAMA, "quantization_config": block}
    assert config.findings == (
        f"config.json does not say how the weights are quantised; {name} does",
    )
    own = {**LLAMA, "quantization_config": {"quant_method": "fp8"}}
    write_json(tmp_path, "config.json", own)
    config = read_checkpoint(str(tmp_path)).config
    assert config is not None
    assert (config.values, config.findings) == (own, ())
