"""Window layers: which architectures keep a short cache for them, and in which layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.architectures.metadata import Metadata
from whatfits.sizing.architectures.windows import read_windows
from whatfits.sizing.errors import MalformedFileError

if TYPE_CHECKING:
    from whatfits.sizing.architectures.windows import Windows

KEY, PATTERN = "attention.sliding_window", "attention.sliding_window_pattern"


def windows(architecture: str, n_layers: int = 8, **values: object) -> Windows:
    named = {"window": KEY, "pattern": PATTERN}
    metadata = {f"{architecture}.{named[name]}": value for name, value in values.items()}
    return read_windows(
        Metadata(metadata, architecture=architecture),
        n_layers=n_layers,
        n_layers_all=n_layers,
        recurrent=(False,) * n_layers,
    )


@pytest.mark.parametrize(
    ("architecture", "pattern"),
    [
        ("gemma2", "wfwfwfwf"),
        ("gpt-oss", "wfwfwfwf"),
        ("gemma3", "wwwwwfww"),
        ("cohere2", "wwwfwwwf"),
        ("cohere2moe", "fwwwfwww"),
        ("llama4", "wwwfwwwf"),
        ("smallthinker", "fwwwfwww"),
        ("plamo3", "wwwwwwwf"),
        ("lfm2", "wwwwwwww"),
    ],
)
def test_each_family_has_its_own_rhythm_of_window_and_full_layers(
    architecture: str, pattern: str
) -> None:
    got = windows(architecture, window=1024)
    assert "".join("w" if flag else "f" for flag in got.layers) == pattern


@pytest.mark.parametrize("architecture", ["llama", "mistral3", "phi3", "qwen2", "starcoder2"])
def test_a_window_that_llama_cpp_ignores_leaves_every_layer_full(architecture: str) -> None:
    assert windows(architecture, window=4096).tokens is None


def test_llama_4_has_its_window_built_in() -> None:
    assert windows("llama4").tokens == 8192
    assert windows("llama4", window=512).tokens == 8192
    assert windows("llama4", window=0).tokens is None


def test_exaone_4_has_windows_in_its_deep_model_only() -> None:
    assert windows("exaone4", n_layers=30, window=4096).tokens is None
    assert windows("exaone4", n_layers=64, window=4096).tokens == 4096


def test_a_list_in_the_file_overrides_the_rhythm() -> None:
    flags = (True, False, False, True, True, True, False, True)
    assert windows("gemma3", window=512, pattern=flags).layers == flags


def test_a_number_in_the_file_overrides_the_period() -> None:
    assert windows("gemma3", window=512, pattern=2).layers == (True, False) * 4
    assert windows("gemma3", window=512, pattern=0).layers == (True,) * 8
    assert windows("gemma3", window=512, pattern=1).layers == (False,) * 8


def test_a_list_that_is_too_short_leaves_the_last_layers_full() -> None:
    assert windows("gemma3", window=512, pattern=(True, True)).layers == (True,) * 2 + (False,) * 6


def test_a_list_is_needed_where_there_is_no_rhythm() -> None:
    with pytest.raises(MalformedFileError, match="missing"):
        windows("gemma4", window=512)


def test_a_window_is_needed_where_there_is_no_default() -> None:
    with pytest.raises(MalformedFileError) as caught:
        windows("gpt-oss")
    assert caught.value.field == f"gpt-oss.{KEY}"
