"""Time and memory of reading GGUF headers: a realistic one and hostile ones, beside plain readers.

    python tests/benchmarks/bench_gguf.py [--rounds N]

All readers take turns within one run, so that a busy machine slows them alike; medians and
quartiles of processor time are printed. A run whose control (a fixed loop) spreads by more than a
quarter is void.
`gguf` (gguf-py) is measured too when it is installed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "hostile"))

import gguf_builder as b
from gguf_reference import read_reference, skip_strings_reference

from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.sources.local_file import load_gguf

TOKENS, MERGES, TENSORS = 151_936, 280_147, 310  # as a Qwen 3 model has them
TENSOR_BYTES, ALIGNMENT = 2304, 32  # 4,096 elements of Q4_K
VOID_SPREAD = 0.25
Task = tuple[str, int, Callable[[], object]]


def say(text: str = "") -> None:
    """Write one line."""
    sys.stdout.write(text + "\n")


def strings(rng: random.Random, count: int, mean: float) -> bytes:
    """Strings of text whose lengths are spread as those of a vocabulary."""
    lengths = (max(1, min(60, int(rng.lognormvariate(mean, 0.45)))) for _ in range(count))
    return b"".join(struct.pack("<Q", n) + rng.randbytes(n) for n in lengths)


def vocabulary() -> tuple[bytes, bytes]:
    """The tokens and merges of the realistic header."""
    rng = random.Random(3)  # noqa: S311 - test data
    return strings(rng, TOKENS, 2.0), strings(rng, MERGES, 2.2)


def realistic() -> bytes:
    """A header of about 8 MB: 25 keys, two vocabularies, 310 tensors; the data is left out."""
    tokens, merges = vocabulary()
    pairs = [b.ARCHITECTURE]
    pairs += [b.scalar(f"llama.key_{index}", b.UINT32, index) for index in range(21)]
    for key, count, data in (("tokens", TOKENS, tokens), ("merges", MERGES, merges)):
        pairs.append(b.pair(f"tok.{key}", b.ARRAY, struct.pack("<IQ", b.STRING, count) + data))
    types = struct.pack("<IQ", b.INT32, TOKENS) + bytes(4 * TOKENS)
    pairs.append(b.pair("tok.types", b.ARRAY, types))
    rows = [
        b.tensor(
            f"blk.{index // 9}.attn_{index % 9}.weight", (4096, 1), b.Q4_K, TENSOR_BYTES * index
        )
        for index in range(TENSORS)
    ]
    return b.gguf(pairs, rows)


def hostile() -> dict[str, bytes]:
    """Headers that cost the most a byte, each in two sizes."""

    def empty(count: int) -> bytes:
        value = struct.pack("<IQ", b.STRING, count) + bytes(8 * count)
        return b.gguf([b.pair("k", b.ARRAY, value)])

    def keys(count: int) -> bytes:
        return b.gguf([b.scalar(f"{index:04x}", b.UINT8, 1) for index in range(count)])

    def tensors(count: int) -> bytes:
        rows = [b.tensor(f"{index:04x}", (1,), b.I8, 32 * index) for index in range(count)]
        return b.gguf([], rows)

    def arrays(count: int) -> bytes:
        value = struct.pack("<IQ", b.BOOL, 8_192) + bytes(8_192)
        return b.gguf([b.pair(f"{index:04x}", b.ARRAY, value) for index in range(count)])

    return {
        "1 M empty strings": empty(10**6),
        "2 M empty strings": empty(2 * 10**6),
        "32,768 smallest keys": keys(2**15),
        "65,536 smallest keys": keys(2**16),
        "32,768 smallest tensors": tensors(2**15),
        "65,536 smallest tensors": tensors(2**16),
        "200 arrays of 8,192": arrays(200),
        "400 arrays of 8,192": arrays(400),
    }


def control() -> None:
    """Do a fixed amount of work."""
    total = 0
    for index in range(200_000):
        total += index


def tasks(header: bytes, path: Path) -> list[Task]:
    """What is timed: label, bytes walked, and the call."""
    tokens, merges = vocabulary()
    size = len(header)
    found: list[Task] = [
        ("control", 1, control),
        ("realistic: this reader, buffer", size, partial(ours, header)),
        ("realistic: this reader, file", size, partial(load_gguf, path)),
        (
            "realistic: naive skip of its strings",
            len(tokens) + len(merges),
            partial(skip_strings_reference, tokens + merges, 0, TOKENS + MERGES),
        ),
        ("realistic: plain reader, all decoded", size, partial(read_reference, header)),
    ]
    found += [(name, len(data), partial(ours, data)) for name, data in hostile().items()]
    if find_spec("gguf") is not None:
        from gguf import GGUFReader

        found.append(("realistic: gguf-py", size, partial(GGUFReader, path)))
    return found


def ours(data: bytes) -> object:
    """Read with the reader of this project; the data is missing on purpose."""
    return read_gguf_header(data, allow_missing_data=True)


def measure(work: list[Task], rounds: int) -> dict[str, list[float]]:
    """Return seconds of processor time of each task in each round; tasks take turns."""
    seconds: dict[str, list[float]] = {label: [] for label, _, _ in work}
    for _ in range(rounds):
        for label, _, call in work:
            started = time.process_time()
            call()
            seconds[label].append(time.process_time() - started)
    return seconds


def report(work: list[Task], seconds: dict[str, list[float]]) -> None:
    """Print the table, the bars, and whether the run counts."""
    rate = statistics.median(seconds["realistic: this reader, buffer"]) / work[1][1]
    say(f"{'':40} {'bytes':>12} {'median ms':>10} {'q1':>8} {'q3':>8} {'ns/byte':>8} {'ratio':>6}")
    for label, size, _ in work:
        low, middle, high = statistics.quantiles(seconds[label], n=4)
        each = middle / size
        say(
            f"{label:40} {size:12,} {middle * 1e3:10.2f} {low * 1e3:8.2f} {high * 1e3:8.2f}"
            + ("" if size == 1 else f" {each * 1e9:8.2f} {each / rate:6.1f}")
        )
    say()
    report_bars(work, {label: statistics.median(times) for label, times in seconds.items()})
    low, middle, high = statistics.quantiles(seconds["control"], n=4)
    spread = (high - low) / middle
    say(f"control spread {spread:.0%}: " + ("VOID" if spread > VOID_SPREAD else "valid"))


def report_bars(work: list[Task], median: dict[str, float]) -> None:
    """Print how this reader compares with other readers, and hostile files with a realistic one."""
    ours_s = median["realistic: this reader, buffer"]
    if (peer := median.get("realistic: gguf-py")) is not None:
        say(f"against gguf-py: {peer / ours_s:.0f} times as fast (bar: 250)")
    else:
        plain = median["realistic: plain reader, all decoded"]
        say(
            f"against gguf-py: not measured, it is not installed; {plain / ours_s:.0f} times as "
            "fast as a plain reader that makes one Python object a value"
        )
    naive = median["realistic: naive skip of its strings"]
    say(f"against a naive skip of the strings alone: {naive / ours_s:.1f} times as fast")
    each = {label: median[label] / size for label, size, _ in work}
    hostile_labels = [label for label in each if not label.startswith(("control", "realistic"))]
    for what, stored in (("stepped over", ("strings", "arrays")), ("kept", ("keys", "tensors"))):
        worst = max(each[n] for n in hostile_labels if any(kind in n for kind in stored))
        ratio = worst / each["realistic: this reader, buffer"]
        by_hand = worst / each["realistic: naive skip of its strings"]
        say(
            f"worst hostile cost a byte, {what}: {ratio:.1f} times the realistic file's (bar: 4), "
            f"{by_hand:.1f} times a naive skip's"
        )
    for small, large in zip(hostile_labels[::2], hostile_labels[1::2], strict=True):
        say(f"doubling {small!r}: time × {median[large] / median[small]:.2f} (bar: 2.3)")


PEAK = """
import sys
{work}
try:
    lines = open("/proc/self/status").read().splitlines()
    print(next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")))
except OSError:
    import resource
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""
# On Linux ru_maxrss would count the parent too: the peak is kept across fork and exec.


def peak_bytes(work: str) -> int:
    """Return the peak resident memory of a fresh interpreter that does `work`."""
    command = [sys.executable, "-c", PEAK.format(work=work)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    header = realistic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "realistic.gguf"
        path.write_bytes(header)
        with path.open("r+b") as file:  # a hole for the data, which other readers look for
            file.truncate(len(header) + TENSORS * TENSOR_BYTES + ALIGNMENT)
        work = tasks(header, path)
        report(work, measure(work, rounds))
        module = "whatfits.sizing.sources.local_file"
        for label, code in (
            ("bare interpreter", ""),
            ("import of the reader", f"import {module}"),
            ("reading the file", f"from {module} import load_gguf; load_gguf({str(path)!r})"),
        ):
            say(f"peak memory, {label}: {peak_bytes(code) / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
