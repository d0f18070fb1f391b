"""Requests, bytes and time of reading headers by ranges, beside starting again from zero.

    python tests/benchmarks/bench_remote.py [--rounds N] [--latency S] [--rate BYTES_PER_S]

A server on loopback waits before each answer and sends at a set rate; both ways of reading take
turns within one run. The other way asks for the first megabyte, then for the first two, four, …
until the header parses, and is written here as plainly as that. The times hold on any machine that
is quick beside the line; requests and bytes hold exactly.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "hostile"))

from bench_gguf import say
from header_shapes import all_shapes
from range_server import Hole, serving

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.readers.gguf_start import read_gguf_start
from whatfits.sizing.sources.http import Budget, Client
from whatfits.sizing.sources.remote_gguf import read_remote_header
from whatfits.sizing.units import MIB

if TYPE_CHECKING:
    from range_server import RangeServer

DATA_BYTES = 5 * 10**9
TIMED = ("o200k_base", "llama3, every split", "mistral1", "no vocabulary")
FROM_ZERO_BYTES = 10**6
PATIENT = Budget(deadline_s=600.0, silence_s=60.0)


class Cost(NamedTuple):
    """What one reading took."""

    requests: int
    received_bytes: int
    seconds: float


def by_ranges(server: RangeServer, path: str) -> Cost:
    """The project's own way."""
    started = time.perf_counter()
    with Client(server.rules, budget=PATIENT) as client:
        file = client.file(server.url(path))
        read_remote_header(file)
    return Cost(file.n_requests, file.received_bytes, time.perf_counter() - started)


def from_zero(server: RangeServer, path: str) -> Cost:
    """Ask for the first megabyte, then for twice as much, always from the first byte on."""
    started = time.perf_counter()
    requests = received = 0
    wanted = FROM_ZERO_BYTES
    with Client(server.rules, budget=PATIENT) as client:
        while True:
            answer = client.get(
                server.url(path), headers={"Range": f"bytes=0-{wanted - 1}"}, most_bytes=wanted
            )
            requests, received = requests + 1, received + len(answer.body)
            try:
                read_gguf_header(answer.body, allow_missing_data=True)
            except MalformedFileError:
                wanted *= 2
            else:
                return Cost(requests, received, time.perf_counter() - started)


def quick(server: RangeServer, path: str) -> Cost:
    """One request: what the first 64 KiB say."""
    started = time.perf_counter()
    with Client(server.rules, budget=PATIENT) as client:
        file = client.file(server.url(path))
        read_gguf_start(file.prefix, size_bytes=file.size_bytes)
    return Cost(file.n_requests, file.received_bytes, time.perf_counter() - started)


def report_counts() -> None:
    """Print requests and bytes of every shape, and the figures over all of them."""
    shapes = all_shapes()
    files = {f"/{i}": Hole(s.data, len(s.data) + DATA_BYTES) for i, s in enumerate(shapes)}
    requests, ratios, waste = [], [], []
    with serving(files) as server:
        say(f"{'header':32} {'bytes':>12} {'requests':>9} {'bytes ÷':>8} {'from zero':>16}")
        for index, shape in enumerate(shapes):
            size = len(shape.data)
            own, other = by_ranges(server, f"/{index}"), from_zero(server, f"/{index}")
            requests.append(own.requests)
            if size > MIB:
                ratios.append(own.received_bytes / size)
            else:
                waste.append(own.received_bytes - size)
            say(
                f"{shape.name:32} {size:12,} {own.requests:9} {own.received_bytes / size:8.2f} "
                f"{other.requests:6} / {other.received_bytes / size:7.2f}"
            )
    say()
    p95 = sorted(requests)[int(0.95 * len(requests))]
    say(f"P13 requests: median {statistics.median(requests):g}, p95 {p95}, most {max(requests)}")
    say(
        f"P13 bytes ÷ header above 1 MB: median {statistics.median(ratios):.3f}, "
        f"most {max(ratios):.3f}; most waste below 1 MB: {max(waste):,} bytes"
    )


def report_times(rounds: int, latency_s: float, bytes_per_s: float) -> None:
    """Print times of both ways over a slow line, the rounds interleaved."""
    shapes = [shape for shape in all_shapes() if shape.name in TIMED]
    files = {f"/{i}": Hole(s.data, len(s.data) + DATA_BYTES) for i, s in enumerate(shapes)}
    say()
    say(f"{latency_s * 1000:g} ms before each answer, {bytes_per_s * 8 / 1e6:g} Mbit/s")
    with serving(files, latency_s=latency_s, bytes_per_s=bytes_per_s) as server:
        for index, shape in enumerate(shapes):
            ways = {"ranges": by_ranges, "from zero": from_zero, "quick": quick}
            found: dict[str, list[Cost]] = {name: [] for name in ways}
            for _ in range(rounds):
                for name, way in ways.items():
                    found[name].append(way(server, f"/{index}"))
            mid = {
                name: statistics.median(cost.seconds for cost in costs)
                for name, costs in found.items()
            }
            own, other = found["ranges"][0], found["from zero"][0]
            one = found["quick"][0]
            say(
                f"{shape.name:24} P14 bytes {own.received_bytes / other.received_bytes:.3f} ×, "
                f"wall {mid['ranges'] / mid['from zero']:.3f} × ({mid['ranges']:.2f} s against "
                f"{mid['from zero']:.2f} s); P15 quick: {one.requests} request, "
                f"{one.received_bytes:,} bytes, {mid['quick']:.2f} s"
            )


def main() -> None:
    """Read the options and print everything."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--rate", type=float, default=20e6 / 8)
    options = parser.parse_args()
    report_counts()
    report_times(options.rounds, options.latency, options.rate)


if __name__ == "__main__":
    main()
