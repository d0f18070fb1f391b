"""What is kept of a `config.json`, and what is left out and said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.hf_config import COUNTS, HfConfig, read_hf_config, read_json_object


def read(**values: Any) -> HfConfig:  # noqa: ANN401 - JSON
    return read_hf_config(json.dumps(values).encode())


@pytest.mark.parametrize("key", COUNTS)
@pytest.mark.parametrize("value", ["32", "", True, False])
def test_a_count_that_is_no_number_is_left_out_and_said(key: str, value: object) -> None:
    config = read(**{key: value, "model_type": "llama"})
    assert config.values == {"model_type": "llama"}
    assert config.findings == (
        f"{key} of config.json is {str(value)!r}, no number; it is not used",
    )


def test_a_count_that_is_null_is_as_good_as_not_given() -> None:
    config = read(hidden_size=None, model_type=None)
    assert config.values == {"model_type": None}
    assert config.findings == ()


@pytest.mark.parametrize("part", ["text_config", "llm_config", "language_config"])
def test_counts_of_the_language_model_are_looked_at_where_it_has_a_part_of_its_own(
    part: str,
) -> None:
    config = read(**{part: {"hidden_size": "64", "n_layer": 2}})
    assert config.values == {part: {"n_layer": 2}}
    assert config.findings == ("hidden_size of config.json is '64', no number; it is not used",)


def test_other_parts_are_left_as_they_are() -> None:
    values = {"vision_config": {"hidden_size": "64"}, "text_config": "none", "x": [{"a": 1}]}
    config = read(**values)
    assert config.values == values
    assert config.findings == ()


def test_a_key_given_twice_counts_the_last_time_and_is_said_once() -> None:
    config = read_hf_config(b'{"a":1,"a":2,"b":{"c":1,"c":1}}')
    assert config.values == {"a": 2, "b": {"c": 1}}
    assert config.findings == ("key 'c' is given twice; the last one counts",)


def test_a_configuration_may_have_4_mebibytes_and_no_more() -> None:
    longest = b"{}".ljust(4 * 2**20)
    assert read_json_object(longest) == {}
    with pytest.raises(MalformedFileError) as caught:
        read_json_object(longest + b" ")
    assert "file at byte 0: is 4,194,305 bytes long; allowed: up to 4,194,304" in str(caught.value)
    assert caught.value.file_format == "config.json"
