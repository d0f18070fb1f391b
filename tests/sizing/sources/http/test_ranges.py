"""What an answer says of its range is read strictly; limits hold to the byte and the second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.sources.http import Budget
from whatfits.sizing.sources.http.guard import Guard, SpentError
from whatfits.sizing.sources.http.ranges import (
    Extent,
    Version,
    parse_content_range,
    parse_length,
    range_header,
    version_of,
)
from whatfits.sizing.units import KIB

SIZES = st.integers(min_value=1, max_value=2**50)


@given(st.data())
def test_what_is_asked_for_is_what_an_exact_answer_names(data: st.DataObject) -> None:
    size = data.draw(SIZES)
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    asked = range_header(start, end)["Range"].replace("bytes=", "bytes ")
    assert parse_content_range(f"{asked}/{size}") == Extent(start, end, size)


@given(st.text(alphabet="bytes 0123456789-/*+._", max_size=40))
def test_a_range_is_sound_or_none(text: str) -> None:
    extent = parse_content_range(text)
    assert extent is None or 0 <= extent.start <= extent.end <= extent.size_bytes <= 10**16


@pytest.mark.parametrize(
    "text",
    [
        *("", "bytes", "bytes 0-1", "bytes 0-1/*", "bytes 1-0/2", "bytes 0-2/2", "bytes -1-2/3"),
        *("bytes 0-1/2 ", " bytes 0-1/2", "Bytes 0-1/2", "bytes 0-1/2, bytes 0-1/2", "0-1/2"),
        *("bytes 0x0-1/2", "bytes 0-1/1e9", "bytes 0-1/" + "9" * 17, "bytes \u0660-1/2"),
    ],
)
def test_a_range_in_another_form_is_none(text: str) -> None:
    assert parse_content_range(text) is None


def test_an_unsatisfied_range_names_the_length() -> None:
    assert parse_content_range("bytes */7") == Extent(0, 0, 7)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1, 1", "\u0661", "9" * 17, "0x1"])
def test_a_length_in_another_form_is_none(text: str) -> None:
    assert parse_length(text) is None
    assert parse_length("17") == 17


@pytest.mark.parametrize("tag", ['W/"1"', "1", '"a b"', '"a', '""x'])
def test_only_a_strong_tag_makes_a_condition(tag: str) -> None:
    assert Version(tag, None).if_range == {}
    assert Version('"1"', None).if_range == {"If-Range": '"1"'}
    assert Version(None, "Mon").if_range == {}


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"etag": '"1"', "last-modified": "Tue"}, True),
        ({"etag": '"2"', "last-modified": "Mon"}, False),
        ({"last-modified": "Mon"}, False),
        ({}, False),
    ],
)
def test_the_tag_tells_versions_apart(headers: dict[str, str], *, same: bool) -> None:
    assert Version('"1"', "Mon").is_that_of(headers) is same


def test_without_a_tag_the_date_does() -> None:
    assert Version(None, "Mon").is_that_of({"last-modified": "Mon"})
    assert not Version(None, "Mon").is_that_of({"last-modified": "Tue"})
    assert not Version(None, "Mon").is_that_of({"last-modified": "Mon", "etag": '"1"'})
    assert Version(None, None).is_that_of({})
    assert version_of({"etag": "x"}) == Version("x", None)


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_deadline_runs_from_the_first_request_on_and_over_all_of_them() -> None:
    clock = Clock()
    guard = Guard(Budget(deadline_s=10), clock)
    guard.start_request(most_body_bytes=1)
    assert guard.timeout(4) == 4
    clock.now += 7
    guard.start_request(most_body_bytes=1)
    assert guard.timeout(4) == pytest.approx(3)
    clock.now += 3
    with pytest.raises(SpentError, match="took longer than 10 s") as caught:
        guard.timeout(4)
    assert caught.value.late


def test_an_answer_is_slow_only_once_its_first_byte_is_five_seconds_old() -> None:
    clock = Clock()
    guard = Guard(Budget(least_bytes_per_s=100), clock)
    guard.start_request(most_body_bytes=KIB)
    clock.now += 60  # the server thinks: the time of silence is for that
    assert guard.next_read_bytes(10) == 10
    guard.received(1)
    clock.now += 5
    assert guard.next_read_bytes(10) == 10
    clock.now += 0.1
    with pytest.raises(SpentError, match="less than 100 bytes/s"):
        guard.next_read_bytes(10)
    guard.received(600)
    assert guard.next_read_bytes(10) == 10


def test_headers_bodies_and_clients_have_each_a_bound() -> None:
    guard = Guard(Budget(most_bytes=200 * KIB, most_header_bytes=10 * KIB), Clock())
    guard.start_request(most_body_bytes=100 * KIB)
    assert guard.next_read_bytes(64 * KIB) == 10 * KIB
    guard.received(10 * KIB)
    with pytest.raises(SpentError, match="more headers"):
        guard.next_read_bytes(1)
    guard.start_body(most_body_bytes=100 * KIB)
    assert guard.next_read_bytes(999 * KIB) == (100 + 64 - 10) * KIB
    guard.received(154 * KIB)
    with pytest.raises(SpentError, match="more data"):
        guard.next_read_bytes(1)
    guard.start_request(most_body_bytes=100 * KIB)
    guard.start_body(most_body_bytes=100 * KIB)
    assert guard.next_read_bytes(999 * KIB) == 36 * KIB
