"""Whatever a server does, the answer is one line, in time, within the bytes allowed."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from range_server import serving
from server_behaviours import BOTH, CONTENT, RANGES

from whatfits.sizing.errors import BadInputError, RemoteAnswerError, UnreachableError
from whatfits.sizing.sources.http import Budget, Client
from whatfits.sizing.units import KIB, MIB

if TYPE_CHECKING:
    from range_server import Handler, RangeServer

WINDOW = 64 * KIB
CAP = 100 * KIB
BUDGET = Budget(deadline_s=0.6, silence_s=0.3)
FIRST = {**BOTH, **RANGES}


def refused(client: Client, server: RangeServer, question: str) -> BadInputError:
    """Ask one question that a hostile server answers."""
    url = server.url("/f")
    with pytest.raises((UnreachableError, RemoteAnswerError)) as caught:
        _ = client.file(url) if question == "file" else client.document(url, most_bytes=CAP)
    return caught.value


def assert_contained(client: Client, server: RangeServer, error: BadInputError) -> None:
    assert str(error).isprintable()
    assert len(str(error)) < 400
    assert error.code in ("unreachable", "remote_answer")
    assert client.n_requests <= BUDGET.most_redirects + 1
    assert set(client.attempts) == {("127.0.0.1", server.server_port)}


@pytest.mark.parametrize("name", FIRST)
def test_a_file_is_refused_in_time_and_within_its_bytes(name: str) -> None:
    with serving({"/f": FIRST[name]}) as server, Client(server.rules, budget=BUDGET) as client:
        started = time.monotonic()
        error = refused(client, server, "file")
        assert time.monotonic() - started <= BUDGET.deadline_s + 0.5
        assert client.received_bytes <= client.n_requests * (WINDOW + WINDOW)
        assert_contained(client, server, error)


@pytest.mark.parametrize("name", BOTH)
def test_a_document_is_refused_in_time_and_within_its_bytes(name: str) -> None:
    with serving({"/f": BOTH[name]}) as server, Client(server.rules, budget=BUDGET) as client:
        started = time.monotonic()
        error = refused(client, server, "document")
        assert time.monotonic() - started <= BUDGET.deadline_s + 0.5
        assert client.received_bytes <= client.n_requests * (CAP + WINDOW)
        assert_contained(client, server, error)


@pytest.mark.parametrize("name", FIRST)
def test_a_server_that_turns_hostile_later_is_refused_as_well(name: str) -> None:
    def first_well(handler: Handler) -> None:
        if len(handler.server.seen) == 1:
            handler.file(CONTENT)
        else:
            FIRST[name](handler)

    with serving({"/f": first_well}) as server, Client(server.rules, budget=BUDGET) as client:
        file = client.file(server.url("/f"))
        started = time.monotonic()
        with pytest.raises((UnreachableError, RemoteAnswerError)):
            file.read(0, CAP)
        assert time.monotonic() - started <= BUDGET.deadline_s + 0.5
        asked = WINDOW + (client.n_requests - 1) * (CAP + WINDOW)
        assert client.received_bytes <= asked + WINDOW
        assert file.prefix == CONTENT[:WINDOW]


def test_the_bytes_of_a_client_are_counted_over_all_its_requests() -> None:
    budget = Budget(most_bytes=300 * KIB)
    with serving({"/f": CONTENT}) as server, Client(server.rules, budget=budget) as client:
        with pytest.raises(RemoteAnswerError, match="more data than was asked for"):  # noqa: PT012
            for _ in range(10):
                client.document(server.url("/f"), most_bytes=len(CONTENT))
        assert client.n_requests == 2
        assert client.received_bytes <= 300 * KIB


def test_a_rate_below_the_least_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whatfits.sizing.sources.http.guard._RATE_GRACE_S", 0.1)
    budget = Budget(least_bytes_per_s=1_000_000)
    with (
        serving({"/f": BOTH["slow body"]}) as server,
        Client(server.rules, budget=budget) as client,
        pytest.raises(UnreachableError, match="sends less than 1,000,000 bytes/s"),
    ):
        client.file(server.url("/f"))


@pytest.mark.parametrize("n_redirects", range(8))
def test_five_redirects_are_followed_and_no_more(n_redirects: int) -> None:
    def ladder(handler: Handler) -> None:
        step = int(handler.path[2:] or 0)
        if step == n_redirects:
            handler.file(CONTENT)
        else:
            handler.answer(302, Location=f"/f{step + 1}")

    files = {f"/f{step or ''}": ladder for step in range(9)}
    with serving(files) as server, Client(server.rules) as client:
        if n_redirects <= 5:
            assert client.file(server.url("/f")).size_bytes == len(CONTENT)
        else:
            with pytest.raises(RemoteAnswerError, match="redirects more than 5 times"):
                client.file(server.url("/f"))
        assert client.n_requests == min(n_redirects, 5) + 1


def test_a_document_of_exactly_the_cap_is_whole_and_one_byte_more_is_not() -> None:
    with serving({"/f": CONTENT}) as server, Client(server.rules) as client:
        assert client.document(server.url("/f"), most_bytes=len(CONTENT)).body == CONTENT
        with pytest.raises(RemoteAnswerError, match=f"more than {len(CONTENT) - 1:,} bytes"):
            client.document(server.url("/f"), most_bytes=len(CONTENT) - 1)


@pytest.mark.parametrize("name", ["endless body", "endless chunks"])
def test_an_endless_answer_takes_no_more_memory_than_twice_the_cap(name: str) -> None:
    cap = 4 * MIB
    with serving({"/f": BOTH[name]}) as server, Client(server.rules) as client:
        tracemalloc.start()
        try:
            with pytest.raises(RemoteAnswerError):
                client.document(server.url("/f"), most_bytes=cap)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak <= 2 * cap


def test_there_are_as_many_cases_as_promised() -> None:
    assert len(FIRST) * 2 + len(BOTH) >= 120
    assert len(FIRST) >= 12
