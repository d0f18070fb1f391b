"""Time and memory of reading GGUF headers: a realistic one and hostile ones, beside plain readers.

    python tests/benchmarks/bench_all.py --only P1,P2,P3,P4

All readers take turns within one run, by processor time; the control is a fixed loop. gguf-py and
hf-mem make an object of every value, where this reader steps over what sizing does not need: a
plain reader that decodes everything stands beside them. gguf-py takes many seconds, and gets one
turn.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "hostile"))

import gguf_builder as b
from gguf_reference import read_reference, skip_strings_reference
from harness import (
    CONTROL,
    MB,
    VOID_SPREAD,
    Row,
    control,
    cpu_seconds,
    peak_bytes,
    quartiles,
    say,
    take_turns,
)

from whatfits.sizing.readers.gguf import read_gguf_header
from whatfits.sizing.sources.local_file import load_gguf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness import Quartiles
    from peers import Peers

__all__ = ["MERGES", "TOKENS", "rows", "say"]

TOKENS, MERGES, TENSORS = 151_936, 280_147, 310  # as a Qwen 3 model has them
MOST_TENSORS = 2_000
LETTERS = bytes(ord("a") + byte % 26 for byte in range(256))  # what decodes, as peers want it
TENSOR_BYTES, ALIGNMENT = 2304, 32  # 4,096 elements of Q4_K
OURS, PLAIN = "this reader", "a plain reader, all decoded"
TABLE = f"a table of {MOST_TENSORS:,} usual tensors"
SKIP, GGUF_PY, HF_MEM, C_LOOP = "a naive skip", "gguf-py", "hf-mem's parser", "loop in C"
Task = tuple[int, Callable[[], object]]
SOURCE = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int main(int argc, char **argv) {
  FILE *file = fopen(argv[1], "rb");
  long size = atol(argv[2]), count = atol(argv[3]), rounds = 20;
  char *data = malloc(size);
  if (fread(data, 1, size, file) != (size_t)size) return 1;
  volatile uint64_t end = 0;
  clock_t began = clock();
  for (long round = 0; round < rounds; round++) {
    uint64_t place = 0, length;
    for (long i = 0; i < count; i++) {
      memcpy(&length, data + place, 8);
      place += 8 + length;
    }
    end = place;
  }
  printf("%.9f\n", (double)(clock() - began) / CLOCKS_PER_SEC / rounds);
  return end != (uint64_t)size;
}
"""


def strings(rng: random.Random, count: int, mean: float) -> bytes:
    """Strings of text whose lengths are spread as those of a vocabulary."""
    lengths = (max(1, min(60, int(rng.lognormvariate(mean, 0.45)))) for _ in range(count))
    return b"".join(struct.pack("<Q", n) + rng.randbytes(n).translate(LETTERS) for n in lengths)


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


def usual_table() -> bytes:
    """A header of tensors alone, as many as the largest published models have."""
    rows = [
        b.tensor(
            f"blk.{index // 9}.attn_{index % 9}.weight", (4096, 1), b.Q4_K, TENSOR_BYTES * index
        )
        for index in range(MOST_TENSORS)
    ]
    return b.gguf([], rows)


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


def tasks(header: bytes, path: Path) -> dict[str, Task]:
    """What is timed in this process: bytes walked, and the call."""
    tokens, merges = vocabulary()
    size = len(header)
    return {
        CONTROL: (1, control),
        OURS: (size, partial(ours, header)),
        "this reader, from the file": (size, partial(load_gguf, path)),
        SKIP: (
            len(tokens) + len(merges),
            partial(skip_strings_reference, tokens + merges, 0, TOKENS + MERGES),
        ),
        PLAIN: (size, partial(read_reference, header)),
        TABLE: (len(usual_table()), partial(ours, usual_table())),
        **{name: (len(data), partial(ours, data)) for name, data in hostile().items()},
    }


def ours(data: bytes) -> object:
    """Read with the reader of this project; the data is missing on purpose."""
    return read_gguf_header(data, allow_missing_data=True)


def c_loop(folder: Path) -> Callable[[], float] | None:
    """Return the call that skips the strings in C; None where there is no compiler."""
    if shutil.which("cc") is None:
        return None
    source, program, strings_file = folder / "skip.c", folder / "skip", folder / "strings"
    source.write_text(SOURCE)
    subprocess.run(["cc", "-O3", "-o", program, source], check=True)
    data = b"".join(vocabulary())
    strings_file.write_bytes(data)
    command = [program, strings_file, str(len(data)), str(TOKENS + MERGES)]
    return lambda: float(subprocess.run(command, check=True, capture_output=True).stdout)


