"""No spelling, redirect or name leads to an address that is not allowed."""

from __future__ import annotations

import ipaddress
import time
from itertools import cycle
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from range_server import serving
from url_spellings import ACCEPTED, PRIVATE, PUBLIC_IPS, REFUSED

from whatfits.sizing.errors import BadInputError, InvalidRequestError, RemoteAnswerError
from whatfits.sizing.errors import UnreachableError as Unreachable
from whatfits.sizing.sources.http import PUBLIC, Budget, Client, Rules, check_url, is_public

if TYPE_CHECKING:
    from collections.abc import Sequence

BUDGET = Budget(deadline_s=5.0, connect_s=0.2)


def nowhere(_host: str, _port: int) -> Sequence[str]:
    raise OSError("no such name")


def one_line(error: BadInputError) -> bool:
    return str(error).isprintable() and len(str(error)) < 600


def test_there_are_as_many_spellings_as_promised() -> None:
    assert len(REFUSED) == len(set(REFUSED)) >= 100


@pytest.mark.parametrize("text", REFUSED)
def test_an_odd_spelling_is_refused_before_anything_is_looked_up(text: str) -> None:
    def fail(_host: str, _port: int) -> Sequence[str]:
        raise AssertionError("looked up")

    with Client(resolver=fail, environment={}) as client:
        with pytest.raises(InvalidRequestError) as caught:
            client.file(text)
        assert client.attempts == ()
        assert client.n_requests == 0
    assert one_line(caught.value)


@pytest.mark.parametrize("text", REFUSED)
def test_a_redirect_to_an_odd_spelling_is_not_followed(text: str) -> None:
    location = text.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")

    def away(handler) -> None:  # noqa: ANN001 - a reply of the server
        handler.raw(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\n\r\n")

    with (
        serving({"/m.gguf": away}) as server,
        Client(server.rules, resolver=nowhere, environment={}, budget=BUDGET) as client,
    ):
        with pytest.raises(BadInputError) as caught:
            client.file(server.url("/m.gguf"))
        # A relative address stays on the server; every other one leads nowhere at all.
        assert set(client.attempts) == {("127.0.0.1", server.server_port)}
        assert {seen.headers["host"] for seen in server.seen} == {server.host}
    assert one_line(caught.value)


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_usual_spelling_is_taken_apart_once(text: str) -> None:
    address = check_url(text)
    assert (address.scheme, address.host, address.port, address.target) == ACCEPTED[text]
    assert check_url(address.url) == address


@pytest.mark.parametrize("text", [*PRIVATE, *PUBLIC_IPS])
def test_an_address_is_public_or_not(text: str) -> None:
    assert is_public(ipaddress.ip_address(text)) is (text in PUBLIC_IPS)


def test_a_scoped_address_is_not_public() -> None:
    assert not is_public(ipaddress.ip_address("2606:4700::1111%1"))


@pytest.mark.parametrize("ip", PRIVATE)
def test_a_name_with_one_private_address_is_refused_like_one_that_is_unknown(ip: str) -> None:
    messages = set()
    for found in ((ip,), ("8.8.8.8", ip), (ip, "8.8.8.8"), ()):
        with Client(resolver=lambda *_, f=found: f, environment={}, budget=BUDGET) as client:
            with pytest.raises(Unreachable) as caught:
                client.document("https://models.example.com/m", most_bytes=10)
            assert client.attempts == ()
            messages.add(str(caught.value))
    assert len(messages) == 1


def test_a_name_is_looked_up_once_a_connection_and_what_was_checked_is_used() -> None:
    with serving({"/m": b"x"}) as server:
        rules = Rules(frozenset({f"models.test:{server.server_port}"}), allow_plain_http=True)
        # First a public address, then this machine, then again: rebinding.
        answers = cycle([["192.0.2.1"], ["127.0.0.1"]])
        asked: list[str] = []

        def alternating(host: str, _port: int) -> Sequence[str]:
            asked.append(host)
            return next(answers)

        with Client(rules, resolver=alternating, environment={}, budget=BUDGET) as client:
            for _ in range(4):
                with pytest.raises(Unreachable):
                    client.document(f"http://models.test:{server.server_port}/m", most_bytes=10)
            assert client.attempts == ()
        assert asked == ["models.test"] * 4
        assert server.seen == []


def test_a_named_private_host_keeps_its_name_in_the_request() -> None:
    with serving({"/m": b"x"}) as server:
        host = f"models.test:{server.server_port}"
        rules = Rules(frozenset({host}), allow_plain_http=True, allow_private=True)
        with Client(rules, resolver=lambda *_: ["127.0.0.1"], environment={}) as client:
            assert client.document(f"http://{host}/m", most_bytes=10).body == b"x"
            assert client.attempts == (("127.0.0.1", server.server_port),)
        assert server.seen[0].headers["host"] == host


def test_a_look_up_that_hangs_is_given_up() -> None:
    released = Event()

    def hanging(_host: str, _port: int) -> Sequence[str]:
        released.wait(10)
        return ()

    started = time.monotonic()
    with (
        Client(resolver=hanging, environment={}, budget=BUDGET) as client,
        pytest.raises(Unreachable, match="cannot be reached"),
    ):
        client.document("https://models.example.com/m", most_bytes=10)
    assert time.monotonic() - started < BUDGET.connect_s + 0.5
    released.set()


@pytest.mark.parametrize("entry", ["models.test", "models.test:*", "models.test:443"])
def test_only_named_hosts_may_be_given_but_redirects_may_lead_to_public_ones(entry: str) -> None:
    rules = Rules(frozenset({entry}))
    assert check_url("https://models.test/m", rules).host == "models.test"
    with pytest.raises(InvalidRequestError, match=r"allowed: the hosts models\.test"):
        check_url("https://example.com/m", rules)
    assert check_url("https://example.com/m", rules, redirected=True).host == "example.com"
    for private in ("https://127.0.0.1/m", "http://example.com/m", "https://example.com:444/m"):
        with pytest.raises(InvalidRequestError):
            check_url(private, rules, redirected=True)


def test_a_port_has_to_be_named() -> None:
    assert check_url("https://a.test:8443/m", Rules(frozenset({"a.test:8443"}))).port == 8443
    assert check_url("https://a.test:8443/m", Rules(frozenset({"a.test:*"}))).port == 8443
    for entry in ("a.test", "a.test:443", "b.test:8443"):
        with pytest.raises(InvalidRequestError):
            check_url("https://a.test:8443/m", Rules(frozenset({entry})))


def test_what_is_named_is_neither_private_nor_in_the_clear_unless_the_rules_say_so() -> None:
    named = frozenset({"127.0.0.1:*", "models.test"})
    for text in ("https://127.0.0.1/m", "http://models.test/m"):
        with pytest.raises(InvalidRequestError):
            check_url(text, Rules(named))
    assert check_url("https://127.0.0.1/m", Rules(named, allow_private=True)).may_be_private
    assert check_url("http://models.test/m", Rules(named, allow_plain_http=True)).port == 80
    assert not check_url("https://example.com/m", PUBLIC).may_be_private


def test_a_redirect_from_https_to_http_is_refused_even_to_a_named_host() -> None:
    rules = Rules(frozenset({"a.test", "b.test"}), allow_plain_http=True)
    with Client(rules, environment={}) as client, pytest.raises(RemoteAnswerError):
        client._redirect(
            check_url("https://a.test/m", rules), "http://b.test/m", "https://a.test/m"
        )


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/x?y=1", "https://a.test/x?y=1"),
        ("x", "https://a.test/folder/x"),
        ("?y", "https://a.test/folder/?y"),
        ("//b.test/x", "https://b.test/x"),
        ("https://b.test/x", "https://b.test/x"),
        ("x?u=http://c.test/", "https://a.test/folder/x?u=http://c.test/"),
    ],
)
def test_a_redirect_may_be_relative(location: str, expected: str) -> None:
    with Client(environment={}) as client:
        here = check_url("https://a.test/folder/m?q=/1")
        assert client._redirect(here, location, here.url).url == expected


