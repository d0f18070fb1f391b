"""Walking over JSON member by member: where the cursor stands, what it takes, what it refuses."""

from __future__ import annotations

import re

import pytest

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers import json_cursor
from whatfits.sizing.readers.json_cursor import JsonCursor


def cursor(text: str | bytes, start_bytes: int = 0) -> JsonCursor:
    data = text.encode() if isinstance(text, str) else text
    return JsonCursor(data, file_format="test", start_bytes=start_bytes)


def keys_of(text: str, **limits: int) -> list[str]:
    """Return the keys of an object whose values are stepped over, and look that nothing follows."""
    walked = cursor(text)
    found = []
    for key in walked.members("object", **limits):
        found.append(key)
        walked.value("value")
    assert walked.next_byte() == b""
    return found


def refused_members(text: str) -> MalformedFileError:
    with pytest.raises(MalformedFileError) as caught:
        keys_of(text)
    return caught.value


# places


@pytest.mark.parametrize("start_bytes", [0, 8])
def test_before_its_first_step_a_cursor_stands_where_its_text_begins(start_bytes: int) -> None:
    walked = cursor("{}", start_bytes)
    assert walked.place == 0
    assert walked.error("all", "is odd").offset_bytes == start_bytes
    assert walked.error("all", "is odd", place=1).offset_bytes == start_bytes + 1


def test_an_error_is_of_this_place_unless_another_is_named_the_first_one_too() -> None:
    walked = cursor("  {}", 8)
    walked.next_byte()
    assert walked.error("all", "is odd").offset_bytes == 10
    assert walked.error("all", "is odd", place=0).offset_bytes == 8
    error = walked.error("all", "is odd", allowed="less")
    assert str(error) == "malformed test: all at byte 10: is odd; allowed: less"


def test_blanks_are_stepped_over_and_the_byte_after_them_is_not() -> None:
    walked = cursor(" \t\r\n1 ")
    assert (walked.next_byte(), walked.place) == (b"1", 4)
    assert (walked.next_byte(), walked.place) == (b"1", 4)
    walked.place = 5
    assert (walked.next_byte(), walked.place) == (b"", 6)


def test_a_pattern_moves_the_cursor_behind_what_it_matches_or_not_at_all() -> None:
    walked = cursor("abc")
    assert walked.match(re.compile(rb"b")) is None
    assert walked.place == 0
    found = walked.match(re.compile(rb"a"))
    assert found is not None
    assert (found[0], walked.place) == (b"a", 1)


def test_a_mark_that_is_expected_is_stepped_over_and_another_is_shown() -> None:
    walked = cursor(" :,")
    walked.expect(b":", "mark")
    assert walked.place == 2
    with pytest.raises(MalformedFileError, match="mark at byte 2: is ','; allowed: ':'"):
        walked.expect(b":", "mark")
    walked.expect(b",", "mark")
    with pytest.raises(MalformedFileError, match="mark at byte 3: is the end"):
        walked.expect(b",", "mark")


# strings


@pytest.mark.parametrize(
    ("written", "text"),
    [('"a"', "a"), ('""', ""), ('"é"', "é"), ('"\\u00e9\\n\\""', 'é\n"'), (' "a" ', "a")],
)
def test_a_string_is_returned_without_its_quotes_and_stepped_over(written: str, text: str) -> None:
    walked = cursor(written)
    assert walked.text("name") == text
    assert walked.place == len(written.rstrip().encode())


@pytest.mark.parametrize("letters", ["x", "\\n"])
def test_a_string_may_be_as_long_as_it_may_with_its_quotes(letters: str) -> None:
    written = f'"{letters * 4}"'
    n_bytes = len(written)
    assert cursor(written).text("name", max_bytes=n_bytes)
    with pytest.raises(MalformedFileError) as caught:
        cursor(" " + written, 8).text("name", max_bytes=n_bytes - 1)
    assert f"is {n_bytes} bytes long; allowed: up to {n_bytes - 1}" in str(caught.value)
    assert caught.value.offset_bytes == 9


def test_names_have_up_to_64_kibibytes() -> None:
    longest = '"' + "x" * (65_536 - 2) + '"'
    assert len(cursor(longest).text("name")) == 65_534
    with pytest.raises(MalformedFileError, match="is 65,537 bytes long"):
        cursor('"' + longest[1:-1] + 'x"').text("name")
    assert keys_of("{" + longest + ":1}") == [longest[1:-1]]
    assert cursor('"' + "x" * 65_535 + '"').skip_text("name") == 65_537


def test_what_is_no_utf8_is_refused_where_it_stands() -> None:
    with pytest.raises(MalformedFileError) as caught:
        cursor(b' "ab\xffc"', 8).text("name")
    assert caught.value.offset_bytes == 8 + 4
    with pytest.raises(MalformedFileError, match="half a surrogate") as caught:
        cursor(b'  "\\ud800"', 8).text("name")
    assert caught.value.offset_bytes == 8 + 2


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("1", "is no string"),
        ("", "is no string"),
        ('"a', "no end"),
        ('"a\nb"', "stray"),
        ('"\\x"', "stray"),
        ('"\\u12"', "stray"),
    ],
)
def test_what_is_no_string_is_refused_where_it_begins(written: str, says: str) -> None:
    for step in (JsonCursor.text, JsonCursor.skip_text):
        with pytest.raises(MalformedFileError, match=says) as caught:
            step(cursor("  " + written, 8), "name")
        assert caught.value.offset_bytes == 10


