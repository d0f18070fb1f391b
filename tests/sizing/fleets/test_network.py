"""What a network costs: bytes over a rate, messages at a latency; more of either never helps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatfits.sizing.catalog.networks import find_network, network_names
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import RateRange, Speed
from whatfits.sizing.fleets.network import (
    NO_NETWORK,
    Network,
    Traffic,
    crossing_s,
    in_turns,
    slowest,
    with_crossings,
)

NETWORKS = [find_network(name) for name in network_names()]
TRAFFICS = st.builds(
    Traffic,
    token_bytes=st.integers(0, 10**7),
    step_bytes=st.integers(0, 10**7),
    messages=st.integers(0, 64),
)
SPEED = Speed(
    prefill_tokens_per_s=RateRange(500.0, 800.0, 1000.0),
    decode_tokens_per_s=RateRange(10.0, 20.0, 40.0),
    time_to_first_token_s=RateRange(0.5, 0.7, 1.1),
    provenance="estimated",
    throughput_tokens_per_s=RateRange(50.0, 80.0, 100.0),
    energy_per_million_tokens_kwh=RateRange(1.0, 2.0, 3.0),
    full_decode_tokens_per_s=RateRange(5.0, 10.0, 20.0),
    speculative_tokens_per_s=RateRange(20.0, 30.0, 60.0),
)


def test_a_crossing_by_hand() -> None:
    network = Network("net", "a network", 1_000_000, 0.001, 0.003, "invented")
    found = crossing_s(Traffic(1000, 500, 2), network, tokens=10)
    assert found.low == pytest.approx(10_500 / 1_000_000 + 2 * 0.001)
    assert found.high == pytest.approx(2 * 10_500 / 1_000_000 + 2 * 0.003)
    assert found.mid == pytest.approx((found.low * found.high) ** 0.5)


def test_a_token_takes_its_own_time_and_that_on_the_network() -> None:
    network = Network("net", "a network", 10**9, 0.01, 0.04, "invented")
    slowed = with_crossings(SPEED, Traffic(0, 0, 1), network, prompt_tokens=100, sequences=4)
    assert slowed is not None
    assert slowed.decode_tokens_per_s == RateRange(7.14, 14.3, 28.6)  # 1 / (1/10 + 0.04) …
    assert slowed.throughput_tokens_per_s is not None
    assert slowed.throughput_tokens_per_s.low == pytest.approx(4 / (4 / 50 + 0.04), rel=0.01)
    assert slowed.time_to_first_token_s == RateRange(0.51, 0.72, 1.14)
    assert slowed.full_decode_tokens_per_s == RateRange(4.17, 8.33, 16.7)  # 1 / (1/5 + 0.04) …
    assert slowed.energy_per_million_tokens_kwh is None
    assert slowed.speculative_tokens_per_s is None


def test_an_unknown_network_leaves_speeds_unknown_and_says_so() -> None:
    unknown = with_crossings(SPEED, Traffic(1, 1, 1), None, prompt_tokens=None)
    assert unknown == Speed(None, None, None, "unknown", NO_NETWORK)
    assert with_crossings(None, Traffic(1, 1, 1), NETWORKS[0], prompt_tokens=None) is None


def test_a_long_prompt_over_nodes_in_turns_is_not_timed() -> None:
    assert in_turns(SPEED, prompt_tokens=512, batch_tokens=512) is SPEED
    cut = in_turns(SPEED, prompt_tokens=513, batch_tokens=512)
    assert cut is not None
    assert cut.prefill_tokens_per_s is None
    assert cut.time_to_first_token_s is None
    assert cut.decode_tokens_per_s == SPEED.decode_tokens_per_s
    assert "512 tokens" in (cut.reason or "")


@given(traffic=TRAFFICS, tokens=st.integers(1, 4096), factor=st.integers(1, 100))
def test_a_faster_network_never_slows(traffic: Traffic, tokens: int, factor: int) -> None:
    slow = Network("slow", "slow", 10**6, 1e-4, 1e-3, "invented")
    rate = Network("rate", "more a second", 10**6 * factor, 1e-4, 1e-3, "invented")
    near = Network("near", "less to wait", 10**6, 1e-4 / factor, 1e-3 / factor, "invented")
    for fast in (rate, near):
        before = with_crossings(SPEED, traffic, slow, prompt_tokens=tokens)
        after = with_crossings(SPEED, traffic, fast, prompt_tokens=tokens)
        assert before is not None
        assert after is not None
        for name in ("prefill_tokens_per_s", "decode_tokens_per_s"):
            one, other = getattr(before, name), getattr(after, name)
            assert one.low <= other.low
            assert one.mid <= other.mid
            assert one.high <= other.high


@given(traffic=TRAFFICS)
def test_a_range_keeps_its_order(traffic: Traffic) -> None:
    for network in NETWORKS:
        found = crossing_s(traffic, network, tokens=1)
        assert 0 <= found.low <= found.mid * (1 + 1e-12)
        assert found.mid <= found.high * (1 + 1e-12)


def test_the_catalog_has_rates_of_the_standards_and_where_latencies_come_from() -> None:
    rates = {network.id: network.bandwidth_bytes_per_s for network in NETWORKS}
    for gigabits in (1, 10, 25, 100, 200, 400):
        assert rates[f"{gigabits}gbe"] == gigabits * 10**9 // 8
    assert rates["infiniband-ndr"] == 2 * rates["infiniband-hdr"] == 4 * 10**11 // 8
    for network in NETWORKS:
        assert 0 < network.latency_low_s < network.latency_high_s < 1e-3
        assert len(network.basis) > 20


def test_nodes_wait_for_the_slowest_network_between_them() -> None:
    one, ten = find_network("1gbe"), find_network("10GbE")
    assert slowest([ten, one]) is one
    assert slowest([]) is None


def test_a_network_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidRequestError, match="10gbe"):
        find_network("carrier pigeon")
