"""A server's address: this machine or a private network, however it is written."""

from __future__ import annotations

import time

import pytest

from whatfits.probes.runtimes.address import parse_address, resolve
from whatfits.sizing.errors import InvalidRequestError

NUMBERS = {
    "127.0.0.1": True,
    "127.255.0.9": True,
    "::1": True,
    "::ffff:127.0.0.1": True,
    "10.1.2.3": False,
    "172.16.0.1": False,
    "172.31.255.255": False,
    "192.168.1.20": False,
    "fd00::5": False,
    "::ffff:192.168.1.20": False,
}
ELSEWHERE = [
    "8.8.8.8",
    "172.32.0.1",
    "169.254.169.254",
    "fe80::1",
    "0.0.0.0",  # noqa: S104 - to be refused
    "::",
    "224.0.0.1",
    "255.255.255.255",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    "100.64.0.1",
    "192.0.2.1",
]
REFUSED = [
    "",
    "127.0.0.1:8080",
    "localhost",
    "https://127.0.0.1:8080",
    "ftp://127.0.0.1",
    "file:///etc/passwd",
    "http://",
    "http://:8080",
    "http://user@127.0.0.1:8080",
    "http://user:secret@127.0.0.1:8080",
    "http://127.0.0.1:8080@evil.example",
    "http://127.0.0.1:8080/v2",
    "http://127.0.0.1:8080/v1/models",
    "http://127.0.0.1:8080?a=b",
    "http://127.0.0.1:8080#a",
    "http://127.0.0.1:0",
    "http://127.0.0.1:65536",
    "http://127.0.0.1:many",
    "http://127.0.0.1:8080\r\nHost: evil",
    "http://127.0.0.1 :8080",
    "http://127.0.0.1\\@evil.example",
    "http://[::1",
    "http://[fe80::1%eth0]:8080",
    "http://127.0.0.1\u3002evil",
    "http://127.0.0.1:8080\0",
]


@pytest.mark.parametrize("text", REFUSED, ids=repr)
def test_anything_but_a_plain_address_is_refused_without_repeating_a_password(text: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://localhost:11434/v1", "http://localhost:11434"),
        ("http://box.local/v1/", "http://box.local:80"),
        ("http://[::1]:1234", "http://[::1]:1234"),
        ("HTTP://LOCALHOST:1", "http://localhost:1"),
    ],
)
def test_a_base_url_is_an_address(text: str, url: str) -> None:
    assert parse_address(text).url == url


@pytest.mark.parametrize("number", NUMBERS)
def test_this_machine_and_private_networks_are_reached(number: str) -> None:
    address = resolve(parse_address("http://name:80"), lambda _host, _port: [number])
    assert address.is_here is NUMBERS[number]
    assert address.ip == number.removeprefix("::ffff:")


@pytest.mark.parametrize("number", ELSEWHERE)
def test_everything_else_is_not_even_when_a_private_address_stands_beside_it(number: str) -> None:
    for numbers in ([number], ["127.0.0.1", number], [number, "10.0.0.1"]):
        with pytest.raises(InvalidRequestError, match="private network"):
            resolve(parse_address("http://name:80"), lambda _host, _port, n=numbers: n)


@pytest.mark.parametrize("text", ["2130706433", "0x7f000001", "017700000001", "127.1"])
def test_an_odd_spelling_is_what_it_resolves_to(text: str) -> None:
    try:
        assert resolve(parse_address(f"http://{text}:80")).ip == "127.0.0.1"
    except InvalidRequestError as error:  # some systems know no such spelling
        assert "resolved" in str(error)  # noqa: PT017 - either is right


def test_a_name_is_resolved_once_and_no_longer_than_two_seconds() -> None:
    asked = []

    def slow(host: str, _port: int) -> list[str]:
        asked.append(host)
        time.sleep(4)
        return ["127.0.0.1"]

    started = time.monotonic()
    with pytest.raises(InvalidRequestError, match="resolved"):
        resolve(parse_address("http://name:80"), slow)
    assert time.monotonic() - started < 2.5
    assert asked == ["name"]


def test_a_name_that_nobody_knows_is_said() -> None:
    def fails(_host: str, _port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(InvalidRequestError, match="resolved"):
        resolve(parse_address("http://name:80"), fails)
