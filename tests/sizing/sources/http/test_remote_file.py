"""A remote file is read by ranges, each byte once, and all of one version."""

from __future__ import annotations

import os

import pytest
from range_server import Handler, Hole, serving

from whatfits.sizing.errors import RemoteAnswerError
from whatfits.sizing.sources.http import Client
from whatfits.sizing.units import KIB, MIB

DATA = os.urandom(300 * KIB)
WINDOW = 64 * KIB


def test_the_first_request_asks_for_64_kib() -> None:
    with serving({"/f": DATA}) as server, Client(server.rules) as client:
        file = client.file(server.url("/f"))
        assert file.size_bytes == len(DATA)
        assert file.prefix == DATA[:WINDOW]
        assert file.etag == '"1"'
        assert (file.n_requests, file.received_bytes) == (1, WINDOW)
        assert [seen.headers["range"] for seen in server.seen] == ["bytes=0-65535"]


def test_bytes_that_are_known_are_not_asked_for_again() -> None:
    with serving({"/f": DATA}) as server, Client(server.rules) as client:
        file = client.file(server.url("/f"))
        assert file.read(100, 1_000) == DATA[100:1_100]
        assert file.n_requests == 1
        assert file.read(0, 100 * KIB) == DATA[: 100 * KIB]
        assert file.read(90 * KIB, 10 * KIB) == DATA[90 * KIB : 100 * KIB]
        assert (file.n_requests, file.received_bytes) == (2, 100 * KIB)
        assert server.seen[1].headers["range"] == f"bytes={WINDOW}-{100 * KIB - 1}"


def test_what_is_expected_comes_with_the_next_request() -> None:
    with serving({"/f": DATA}) as server, Client(server.rules) as client:
        file = client.file(server.url("/f"))
        file.expect(200 * KIB)
        assert file.n_requests == 1
        assert file.read(WINDOW, 1) == DATA[WINDOW : WINDOW + 1]
        assert file.read(WINDOW, 136 * KIB) == DATA[WINDOW : 200 * KIB]
        assert (file.n_requests, file.received_bytes) == (2, 200 * KIB)


def test_a_read_at_the_end_is_shorter_and_one_beyond_it_empty() -> None:
    with serving({"/f": DATA[:1_000]}) as server, Client(server.rules) as client:
        file = client.file(server.url("/f"))
        assert file.read(990, 100) == DATA[990:1_000]
        assert file.read(1_000, 5) == b""
        assert file.n_requests == 1


def test_an_empty_file_has_no_bytes() -> None:
    with serving({"/f": b""}) as server, Client(server.rules) as client:
        file = client.file(server.url("/f"))
        assert (file.size_bytes, file.read(0, 10)) == (0, b"")


def test_a_far_read_does_not_fetch_what_lies_between() -> None:
    with serving({"/f": Hole(DATA, 2**40)}) as server, Client(server.rules) as client:
        file = client.file(server.url("/f"))
        assert file.size_bytes == 2**40
        assert file.read(2**40 - 16, 64) == bytes(16)
        assert file.read(2**40 - 8, 8) == bytes(8)
        assert (file.n_requests, file.received_bytes) == (2, WINDOW + 16)


def test_a_server_without_ranges_sends_no_more_than_was_asked_for() -> None:
    def whole(handler: Handler) -> None:
        handler.answer(200, DATA, ETag='"1"')

    with serving({"/f": whole}) as server, Client(server.rules) as client:
        file = client.file(server.url("/f"))
        assert (file.size_bytes, file.received_bytes) == (len(DATA), WINDOW)
        assert file.read(0, 80 * KIB) == DATA[: 80 * KIB]
        assert client.received_bytes < WINDOW + 80 * KIB + 2 * WINDOW


def test_a_redirect_is_followed_once_and_remembered() -> None:
    with serving({"/cdn": DATA}) as cdn:

        def away(handler: Handler) -> None:
            handler.answer(302, Location=cdn.url("/cdn?signature=x"), X_Repo_Commit="abc")

        with serving({"/f": away}) as server:
            rules = type(server.rules)(
                frozenset({server.host, cdn.host}), allow_plain_http=True, allow_private=True
            )
            secret = {server.host: {"Authorization": "Bearer secret"}}
            with Client(rules, credentials=secret) as client:
                file = client.file(server.url("/f"))
                file.read(0, 100 * KIB)
                assert file.final_url == cdn.url("/cdn?signature=x")
                assert file.first_headers["x-repo-commit"] == "abc"
        assert [seen.headers.get("authorization") for seen in server.seen] == ["Bearer secret"]
        assert [seen.headers.get("authorization") for seen in cdn.seen] == [None, None]


def test_an_expired_address_is_asked_for_anew() -> None:
    tickets = iter(("/a", "/b"))

    def once(handler: Handler) -> None:
        handler.file(DATA)
        handler.server.files["/a"] = lambda later: later.answer(403)

    with serving({"/a": once, "/b": DATA}) as server, Client(server.rules) as client:
        server.files["/f"] = lambda handler: handler.answer(302, Location=next(tickets))
        file = client.file(server.url("/f"))
        assert file.read(0, 100 * KIB) == DATA[: 100 * KIB]
        assert file.final_url == server.url("/b")


def test_a_file_that_changes_between_two_ranges_is_an_error() -> None:
    tags = iter(('"1"', '"2"'))
    with (
        serving({"/f": lambda handler: handler.file(DATA, etag=next(tags))}) as server,
        Client(server.rules) as client,
    ):
        file = client.file(server.url("/f"))
        with pytest.raises(RemoteAnswerError, match="changed the file while it was read"):
            file.read(0, MIB)
        assert server.seen[1].headers["if-range"] == '"1"'
