"""What a network between machines costs: bytes over its rate, and messages at its latency.

seconds = bytes / rate + messages x latency. The lower end takes the peak rate and the shortest
latency of the catalog, the upper end half the rate and the longest; the middle is their geometric
mean. No run over a network was measured, and that half of the rate is reached is an assumption.
"""

from __future__ import annotations

from math import sqrt

from whatfits.sizing.estimate import RateRange, Speed
from whatfits.sizing.speed import DEFAULT_PROMPT_TOKENS, rounded
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

__all__ = [
    "NO_NETWORK",
    "Network",
    "Traffic",
    "crossing_s",
    "in_turns",
    "slowest",
    "with_crossings",
]

NO_NETWORK: Final = "the network between the nodes is not known: name it with --network"
_TIMES_AT_WORST: Final = 2  # as long as at the peak rate: half of it is reached, as assumed


@dataclass(frozen=True, slots=True)
class Network:
    """A kind of network.

    Attributes:
        id: as it is asked for, `10gbe`.
        name: for people.
        bandwidth_bytes_per_s: peak one way.
        latency_low_s: a message from one program to another, at best.
        latency_high_s: the same at worst.
        basis: how these are known.
    """

    id: str
    name: str
    bandwidth_bytes_per_s: int
    latency_low_s: float
    latency_high_s: float
    basis: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """What crosses the network between nodes.

    Attributes:
        token_bytes: for each token that is read or written.
        step_bytes: once a step, however many tokens it has.
        messages: once a step, one after the other.
    """

    token_bytes: int
    step_bytes: int
    messages: int


def slowest(networks: Iterable[Network]) -> Network | None:
    """Return the network that the others wait for: the least rate, then the longest latency."""
    return min(networks, key=lambda n: (n.bandwidth_bytes_per_s, -n.latency_high_s), default=None)


def crossing_s(traffic: Traffic, network: Network, *, tokens: int) -> RateRange:
    """Return the seconds that a step of so many tokens spends on the network."""
    n_bytes = traffic.token_bytes * tokens + traffic.step_bytes
    at_peak_s = n_bytes / network.bandwidth_bytes_per_s
    low = at_peak_s + traffic.messages * network.latency_low_s
    high = _TIMES_AT_WORST * at_peak_s + traffic.messages * network.latency_high_s
    return RateRange(low, sqrt(low * high), high)


def with_crossings(
    speed: Speed | None,
    traffic: Traffic,
    network: Network | None,
    *,
    prompt_tokens: int | None,
    sequences: int = 1,
) -> Speed | None:
    """Return a speed with the time on the network added; unknown where the network is.

    The whole prompt is sent before the next stage begins: nothing of it overlaps.
    """
    if speed is None:
        return None
    if network is None:
        return Speed(None, None, None, "unknown", NO_NETWORK)
    prompt = prompt_tokens or DEFAULT_PROMPT_TOKENS
    reading = crossing_s(traffic, network, tokens=prompt)
    writing = crossing_s(traffic, network, tokens=1)
    first = speed.time_to_first_token_s
    return replace(
        speed,
        prefill_tokens_per_s=_slowed(speed.prefill_tokens_per_s, reading, count=prompt),
        decode_tokens_per_s=_slowed(speed.decode_tokens_per_s, writing, count=1),
        full_decode_tokens_per_s=_slowed(speed.full_decode_tokens_per_s, writing, count=1),
        throughput_tokens_per_s=_slowed(
            speed.throughput_tokens_per_s,
            crossing_s(traffic, network, tokens=sequences),
            count=sequences,
        ),
        time_to_first_token_s=None
        if first is None
        else RateRange(
            rounded(first.low + reading.low),
            rounded(first.mid + reading.mid),
            rounded(first.high + reading.high),
        ),
        speculative_tokens_per_s=None,  # how many tokens cross at once is not known
        energy_per_million_tokens_kwh=None,  # what devices take while they wait is not known
    )


def in_turns(speed: Speed | None, *, prompt_tokens: int | None, batch_tokens: int) -> Speed | None:
    """Return a speed of nodes that work one after the other.

    Batches of a long prompt would follow each other through the nodes of a pipeline; where they do
    not, no time of such a prompt is told.
    """
    if speed is None or (prompt_tokens or DEFAULT_PROMPT_TOKENS) <= batch_tokens:
        return speed
    reason = f"a prompt of more than {batch_tokens:,} tokens over several nodes is not timed"
    return replace(
        speed,
        prefill_tokens_per_s=None,
        time_to_first_token_s=None,
        reason="; ".join(filter(None, (speed.reason, reason))),
    )


def _slowed(rate: RateRange | None, crossing: RateRange, *, count: int) -> RateRange | None:
    """Return `count` over the time that it took at a rate and on the network."""
    if rate is None:
        return None
    return RateRange(
        rounded(count / (count / rate.low + crossing.high)),
        rounded(count / (count / rate.mid + crossing.mid)),
        rounded(count / (count / rate.high + crossing.low)),
    )
