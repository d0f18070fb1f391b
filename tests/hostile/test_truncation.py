"""G15 for what is more than one file, and how many cuts there are in all.

Single GGUF and safetensors files are cut in the tests of their mutations.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import gguf_builder
import pytest
import safetensors_builder
import split_cases
from checkpoint_cases import LLAMA, index
from gguf_reference import read_reference

from whatfits.sizing.errors import MalformedFileError, UnreadableFileError
from whatfits.sizing.readers.hf_config import read_hf_config
from whatfits.sizing.readers.safetensors_index import read_safetensors_index
from whatfits.sizing.sources.checkpoint_files import read_checkpoint
from whatfits.sizing.sources.local_file import load_gguf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAP = {f"model.layers.{i}.weight": f"model-{i % 4 + 1:05d}-of-00004.safetensors" for i in range(60)}
KINDS = ["full_attention", "sliding_attention"] * 40
TEXTS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "index": (index({"a": "m.safetensors", "b\\u00fc": "m.safetensors"}), read_safetensors_index),
    "long index": (index(MAP, metadata={"total_size": 8}), read_safetensors_index),
    "config": (json.dumps({**LLAMA, "rope_scaling": {"factor": 2.0}}).encode(), read_hf_config),
    "long config": (json.dumps({**LLAMA, "layer_types": KINDS}).encode(), read_hf_config),
}


@pytest.mark.parametrize("name", TEXTS)
def test_an_index_or_configuration_cut_anywhere_is_refused_with_its_place(name: str) -> None:
    data, read = TEXTS[name]
    read(data)
    for cut in range(len(data)):
        with pytest.raises(MalformedFileError) as caught:
            read(data[:cut])
        assert caught.value.field
        assert caught.value.offset_bytes is not None
        assert 0 <= caught.value.offset_bytes <= cut


@pytest.mark.parametrize("cut_file", range(split_cases.COUNT))
def test_a_file_of_a_set_cut_anywhere_is_refused_by_its_name(cut_file: int, tmp_path: Path) -> None:
    files = split_cases.sound()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    name, whole = list(files.items())[cut_file]
    paths = [tmp_path / other for other in files]
    sound, table_end = load_gguf(paths[0])[0], read_reference(whole)[2]
    for cut in range(len(whole)):
        (tmp_path / name).write_bytes(whole[:cut])
        if cut >= table_end:
            header = load_gguf(paths[0])[0]
            assert header.tensors == sound.tensors
            missing = f"{len(whole) - cut:,} bytes missing at the end of the file"
            assert header.findings == (f"tensor data incomplete: {missing}",)
            continue
        with pytest.raises((MalformedFileError, UnreadableFileError), match=name) as caught:
            load_gguf(paths[0])
        if cut:  # an empty file is of no format
            assert isinstance(caught.value, MalformedFileError)
            assert caught.value.offset_bytes is not None
            assert caught.value.offset_bytes <= cut


def test_a_file_of_a_checkpoint_cut_anywhere_is_refused_by_its_name(tmp_path: Path) -> None:
    data = safetensors_builder.safetensors({"a": ("F32", (2,)), "b": ("BF16", (3, 5))})
    header = len(data) - 38
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (tmp_path / names[0]).write_bytes(safetensors_builder.safetensors({"c": ("U8", (1,))}))
    for cut in range(len(data)):
        (tmp_path / names[1]).write_bytes(data[:cut])
        if cut >= header:
            found = read_checkpoint(str(tmp_path))
            assert [tensor.name for tensor in found.tensors] == ["c", "a", "b"]
            assert "bytes missing at the end" in found.findings[0]
            continue
        with pytest.raises((MalformedFileError, UnreadableFileError), match=names[1]):
            read_checkpoint(str(tmp_path))


def test_there_are_fifty_thousand_cuts_of_twelve_seeds_or_more() -> None:
    single = [
        *gguf_builder.seeds().values(),
        *gguf_builder.large_seeds().values(),
        *safetensors_builder.seeds().values(),
        *safetensors_builder.large_seeds().values(),
    ]
    others = [data for data, _ in TEXTS.values()] + list(split_cases.sound().values())
    assert len(single) >= 20
    # The single files are cut twice: with and without leave for their data to be missing.
    assert 2 * sum(map(len, single)) + sum(map(len, others)) >= 100_000
    assert sum(map(len, single)) >= 50_000