def rows(folder: Path, peers: Peers, rounds: int) -> list[Row]:
    """Return P1 to P4 and what memory reading takes."""
    header = realistic()
    path, whole = folder / "realistic.gguf", folder / "header"
    whole.write_bytes(header)
    path.write_bytes(header)
    with path.open("r+b") as file:  # a hole for the data, which other readers look for
        file.truncate(len(header) + TENSORS * TENSOR_BYTES + ALIGNMENT)
    work = tasks(header, path)
    calls = {label: partial(cpu_seconds, call) for label, (_, call) in work.items()}
    own = calls[OURS]
    if (in_c := c_loop(folder)) is not None:
        calls[C_LOOP] = in_c
    with closing(peers.reader()) as reader:
        if peers.version("hf-mem"):
            calls[HF_MEM] = reader.task("hf_mem", str(whole))
        found = {label: quartiles(times) for label, times in take_turns(calls, rounds).items()}
        once = {}
        if peers.version("gguf"):
            pair = {OURS: own, GGUF_PY: reader.task("gguf", str(path))}
            once = {label: quartiles(t) for label, t in take_turns(pair, 1, warm_up=0).items()}
    is_void = found[CONTROL].spread > VOID_SPREAD
    return [
        _beside("P1", once, GGUF_PY, is_void=is_void, least=250),
        _beside("P2", found, HF_MEM, is_void=is_void, least=6),
        _beside("P2", found, PLAIN, is_void=is_void),
        _beside("P3", found, C_LOOP, is_void=is_void, most=50),
        *_hostile_rows(found, {label: size for label, (size, _) in work.items()}),
        _peak_row(path),
    ]


def _beside(
    bar: str,
    found: Mapping[str, Quartiles],
    peer: str,
    *,
    is_void: bool,
    most: float | None = None,
    least: float | None = None,
) -> Row:
    """Return a row of one reader beside ours: times as fast, or times as slow as C."""
    if peer not in found:
        return Row(bar, f"8 MB header, beside {peer}", "", "absent", None, most, least)
    own, other = found[OURS], found[peer]
    ratio = own.middle / other.middle if most is not None else other.middle / own.middle
    what = f"8 MB header, times {'as slow' if most is not None else 'as fast'}"
    shown = f"{peer}: {other.shown()}"
    return Row(bar, what, own.shown(), shown, ratio, most, least, is_void=is_void)


def _hostile_rows(found: Mapping[str, Quartiles], sizes: Mapping[str, int]) -> list[Row]:
    """Return P4: what the worst files cost a byte, and what twice as large ones cost.

    A realistic file is nearly all vocabulary, which is stepped over; of tensors an object is kept
    each, in any file. So what is kept also stands beside a usual table of tensors.
    """
    is_void = found[CONTROL].spread > VOID_SPREAD
    names = list(hostile())
    each = {name: found[name].middle / sizes[name] for name in names}
    usual = found[OURS].middle / sizes[OURS]
    growths = {
        large: found[large].middle / found[small].middle
        for small, large in zip(names[::2], names[1::2], strict=True)
    }
    steepest = max(growths, key=growths.__getitem__)
    table = [
        Row(
            "P4",
            f"time of twice the input, worst ({steepest})",
            found[steepest].shown(),
            "",
            growths[steepest],
            most=2.3,
            is_void=is_void,
        )
    ]
    for what, kinds in (("stepped over", ("strings", "arrays")), ("kept", ("keys", "tensors"))):
        worst = max(
            (name for name in names if name.endswith(kinds) or kinds[1] in name),
            key=each.__getitem__,
        )
        table.append(
            Row(
                "P4",
                f"hostile cost a byte, what is {what}, worst ({worst})",
                f"{1e9 * each[worst]:.1f} ns; whole file {found[worst].shown()}",
                f"realistic file: {1e9 * usual:.1f} ns",
                each[worst] / usual,
                most=4,
                is_void=is_void,
            )
        )
    table_s = found[TABLE].middle / sizes[TABLE]
    table.append(
        Row(
            "P4",
            "the same, beside what is kept of a usual file",
            f"{1e9 * each[worst]:.1f} ns",
            f"{TABLE}: {1e9 * table_s:.1f} ns",
            each[worst] / table_s,
            most=4,
            is_void=is_void,
        )
    )
    return table


def _peak_row(path: Path) -> Row:
    """Return what a process that reads the file takes."""
    code = f"from whatfits.sizing.sources.local_file import load_gguf; load_gguf({str(path)!r})"
    size = peak_bytes([sys.executable, "-c", code], os.environ)
    shown = f"{size / MB:.1f} MB"
    return Row("memory", "reading an 8 MB header, peak", shown, "", size / MB, most=32, unit="MB")
