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


def test_parts_and_quotation_marks_are_limited() -> None:
    assert parsed("[" + "1," * 99_999 + "1]")
    assert "has 100,001 parts" in str(refusal("[" + "1," * 100_000 + "1]"))
    assert parsed("[" + '"",' * 99_999 + '""]')
    assert "has 400,002 quotation marks" in str(refusal('""' * 200_001))
    assert "no JSON" in str(refusal('""' * 200_000))


def test_numbers_have_at_most_forty_digits() -> None:
    assert parsed("9" * 40) == int("9" * 40)
    assert "a number of 41 digits" in str(refusal("9" * 41))
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