def test_a_string_that_is_skipped_tells_its_bytes_with_its_quotes() -> None:
    walked = cursor(' "é" ,')
    assert walked.skip_text("name") == 4
    assert walked.next_byte() == b","


# objects


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        ("{}", []),
        (" { } ", []),
        ('{"a":1}', ["a"]),
        (' { "a" : 1 , "b" : {"c":[1,2]} } ', ["a", "b"]),
        ('{"a":1,"a":2}', ["a", "a"]),
    ],
)
def test_every_key_of_an_object_is_handed_out(written: str, keys: list[str]) -> None:
    assert keys_of(written) == keys


@pytest.mark.parametrize(
    ("written", "place", "says"),
    [
        ("[]", 0, "is '['; allowed: '{'"),
        ("{", 1, "is no string"),
        ("{,}", 1, "is no string"),
        ('{"a" 1}', 5, "mark after 'a' at byte 5: is '1'; allowed: ':'"),
        ('{"a":1', 6, "mark after 'a' at byte 6: is the end; allowed: ','"),
        ('{"a":1 "b":2}', 7, "allowed: ','"),
        ('{"a":1,}', 7, "key of object at byte 7: is no string"),
    ],
)
def test_a_mark_that_is_missing_or_too_many_is_refused_where_it_would_stand(
    written: str, place: int, says: str
) -> None:
    error = refused_members(written)
    assert says in str(error)
    assert error.offset_bytes == place


def test_a_key_may_be_as_long_as_is_allowed_of_it() -> None:
    assert keys_of('{"abc":1}', max_bytes=5) == ["abc"]
    with pytest.raises(MalformedFileError, match="key of object at byte 1: is 5 bytes long"):
        keys_of('{"abc":1}', max_bytes=4)


# values


@pytest.mark.parametrize(
    ("written", "built"),
    [
        ("1", 1),
        ("-1.5e3", -1500.0),
        ("true", True),
        ("null", None),
        ('"a"', "a"),
        ("[]", []),
        ("{}", {}),
        ('{"a":[1,"]"]}', {"a": [1, "]"]}),
        ('[{"a":{"b":[[1],[2]]}}]', [{"a": {"b": [[1], [2]]}}]),
        ('{"a":{"b":1},"c":2}', {"a": {"b": 1}, "c": 2}),
    ],
)
def test_a_value_of_any_kind_is_built_and_stepped_over(written: str, built: object) -> None:
    walked = cursor(f"  {written} ,")
    assert walked.value("value") == built
    assert walked.next_byte() == b","


@pytest.mark.parametrize("written", ["[1,2]", '{"a":[1]}', "12345", '"abc"', "[[1],[2]]"])
def test_a_value_may_be_as_long_as_it_may(written: str) -> None:
    assert cursor(" " + written).value("value", max_bytes=len(written)) is not None
    with pytest.raises(MalformedFileError, match="is too long a value"):
        cursor(" " + written).value("value", max_bytes=len(written) - 1)


def test_values_have_up_to_64_kibibytes() -> None:
    longest = '"' + "x" * (65_536 - 2) + '"'
    assert cursor(longest).value("value") == longest[1:-1]
    with pytest.raises(MalformedFileError, match="is too long a value"):
        cursor(longest + '"').value("value", max_bytes=65_535)
    with pytest.raises(MalformedFileError, match="is too long a value"):
        cursor('"' + longest[1:-1] + 'x"').value("value")


@pytest.mark.parametrize("written", ["", "[", "[1", '{"a":[', "[[1]"])
def test_a_value_without_an_end_is_refused_at_the_end(written: str) -> None:
    with pytest.raises(MalformedFileError, match="has no end") as caught:
        cursor(" " + written, 8).value("value")
    assert caught.value.offset_bytes == 8 + 1 + len(written)


def test_what_is_no_json_is_refused_where_it_stands_in_the_file() -> None:
    with pytest.raises(MalformedFileError, match="value at byte 12: is no JSON") as caught:
        cursor("  [1, x]", 6).value("value")
    assert caught.value.field == "value"
    with pytest.raises(MalformedFileError, match="value at byte 8: is no value"):
        cursor("  ,", 6).value("value")


def test_marks_in_nested_values_are_counted_over_the_whole_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of `[[1]]` all count but the last, which ends it."""
    monkeypatch.setattr(json_cursor, "_MAX_NESTED", 8)
    twice = cursor("[[1]] [[1]]")
    assert twice.value("value") == twice.value("value") == [[1]]
    monkeypatch.setattr(json_cursor, "_MAX_NESTED", 7)
    once = cursor("[[1]] [[1]]")
    once.value("value")
    with pytest.raises(
        MalformedFileError, match="has too many marks and strings; allowed: up to 7"
    ):
        once.value("value")


def test_shallow_objects_and_plain_values_count_as_no_marks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(json_cursor, "_MAX_NESTED", 0)
    walked = cursor('{"a":[1,2],"b":"[["} 1 "x"')
    assert walked.value("value") == {"a": [1, 2], "b": "[["}
    assert (walked.value("value"), walked.value("value")) == (1, "x")


def test_there_may_be_fifty_thousand_marks() -> None:
    """The outer bracket, three for each of 16,665, and four of the last before the end."""
    most = "[" + "[]," * 16_665 + "[[]]]"
    assert cursor(most).value("value")
    with pytest.raises(MalformedFileError, match="up to 50,000 in values"):
        cursor(most[:-3] + "1]]]").value("value")
