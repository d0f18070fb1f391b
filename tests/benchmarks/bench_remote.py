"""Requests, bytes and time of reading headers by ranges, beside starting again from zero.

    python tests/benchmarks/bench_all.py --only P13,P14,P15

A server on loopback waits before each answer and sends at a set rate; both ways of reading take
turns within one run. The other way, that of hf-mem, asks for the first megabyte, then for the first
two, four, … until the header parses; it is written here as plainly as that. The times hold on any
machine that is quick beside the line; requests and bytes hold exactly.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "hostile"))

from harness import Row, quartiles
from header_shapes import all_shapes
from range_server import Hole, serving

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.readers.gguf_start import read_gguf_start
from whatfits.sizing.sources.http import Budget, Client
from whatfits.sizing.sources.remote_gguf import read_remote_header
from whatfits.sizing.units import KIB, MIB

if TYPE_CHECKING:
    from peers import Peers
    from range_server import RangeServer

DATA_BYTES = 5 * 10**9
TIMED = "o200k_base"
LATENCY_S, BYTES_PER_S = 0.05, 20e6 / 8
LINE = "50 ms, 20 Mbit/s"
QUICK_BYTES = 64 * KIB
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
                read_gguf_header(bytes(answer.body), allow_missing_data=True)
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


def counted() -> list[Row]:
    """Return P13: requests and bytes over all shapes of headers."""
    shapes = all_shapes()
    files = {f"/{i}": Hole(s.data, len(s.data) + DATA_BYTES) for i, s in enumerate(shapes)}
    requests, ratios, waste, others = [], [], [], []
    with serving(files) as server:
        for index, shape in enumerate(shapes):
            size = len(shape.data)
            own, other = by_ranges(server, f"/{index}"), from_zero(server, f"/{index}")
            requests.append(own.requests)
            if size > MIB:
                ratios.append(own.received_bytes / size)
                others.append(other.received_bytes / size)
            else:
                waste.append(own.received_bytes - size)
    p95 = sorted(requests)[int(0.95 * len(requests))]
    middle, other = statistics.median(ratios), statistics.median(others)
    beside = f"from zero: {other:.2f} (most {max(others):.2f})"
    most = f"most {max(ratios):.3f}"
    return [
        Row("P13", f"requests a header, median of {len(shapes)} shapes", f"{p95} at p95", "",
            statistics.median(requests), most=2, unit="requests"),
        Row("P13", "the same, p95", f"{max(requests)} at most", "", p95, most=3, unit="requests"),
        Row("P13", "bytes ÷ header above 1 MiB, median", most, beside, middle, most=1.15),
        Row("P13", "the same, worst", most, beside, max(ratios), most=2.0),
        Row("P13", "bytes beyond a header below 1 MiB, worst", f"{max(waste):,} bytes", "",
            max(waste) / MIB, most=1, unit="MiB"),
    ]  # fmt: skip


def timed(rounds: int) -> list[Row]:
    """Return P14 and P15: a slow line, the ways in turns."""
    (shape,) = [shape for shape in all_shapes() if shape.name == TIMED]
    files = {"/0": Hole(shape.data, len(shape.data) + DATA_BYTES)}
    ways = {"ranges": by_ranges, "from zero": from_zero, "quick": quick}
    found: dict[str, list[Cost]] = {name: [] for name in ways}
    with serving(files, latency_s=LATENCY_S, bytes_per_s=BYTES_PER_S) as server:
        for _ in range(rounds):
            for name, way in ways.items():
                found[name].append(way(server, "/0"))
    took = {name: quartiles([cost.seconds for cost in costs]) for name, costs in found.items()}
    own, other, one = (found[name][0] for name in ways)
    shown = {name: f"{took[name].shown('s', 1)}, {found[name][0].received_bytes:,} bytes"
             for name in ways}  # fmt: skip
    beside = f"from zero: {shown['from zero']}"
    return [
        Row("P14", f"bytes of a header of {len(shape.data):,}", shown["ranges"], beside,
            own.received_bytes / other.received_bytes, most=0.35),
        Row("P14", f"time ({LINE})", shown["ranges"], beside,
            took["ranges"].middle / took["from zero"].middle, most=0.4),
        Row("P15", f"quick answer, {one.requests} request", shown["quick"], "",
            one.received_bytes / KIB if one.requests == 1 else float("inf"),
            most=QUICK_BYTES / KIB, unit="KiB"),
    ]  # fmt: skip


def rows(_: Path, __: Peers, rounds: int) -> list[Row]:
    """Return P13 to P15."""
    return [*counted(), *timed(min(rounds, 3))]
