"""The simulation keeps what no server can break: conservation, Little's law, closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from whatfits.sizing.serving.draws import draw
from whatfits.sizing.serving.profile import Lengths, LoadProfile
from whatfits.sizing.serving.server import PagedRoom, Server

if TYPE_CHECKING:
    from collections.abc import Callable

ROOMY = PagedRoom(blocks=1e6, request_blocks=0.9, token_blocks=1 / 16)
CRAMPED = PagedRoom(blocks=900, request_blocks=0.9, token_blocks=1 / 16)
SERVERS = {
    "one slot": Server(slots=1, step_tokens=2048),
    "slots": Server(slots=8, step_tokens=2048),
    "small steps": Server(slots=32, step_tokens=64),
    "paged": Server(slots=256, step_tokens=2048, room=ROOMY),
    "cramped": Server(slots=256, step_tokens=512, room=CRAMPED),
}
OPEN = LoadProfile(Lengths(300, 1500), Lengths(80, 400), requests_per_hour=360.0)
THINKING = LoadProfile(Lengths(300, 1500), Lengths(80, 400), 100, think_s=2.0)
LOADS = {"at once": None, "open": OPEN, "thinking, with a prefix": THINKING}


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_every_request_starts_and_ends_once_and_gets_the_tokens_it_asked_for(
    played: Callable[..., Any], costs: Callable[..., Any], server: Server, load: LoadProfile | None
) -> None:
    more = {} if load is None else {"load": load}
    log, draws = played(server, costs(), users=20, **more)
    assert log.written == draws.output_tokens
    arrived, admitted = np.array(log.arrived_s), np.array(log.admitted_s)
    first, finished = np.array(log.first_s), np.array(log.finished_s)
    assert np.isfinite(finished).all()
    assert (np.diff(arrived) >= 0).all()
    assert (arrived <= admitted).all()
    assert (admitted < first).all()
    assert (first <= finished).all()
    assert log.end_s == finished.max()
    assert log.busy_s <= log.end_s * (1 + 1e-9)


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_littles_law_holds_between_the_crowd_and_the_stays(
    played: Callable[..., Any], costs: Callable[..., Any], server: Server, load: LoadProfile | None
) -> None:
    """The crowd is integrated step by step, the stays are logged request by request."""
    more = {} if load is None else {"load": load}
    log, _ = played(server, costs(), users=20, **more)
    stays = np.array(log.finished_s) - np.array(log.arrived_s)
    assert log.system_s == pytest.approx(stays.sum(), rel=1e-6)
    if not log.sent_back:
        worked = np.array(log.finished_s) - np.array(log.admitted_s)
        assert log.batch_s == pytest.approx(worked.sum(), rel=1e-6)


def test_only_a_cramped_cache_sends_requests_back(
    played: Callable[..., Any], costs: Callable[..., Any]
) -> None:
    sent = {name: played(one, costs(), users=20)[0].sent_back for name, one in SERVERS.items()}
    assert sent.pop("cramped") > 0
    assert set(sent.values()) == {0}


def test_a_request_that_waits_for_its_turn_in_a_step_does_not_wait_for_room(
    played: Callable[..., Any], costs: Callable[..., Any]
) -> None:
    waited = {}
    for name, room in (("roomy", ROOMY), ("cramped", CRAMPED)):
        server = Server(slots=256, step_tokens=64, room=room)
        waited[name] = played(server, costs(), users=40)[0]
    assert waited["roomy"].system_s > 1.1 * waited["roomy"].batch_s
    assert waited["roomy"].no_room_s == waited["roomy"].no_slot_s == 0
    assert waited["cramped"].no_room_s > 0


def test_a_request_larger_than_the_cache_is_served_alone(
    played: Callable[..., Any], costs: Callable[..., Any]
) -> None:
    # a prompt of 300 tokens takes 19.65 blocks of the 10 there are
    server = Server(256, 2048, PagedRoom(blocks=10, request_blocks=0.9, token_blocks=1 / 16))
    alike = LoadProfile(Lengths(300), Lengths(80))
    log, draws = played(server, costs(), users=20, load=alike)
    assert log.written == draws.output_tokens
    order = np.argsort(log.admitted_s)
    admitted, finished = np.array(log.admitted_s)[order], np.array(log.finished_s)[order]
    assert (admitted[1:] >= finished[:-1]).all()


def test_a_queue_with_an_end_turns_requests_away(
    played: Callable[..., Any], costs: Callable[..., Any]
) -> None:
    busy = LoadProfile(Lengths(300), Lengths(80), requests_per_hour=3600.0)
    log, _ = played(Server(1, 2048, queue=4), costs(), users=5, load=busy)
    answered = sum(written > 0 for written in log.written)
    assert 0 < log.turned_away < 3000
    assert answered + log.turned_away == 3000


def test_one_slot_under_random_arrivals_waits_as_the_formula_for_m_d_1_says(
    played: Callable[..., Any], costs: Callable[..., Any]
) -> None:
    """Pollaczek and Khinchine: the mean wait is load x service / (2 x (1 - load))."""
    alone = LoadProfile(Lengths(300), Lengths(80))
    one, _ = played(Server(1, 2048), costs(), users=1, load=alone, requests=1)
    service_s = one.finished_s[0] - one.arrived_s[0]
    for load in (0.3, 0.6, 0.8):
        rate = load / service_s * 3600
        profile = LoadProfile(Lengths(300), Lengths(80), requests_per_hour=rate)
        log, _ = played(Server(1, 2048), costs(), users=1, load=profile, requests=200_000)
        waits = np.array(log.admitted_s) - np.array(log.arrived_s)
        expected = load * service_s / (2 * (1 - load))
        # correlated waits: five standard errors of the mean, by batches of 2,000
        batches = waits.reshape(100, -1).mean(axis=1)
        allowed = 5 * batches.std() / 10
        assert allowed < 0.2 * expected
        assert abs(waits.mean() - expected) < allowed


def test_a_request_alone_takes_the_sum_of_its_steps(
    played: Callable[..., Any], costs: Callable[..., Any]
) -> None:
    load = LoadProfile(Lengths(3000), Lengths(50))
    log, _ = played(Server(8, 2048), costs(), users=1, load=load, requests=3)
    known = costs()
    reading = known.read_s[2048] + known.read_s[952] + known.pair_s * 3000 * 3001 / 2
    assert log.first_s[0] == pytest.approx(reading)
    steps = sum(known.writing_s(1, 3000 + step) for step in range(49))
    assert log.finished_s[0] - log.first_s[0] == pytest.approx(steps)


def test_a_shared_prefix_is_not_read_again(
    played: Callable[..., Any], costs: Callable[..., Any]
) -> None:
    plain = LoadProfile(Lengths(1000), Lengths(50))
    shared = LoadProfile(Lengths(1000), Lengths(50), shared_prefix_tokens=900)
    server = Server(8, 2048)
    without, _ = played(server, costs(), users=1, load=plain, requests=1)
    with_it, _ = played(server, costs(), users=1, load=shared, requests=1)
    known = costs()
    pairs = 100 * 900 + 100 * 101 / 2
    assert with_it.first_s[0] == pytest.approx(known.read_s[100] + known.pair_s * pairs)
    assert with_it.first_s[0] < without.first_s[0]


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_the_same_seed_gives_the_same_log_and_another_does_not(
    played: Callable[..., Any], costs: Callable[..., Any], server: Server
) -> None:
    first = played(server, costs(), users=7, seed=3)[0]
    assert played(server, costs(), users=7, seed=3)[0] == first
    assert played(server, costs(), users=7, seed=4)[0] != first


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_faster_steps_end_sooner_by_the_same_factor_when_nobody_pauses(
    played: Callable[..., Any], costs: Callable[..., Any], server: Server
) -> None:
    slow, _ = played(server, costs(), users=20)
    fast, _ = played(server, costs(times=0.5), users=20)
    assert fast.end_s == pytest.approx(slow.end_s / 2)


def test_lengths_have_the_median_and_the_percentile_that_were_asked_for() -> None:
    load = LoadProfile(Lengths(500, 2000), Lengths(1, None, (10, 20, 40)))
    draws = draw(load, 100_000, seed=0, context_tokens=10**6)
    assert np.median(draws.prompt_tokens) == pytest.approx(500, rel=0.02)
    assert np.percentile(draws.prompt_tokens, 95) == pytest.approx(2000, rel=0.02)
    shares = [draws.output_tokens.count(length) / 100_000 for length in (10, 20, 40)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.01)
    assert np.mean(draws.pauses) == pytest.approx(1.0, rel=0.02)


def test_random_numbers_are_those_of_pcg64_on_every_machine() -> None:
    draws = draw(LoadProfile(Lengths(500, 2000), Lengths(80, 400)), 3, seed=7, context_tokens=9000)
    assert draws.prompt_tokens == [601, 286, 1388]
    assert draws.output_tokens == [197, 52, 42]