PIECES = st.sampled_from(
    [
        *("https", "http", "://", "//", ":", "@", "/", "?", "#", "\\", "[", "]", ".", "%", " "),
        *("example.com", "127.0.0.1", "::1", "0x7f", "443", "8443", "localhost", "a", "-", "_"),
        *("xn--", "\u3002", "\u212a", "é", "\t", "user", "m.gguf", "1", "0177", "%2f", "%00"),
    ]
)


JOINED = st.lists(PIECES, max_size=8).map("".join)
TEXTS = st.one_of(JOINED, JOINED.map("https://{}".format), JOINED.map("https://a.example{}".format))


@settings(max_examples=1_500)
@given(TEXTS)
def test_what_is_accepted_means_the_same_to_other_parsers(text: str) -> None:
    try:
        address = check_url(text)
    except InvalidRequestError:
        return
    split = urlsplit(text)
    other = httpx.URL(text)
    assert address.host == (split.hostname or "") == other.raw_host.decode()
    assert address.port == (split.port or 443) == (other.port or 443)
    assert address.scheme == split.scheme == other.scheme == "https"
    assert address.host != "localhost"


@settings(max_examples=1_000)
@given(st.ip_addresses())
def test_a_public_address_is_global_unicast(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not is_public(ip):
        return
    assert not any((ip.is_private, ip.is_loopback, ip.is_link_local, ip.is_multicast))
    assert not (ip.is_reserved and ip not in ipaddress.ip_network("64:ff9b::/96"))
