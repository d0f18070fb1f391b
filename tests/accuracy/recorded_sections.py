"""The sections over what was recorded apart: earlier reservations, real loads, published files."""

from __future__ import annotations

import json
from statistics import median

from loads import PATH as LOADS
from loads import loads
from recorded_rows import GROUPS
from tables import errors_of, percent, signed, table
from test_published_sizes import JUDGED, MADE_OTHERWISE, relative_error, since_changed
from test_recorded_buffers import truths

from whatfits.sizing.units import format_bytes


def reservations_section() -> str:
    """Return the section over the rows that were made with other tools than this project's."""
    kinds: dict[str, list[tuple[bool, bool, bool, float]]] = {}
    for group in GROUPS:
        for row, _, _, memory in group.answers:
            if row.is_mapped:
                continue
            truth = truths(row, memory)
            ours = [(d.weights_bytes, d.kv_cache_bytes, d.compute_bytes) for d in memory.devices]
            same = [
                all(a[part] == b[part] for a, b in zip(truth, ours, strict=True))
                for part in range(3)
            ]
            error = sum(map(sum, ours)) / sum(map(sum, truth)) - 1
            kinds.setdefault(row.kind, []).append((same[0], same[1], same[2], error))
    rows = []
    for kind, cases in kinds.items():
        counts = [f"{sum(case[part] for case in cases):,}" for part in range(3)]
        rows.append((kind, f"{len(cases):,}", *counts, *errors_of([c[3] for c in cases]).cells))
    head = ("devices", "cases", "weights exact", "cache exact", "compute exact")
    total = sum(len(group.rows) for group in GROUPS)
    return (
        f"{total:,} reservations of the same llama.cpp, dry runs and some real loads, made with "
        "other programs than this project's: shapes, files and pretend GPUs apart. The table "
        "leaves out mapped loads: their figures are compared one by one in `tests/golden`. Beside "
        "RPC servers, whose processors are not known here, only an interval is given.\n\n"
        + table((*head, "median", "p95", "lowest", "highest"), rows)
    )


def loads_section() -> str:
    """Return the section over real loads."""
    document = json.loads(LOADS.read_text("utf-8"))
    rows = []
    for load in loads():
        held = load.anonymous if load.mapped else load.resident
        rows.append(
            (
                f"{load.model} {load.file_type}",
                load.way,
                format_bytes(load.predicted),
                format_bytes(held),
                signed(load.error),
                format_bytes(load.mapped) if load.mapped else "",
                format_bytes(load.file) if load.mapped else "",
                format_bytes(load.decoded),
            )
        )
    plain = errors_of([load.error for load in loads() if not load.mapped])
    models = len({load.model for load in loads()})
    head = (
        *("model", "how", "predicted", "held", "miss", "file pages predicted", "file pages held"),
        "resident after 16 tokens",
    )
    features = ", ".join(document["host_features"])
    return (
        f"{models} small synthetic models, loaded for real in a fresh process (Linux, {features}; "
        f"{document['date']}). Read into memory, the process grows by what is predicted: weights, "
        "cache, output buffer and 10 MiB of its own; the worst miss is "
        f"{percent(plain.worst)}. The compute buffer is reserved then, and touched as it is used. "
        "Mapped, there are two figures: memory proper (the repacked copies, the cache, its own), "
        "which is compared, and pages of the file, which the system may take back.\n\n"
        + table(head, rows)
    )


def files_section() -> str:
    """Return the section over published files."""
    errors = errors_of([relative_error(file) for file in JUDGED])
    kinds = len({file.file_type for file in JUDGED})
    off: dict[str, list[float]] = {}
    for file in MADE_OTHERWISE:
        off.setdefault(str(since_changed(file)), []).append(abs(relative_error(file)))
    rows = [(reason, len(each), percent(median(each))) for reason, each in sorted(off.items())]
    return (
        f"{len(JUDGED)} published GGUF files of {len({file.model for file in JUDGED})} models in "
        f"{kinds} file types, from the model's shape and the file type alone; the tokenizer's "
        "bytes are measured on one file each, which is not judged "
        "(`tests/sizing/quants/test_published_sizes.py`).\n\n"
        + table(("files", "median", "p95", "lowest", "highest"), [(len(JUDGED), *errors.cells)])
        + "\nNot judged are files that today's `llama-quantize` would make differently:\n\n"
        + table(("why", "files", "median error"), rows)
    )
