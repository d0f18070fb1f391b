"""What an index of a checkpoint may say, and where each limit of it lies."""

from __future__ import annotations

import json

import pytest

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers import safetensors_index
from whatfits.sizing.readers.safetensors_index import ShardIndex, read_safetensors_index


def index_of(weight_map: object, **values: object) -> bytes:
    return json.dumps({"weight_map": weight_map, **values}).encode()


def refusal(data: bytes) -> MalformedFileError:
    with pytest.raises(MalformedFileError) as caught:
        read_safetensors_index(data)
    assert caught.value.file_format == "safetensors index"
    return caught.value


def test_every_tensor_has_its_file_and_every_file_is_named_once_in_order() -> None:
    weight_map = {"b": "2.safetensors", "a": "1.safetensors", "c": "2.safetensors"}
    found = read_safetensors_index(index_of(weight_map))
    assert found == ShardIndex(weight_map, ("1.safetensors", "2.safetensors"), None, ())


@pytest.mark.parametrize(
    ("metadata", "total", "odd"),
    [
        ({}, None, False),
        ({"other": 1}, None, False),
        ([], None, False),
        (None, None, False),
        ({"total_size": 0}, 0, False),
        ({"total_size": 7.0}, 7, False),
        ({"total_size": 7.5}, None, True),
        ({"total_size": -1}, None, True),
        ({"total_size": 2**64 - 1}, 2**64 - 1, False),
        ({"total_size": 2**64}, None, True),
        ({"total_size": True}, None, True),
        ({"total_size": "7"}, None, True),
        ({"total_size": None}, None, True),
    ],
)
def test_a_size_is_a_whole_number_of_bytes_or_odd(
    metadata: object, total: int | None, odd: bool
) -> None:
    found = read_safetensors_index(index_of({"a": "m.safetensors"}, metadata=metadata))
    assert found.total_bytes == total
    assert found.findings == ("total_size of the index is no number of bytes",) * odd


def test_what_an_index_has_beside_it_is_stepped_over() -> None:
    beside = {"note": {"x": [1, {"y": None}]}, "format": "pt"}
    found = read_safetensors_index(index_of({"a": "m.safetensors"}, **beside))
    assert (found.file_of, found.findings) == ({"a": "m.safetensors"}, ())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "weight_map"),
        ('{"weight_map":{}}', "is missing or empty"),
        ('{"metadata":{"total_size":1}}', "is missing or empty"),
        ('{"weight_map":[]}', "allowed: '{'"),
        ('{"weight_map":{"a":1}}', "file of 'a' at byte 19: is no string"),
        ('{"x":1,"x":2}', "key 'x' at byte 11: is given twice"),
        ('{"weight_map":{"a":"m.safetensors","a":"m.safetensors"}}', "tensor 'a'"),
        ('{"weight_map":{"a":"m.safetensors"}} x', "index at byte 37: goes on after its object"),
    ],
)
def test_what_is_no_index_is_refused_by_field_and_place(text: str, says: str) -> None:
    assert says in str(refusal(text.encode()))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("m.safetensors", True),
        ("M.SafeTensors", True),
        ("a b..c.safetensors", True),
        ("ü.safetensors", True),
        (".safetensors", False),
        (".m.safetensors", False),
        ("a/m.safetensors", False),
        ("a\\m.safetensors", False),
        ("c:m.safetensors", False),
        ("m.safetensors\n", False),
        ("m\x7f.safetensors", False),
        ("m.gguf", False),
        ("m.safetensors.bin", False),
        ("", False),
    ],
)
def test_a_file_is_a_plain_name_with_the_suffix(name: str, plain: bool) -> None:
    data = index_of({"t": name})
    if plain:
        assert read_safetensors_index(data).files == (name,)
        return
    error = refusal(data)
    assert error.field == "file of 't'"
    assert error.offset_bytes == data.index(b'{"t"') + len('{"t": ')
    assert "allowed: the plain name of a .safetensors file in the same folder" in str(error)
    assert ("a pickle: it runs code" in str(error)) is name.endswith(".bin")


@pytest.mark.parametrize("letter", ["x", "ü"])
def test_a_name_has_up_to_255_bytes(letter: str) -> None:
    suffix = ".safetensors"
    n_bytes = len(letter.encode())
    longest = letter * ((255 - len(suffix)) // n_bytes) + suffix
    longest = "x" * (255 - len(longest.encode())) + longest
    assert len(longest.encode()) == 255
    assert read_safetensors_index(index_of({"a": longest})).files == (longest,)
    assert refusal(index_of({"a": "x" + longest})).field == "file of 'a'"


def test_an_index_names_as_many_files_as_the_limit_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(safetensors_index, "MAX_FILES", 2)
    two = {"a": "1.safetensors", "b": "2.safetensors", "c": "1.safetensors"}
    assert len(read_safetensors_index(index_of(two)).files) == 2
    error = refusal(index_of({**two, "d": "3.safetensors"}))
    assert "has too many files; allowed: 2" in str(error)


def test_the_limits_are_those_that_are_told() -> None:
    assert safetensors_index.MAX_FILES == 4_096
    assert safetensors_index.MAX_TENSORS == 2**18
    assert safetensors_index.MAX_INDEX_BYTES == 32 * 2**20
