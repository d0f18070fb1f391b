"""Hostile indexes and configurations: the answer of their class, in little time and memory."""

from __future__ import annotations

import json
import random
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from checkpoint_cases import CONFIG_CLASSES, INDEX_CLASSES, LLAMA, SHARD, config, index
from gguf_case import ACCEPTED, NOTED, REFUSED, Case

from whatfits.sizing.errors import (
    BadInputError,
    MalformedFileError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.readers.hf_config import read_hf_config
from whatfits.sizing.readers.safetensors_index import read_safetensors_index
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS_ALLOWED = 0.25
BYTES_ALLOWED = 32_000_000
CHANGED_CONFIGS = 1_500


@pytest.mark.parametrize("label", INDEX_CLASSES)
def test_each_index_is_answered_as_it_must_be(label: str) -> None:
    for case in INDEX_CLASSES[label]():
        started = time.process_time()
        if case.answer == REFUSED:
            with pytest.raises(MalformedFileError) as caught:
                read_safetensors_index(case.data)
            assert case.says in str(caught.value), case.name
            assert str(caught.value).isprintable(), case.name
            assert caught.value.offset_bytes is not None, case.name
        else:
            findings = read_safetensors_index(case.data).findings
            assert any(case.says in line for line in findings) == (case.answer == NOTED), case.name
        assert time.process_time() - started < SECONDS_ALLOWED, case.name


@pytest.mark.parametrize("label", CONFIG_CLASSES)
def test_each_configuration_is_answered_as_it_must_be(label: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    load(_written(path, config()))  # what is imported for the first one is not the file's doing
    for case in CONFIG_CLASSES[label]():
        _written(path, case.data)
        started = time.process_time()
        _answer(case, path)
        assert time.process_time() - started < SECONDS_ALLOWED, case.name


def _written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def _answer(case: Case, path: Path) -> None:
    if case.answer == REFUSED:
        with pytest.raises((MalformedFileError, UnsupportedArchitectureError)) as caught:
            load(str(path))
        assert case.says in str(caught.value), case.name
        assert str(caught.value).isprintable(), case.name
        return
    spec = load(str(path))
    assert spec.n_layers == LLAMA["num_hidden_layers"], case.name
    assert all(note.isprintable() for note in spec.notes), case.name
    if case.answer == NOTED:
        assert any(case.says in note for note in spec.notes), (case.name, spec.notes)
    else:
        assert case.answer == ACCEPTED


@pytest.mark.parametrize(
    ("classes", "read"),
    [(INDEX_CLASSES, read_safetensors_index), (CONFIG_CLASSES, read_hf_config)],
    ids=["index", "config"],
)
def test_no_case_takes_more_memory_than_it_may(
    classes: dict[str, Any], read: Callable[[bytes], object]
) -> None:
    for label, cases in classes.items():
        for case in cases():
            if len(case.data) < 100_000:
                continue
            tracemalloc.start()
            try:
                read(case.data)
            except BadInputError:
                assert case.answer == REFUSED
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < BYTES_ALLOWED, (label, case.name, peak)


def test_there_are_many_cases_and_none_is_there_twice() -> None:
    both = {**INDEX_CLASSES, **CONFIG_CLASSES}
    names = [(label, case.name) for label, cases in both.items() for case in cases()]
    assert len(names) >= 250
    assert len(set(names)) == len(names)


def test_an_index_or_configuration_cut_anywhere_is_refused() -> None:
    whole = index({"a": SHARD, "b\\u00fc": SHARD}, metadata={"total_size": 8})
    for cut in range(len(whole)):
        with pytest.raises(MalformedFileError):
            read_safetensors_index(whole[:cut])
    whole = config(rope_scaling={"factor": 2.0}, auto_map={"a": "b"})
    for cut in range(len(whole)):
        with pytest.raises(MalformedFileError):
            read_hf_config(whole[:cut])


ODD = (
    0,
    -1,
    1,
    2**31,
    2**64,
    1.5,
    1e308,
    True,
    None,
    "32",
    "",
    [],
    [1],
    ["a"] * 40,
    {},
    {"a": 1},
    7,
)


def test_a_configuration_with_odd_values_is_refused_or_understood(tmp_path: Path) -> None:
    rng = random.Random(4)  # noqa: S311 - a fixed series of test inputs
    path = tmp_path / "config.json"
    more = {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "layer_types": ["x", "y"]}
    more |= {"sliding_window": 64, "num_local_experts": 4, "num_experts_per_tok": 2}
    more |= {"tie_word_embeddings": True, "quantization_config": {"quant_method": "awq", "bits": 4}}
    kinds = ("llama", "qwen3_moe", "gemma3", "deepseek_v3", "mamba2", "nemotron_h", "unheard_of")
    accepted = 0
    for _ in range(CHANGED_CONFIGS):
        values = {**LLAMA, **more, "model_type": rng.choice(kinds)}
        for name in rng.sample(sorted(values), rng.randrange(3)):
            values[name] = rng.choice(ODD)
        path.write_text(json.dumps(values))
        try:
            spec = load(str(path), file_type="Q8_0")
        except BadInputError as error:
            assert str(error).isprintable()  # noqa: PT017 - most are accepted
            continue
        accepted += 1
        assert spec.tensor_bytes >= 0
        assert spec.file_bytes is not None
        assert spec.file_bytes > 0
    assert 0.1 < accepted / CHANGED_CONFIGS < 0.9
