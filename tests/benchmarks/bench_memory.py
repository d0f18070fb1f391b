"""Peak memory of what no single command shows: a remote header, hostile files, much in one process.

    python tests/benchmarks/bench_all.py --only memory

Every figure is the peak of a process of its own, as the system counts it; a figure that begins with
a plus is what the peak grew by from when everything was imported and one file had been read. Files
are written before, so that what makes them does not count.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "hostile"))

import gguf_builder as b
from harness import MB, Row, environment, peak_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from peers import Peers

PARSES, WARM_UP = 10_000, 500
CONFIGURATIONS = 10**6
ONE_MB = 10**6
GROWTH_UNIT = 1 if sys.platform == "darwin" else 1024
SMALL_BYTES = 400_000  # of a name or a value: many of them reach the longest header there may be
NAME_BYTES = 1_000
LAUNCHER = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"


def rows(folder: Path, _: Peers, __: int) -> list[Row]:
    """Return what each takes, held against its ceiling."""
    variables = environment(folder / "bytecode")
    return [
        _remote_row(variables),
        _refused_row(folder, variables),
        _longest_row(folder, variables),
        _parses_row(folder, variables),
        _sweep_row(variables),
    ]


def _row(what: str, n_bytes: float, most_bytes: float, *, is_growth: bool = False) -> Row:
    shown = f"{'+' if is_growth else ''}{n_bytes / MB:.1f} MB"
    return Row("memory", what, shown, "", n_bytes / MB, most=most_bytes / MB, unit="MB")


def _remote_row(variables: Mapping[str, str]) -> Row:
    """Return what a process takes that reads an 8 MB header over the network."""
    from bench_remote import DATA_BYTES, TIMED
    from header_shapes import all_shapes
    from range_server import Hole, serving

    (shape,) = [shape for shape in all_shapes() if shape.name == TIMED]
    size = len(shape.data)
    with serving({"/m.gguf": Hole(shape.data, size + DATA_BYTES)}) as server:
        named = {**variables, "WHATFITS_TRUSTED_HOSTS": server.host}
        command = [sys.executable, __file__, "remote", server.url("/m.gguf")]
        found = _told(command, named)
        assert found["tensors"] > 0
        peak = peak_bytes(command, named)
    return _row(f"reading a header of {size / MB:.0f} MB by ranges, peak", peak, 32e6 + 1.3 * size)


def _refused_row(folder: Path, variables: Mapping[str, str]) -> Row:
    """Return what the hungriest of the hostile files up to 1 MB takes beyond the reader itself."""
    from hostile_files import READERS, cases_of

    listed = []
    for label in (label for label, reader in READERS.items() if reader.takes_bytes):
        for case in cases_of(label).values():
            if len(case.data) <= ONE_MB:  # type: ignore[union-attr]
                path = folder / f"{len(listed)}.case"
                path.write_bytes(case.data)  # type: ignore[union-attr]
                listed.append((label, str(path)))
    (folder / "cases.json").write_text(json.dumps(listed))
    found = _told([sys.executable, __file__, "refused", str(folder / "cases.json")], variables)
    what = f"hostile files up to 1 MB ({len(listed):,} of them), the hungriest"
    return _row(what, found["grown"], 16e6, is_growth=True)


def _longest_row(folder: Path, variables: Mapping[str, str]) -> Row:
    """Return what the hungriest refused file takes whose header is as long as one may be."""
    worst: tuple[float, float, str, int] | None = None
    for name, data in _longest():
        path = folder / "longest.gguf"
        path.write_bytes(data)
        found = _told([sys.executable, __file__, "longest", str(path)], variables)
        each = (found["grown"] / len(data), found["grown"], name, len(data))
        worst = max(worst or each, each)
    assert worst is not None
    _, grown, name, size = worst
    what = f"a refused header of {size / MB:.0f} MB, the hungriest ({name})"
    return _row(what, grown, 1.5 * size, is_growth=True)


def _longest() -> Iterator[tuple[str, bytes]]:
    """Yield files of nearly the longest header there may be, each wrong at its very end."""
    room = 60 * 2**20
    text = "x" * SMALL_BYTES
    strings = [b.pair(f"k{n}", b.ARRAY, _strings(text)) for n in range(room // (SMALL_BYTES * 4))]
    yield "long strings", b.gguf(strings, [])[:-NAME_BYTES]
    tensors = [
        b.tensor(f"{index:0{NAME_BYTES}}", (1,), b.I8, 32 * index) for index in range(60_000)
    ]
    yield "long names of tensors", b.gguf([], tensors)[: -2 * NAME_BYTES]
    keys = [b.scalar(f"{index:0{NAME_BYTES}}", b.UINT8, 1) for index in range(60_000)]
    yield "long keys", b.gguf(keys, [])[: -2 * NAME_BYTES]


def _strings(text: str) -> bytes:
    import struct

    one = struct.pack("<Q", len(text)) + text.encode()
    return struct.pack("<IQ", b.STRING, 4) + one * 4


def _parses_row(folder: Path, variables: Mapping[str, str]) -> Row:
    """Return what the peak grows by over 10,000 headers that are read and forgotten."""
    path = folder / "small.gguf"
    path.write_bytes(b.small_model())
    found = _told([sys.executable, __file__, "parses", str(path)], variables)
    return _row(f"{PARSES:,} headers read in one process", found["grown"], 1e6, is_growth=True)


def _sweep_row(variables: Mapping[str, str]) -> Row:
    """Return what a process takes that sizes a million configurations in arrays."""
    command = [sys.executable, __file__, "sweep"]
    found = _told(command, variables)
    assert found["configurations"] >= CONFIGURATIONS
    what = f"{found['configurations']:,} configurations in arrays, peak"
    return _row(what, peak_bytes(command, variables), 120e6)


def _told(command: list[str], variables: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    """Return what a process of this file tells; it must succeed.

    It is started by a small interpreter: a child's peak begins with what its parent held.
    """
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(launcher, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr[-600:]}")
    return json.loads(done.stdout)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * GROWTH_UNIT


def _read_remote(url: str) -> dict[str, int]:
    from whatfits.sizing import load_model

    return {"tensors": len(load_model(url).tensors)}


def _read_refused(listed: str) -> dict[str, int]:
    """Read the files of a list, each forgotten before the next."""
    from hostile_files import GGUF, READERS

    from whatfits.sizing.errors import BadInputError

    GGUF.read(b.small_model())
    before = _peak()
    for label, path in json.loads(Path(listed).read_text()):
        try:
            READERS[label].read(Path(path).read_bytes())
        except BadInputError:
            continue
    return {"grown": _peak() - before}


def _read_longest(path: str) -> dict[str, int]:
    from whatfits.sizing.errors import MalformedFileError
    from whatfits.sizing.readers.gguf import read_gguf_header
    from whatfits.sizing.sources.local_file import load_gguf

    read_gguf_header(b.small_model())
    before = _peak()
    try:
        load_gguf(path)
    except MalformedFileError:
        return {"grown": _peak() - before}
    raise AssertionError(path)


def _read_many(path: str) -> dict[str, int]:
    from whatfits.sizing.sources.local_file import load_gguf

    for _ in range(WARM_UP):
        load_gguf(path)
    before = _peak()
    for _ in range(PARSES):
        load_gguf(path)
    return {"grown": _peak() - before}


def _sweep() -> dict[str, int]:
    """Size the stored models on so many machines that a million is passed."""
    from bench_sweep import machines

    from whatfits.sizing.catalog.lookup import model_entries
    from whatfits.sizing.catalog.shares import stored_model
    from whatfits.sizing.sweep import sweep

    stored = [(entry.id, model) for entry in model_entries() if (model := stored_model(entry.id))]
    found = list(machines())
    total = 0
    while total < CONFIGURATIONS:
        swept = sweep(found, stored)
        total += sum(len(column.verdict) for column in swept if column is not None)
    return {"configurations": total}


ROLES: dict[str, Callable[..., dict[str, int]]] = {
    "remote": _read_remote,
    "refused": _read_refused,
    "longest": _read_longest,
    "parses": _read_many,
    "sweep": _sweep,
}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ROLES[sys.argv[1]](*sys.argv[2:])))
    sys.stdout.flush()
    os._exit(0)
