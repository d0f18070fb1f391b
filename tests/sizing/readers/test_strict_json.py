"""What JSON from strangers may be, and where each limit lies."""

from __future__ import annotations

import math

import pytest

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.strict_json import MAX_DEPTH, parse_json


def parsed(text: str | bytes, **options: object) -> object:
    data = text.encode() if isinstance(text, str) else text
    return parse_json(data, "test", **options)  # type: ignore[arg-type]


def refusal(text: str | bytes, **options: object) -> MalformedFileError:
    with pytest.raises(MalformedFileError) as caught:
        parsed(text, **options)
    return caught.value


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def test_depth_is_limited_and_brackets_in_strings_are_none() -> None:
    assert parsed(nested(MAX_DEPTH))
    assert "is nested 65 deep" in str(refusal(nested(MAX_DEPTH + 1)))
    assert parsed('"' + "[" * 500 + '"') == "[" * 500
    assert parsed('["\\"' + "[" * 500 + '"]')
    assert parsed("[" + nested(MAX_DEPTH - 1) + "," + nested(MAX_DEPTH - 1) + "]")
    assert "deep" in str(refusal("[" + nested(MAX_DEPTH) + "]"))


def chain(marks: str) -> str:
    """Return a text that opens a list for each bracket, and an object for each brace."""
    opened = "".join('{"a":' if mark == "{" else mark for mark in marks)
    return opened + "1" + "".join("}" if mark == "{" else "]" for mark in reversed(marks))


@pytest.mark.parametrize("pattern", ["[", "{", "[{", "{[", "[[{", "{{["])
def test_lists_and_objects_count_alike_for_the_depth(pattern: str) -> None:
    deepest = (pattern * MAX_DEPTH)[:MAX_DEPTH]
    assert parsed(chain(deepest))
    for first in "[{":
        assert "is nested 65 deep; allowed: up to 64" in str(refusal(chain(first + deepest)))
    assert "is nested 128 deep" in str(refusal(chain(deepest + deepest)))


@pytest.mark.parametrize("inner", ["[[]]", '{"b":{}}', '[{"b":[]}]'])
def test_what_is_closed_counts_no_longer(inner: str) -> None:
    """However many stand side by side, before the deepest or after it."""
    many = ",".join([inner] * MAX_DEPTH)
    assert parsed(f"[{many}]")
    deepest = chain("[" * (MAX_DEPTH - 1))
    assert parsed(f"[{many},{deepest},{many}]")
    for text in (f"[{many},[{deepest}]]", f"[[{deepest}],{many}]"):
        assert "is nested 65 deep" in str(refusal(text))


def test_up_to_64_brackets_are_not_looked_at_for_their_depth() -> None:
    assert "is no JSON" in str(refusal("[" * MAX_DEPTH))
    assert "is nested 65 deep" in str(refusal("[" * (MAX_DEPTH + 1)))
    assert "is no JSON" in str(refusal("]" + "[" * MAX_DEPTH))
    assert "is no JSON" in str(refusal("]" + "[" * (MAX_DEPTH + 1)))


def test_parts_and_quotation_marks_are_limited() -> None:
    assert parsed("[" + "1," * 99_999 + "1]")
    assert "has 100,001 parts" in str(refusal("[" + "1," * 100_000 + "1]"))
    assert parsed("[" + '"",' * 99_999 + '""]')
    assert "has 400,002 quotation marks" in str(refusal('""' * 200_001))
    assert "no JSON" in str(refusal('""' * 200_000))


def test_each_kind_of_part_counts_once() -> None:
    half = 50_000
    for opening, closing in (("[", "]"), ("{", "}")):
        most = (opening + closing + ",") * half
        assert "no JSON" in str(refusal(most))
        assert "has 100,001 parts; allowed: up to 100,000" in str(refusal(most + opening))


def test_numbers_have_at_most_forty_digits() -> None:
    assert parsed("9" * 40) == int("9" * 40)
    assert "a number of 41 digits" in str(refusal("9" * 41))
    assert parsed("-0") == 0
    assert math.copysign(1, parsed("-0")) == -1  # type: ignore[arg-type]


def test_words_for_no_number_are_refused_unless_they_are_allowed() -> None:
    for word in ("NaN", "Infinity", "-Infinity"):
        assert f"has {word} for a number" in str(refusal(word))
        assert isinstance(parsed(word, allow_constants=True), float)
        assert f"has {word}" in str(refusal(word, on_duplicate=print))


def test_a_key_given_twice_is_refused_or_told() -> None:
    told: list[str] = []
    twice = '{"a":1,"b":2,"a":3}'
    assert "gives 'a' twice" in str(refusal(twice))
    assert "gives 'a' twice" in str(refusal(twice, allow_constants=True))
    assert parsed(twice, on_duplicate=told.append) == {"a": 3, "b": 2}
    assert parsed(twice, on_duplicate=told.append, allow_constants=True) == {"a": 3, "b": 2}
    assert told == ["a", "a"]


def test_half_a_pair_is_refused_wherever_it_stands() -> None:
    for text in ('"\\ud800"', '["\\udc00"]', '{"\\ud800":1}', '{"a":["\\udfff"]}'):
        assert "half a surrogate pair" in str(refusal(text))
    assert parsed('"\\ud83d\\ude00\\u0041"') == "\U0001f600A"


def test_the_place_is_that_of_the_byte_in_the_file() -> None:
    assert refusal(b'"a\xff"', place=100).offset_bytes == 102
    assert refusal('["é", x]', place=100).offset_bytes == 107
    assert refusal("", place=7).offset_bytes == 7
    assert refusal("x").offset_bytes == 0
    assert refusal(nested(MAX_DEPTH + 1), place=7).offset_bytes == 7


def test_a_refusal_is_of_the_field_that_is_read() -> None:
    assert refusal("x").field == "JSON"
    assert refusal("x", field="file").field == "file"


def test_the_first_key_that_is_given_twice_is_named() -> None:
    assert "gives 'b' twice" in str(refusal('{"a":1,"b":1,"b":2,"a":2}'))
    assert "gives 'a' twice" in str(refusal('[{"x":{"a":1,"a":2}}]'))


def test_where_no_escape_is_written_no_pair_is_looked_for() -> None:
    for text in ('{"a":["b",{"c":"d"}]}', '["\\\\ud800"]'):
        assert parsed(text)
    assert "half a surrogate" in str(refusal('{"a":[1,[{"b":"\\u0041\\ud800"}]]}'))
