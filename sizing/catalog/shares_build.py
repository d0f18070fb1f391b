"""Works out what every catalog model takes, and writes the two files that `shares` reads.

python -m whatfits.sizing.catalog.shares_build           write them
python -m whatfits.sizing.catalog.shares_build --check   only say whether they are stale

About three minutes: every model, on every kind of machine, is sized by the engine itself.
"""

from __future__ import annotations

import json
import sys
from itertools import accumulate
from pathlib import Path

from whatfits.sizing.catalog.index_file import index_path
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.catalog.shares import CONTEXTS, FILE_NAME, KINDS, WORK_FILE_NAME
from whatfits.sizing.device_limits import F32_DOWN
from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.flash_attention import all_can_fuse
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.quants.default_type import RANKED_TYPES
from whatfits.sizing.runtimes.model_shares import ModelShares
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import spec_of_entry
from whatfits.sizing.speed import DEFAULT_PROMPT_TOKENS
from whatfits.sizing.speed.rates import Rates
from whatfits.sizing.speed.terms import decode_terms
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.share import Share

__all__ = ["decode_work_of", "machine_of_kind", "main", "record_of", "shares_table"]

_POOL_BYTES: Final = 2**40  # the size of a pool changes no share
# as probes and the catalog tell what runs a card: see `graph.fused.is_told`
_TOLD: Final = {"cuda": ("cc8.9",), "rocm": ("gfx1100",)}
_LAYOUTS: Final = ("cpu", "cuda", "2x cuda")  # none, one and two accelerators


def machine_of_kind(kind: str) -> Machine:
    """Return a machine of one of `KINDS`."""
    device, features = KINDS[kind]
    ram = Pool(id="ram", kind="ram", total_bytes=_POOL_BYTES)
    host = Device(id="cpu", kind="cpu", name="CPU", pool="ram", features=features)
    if device == "cpu":
        return Machine(pools=(ram,), devices=(host,))
    count = int(kind[0]) if kind[0].isdigit() else 1
    cards = range(count)
    vram = [Pool(id=f"vram{n}", kind="vram", total_bytes=_POOL_BYTES) for n in cards]
    told = _TOLD.get(device, ())
    devices = [Device(f"{device}{n}", device, device, f"vram{n}", features=told) for n in cards]
    return Machine(pools=(*vram, ram), devices=(*devices, host))


def record_of(entry: ModelEntry) -> dict[str, Any] | None:
    """Return what is stored of a model; None when its bytes are not exact or its shape has holes.

    File types come from best to least, or there is only the native one.
    """
    try:
        default = spec_of_entry(entry)
    except WhatfitsError:
        return None  # its shape has holes
    if default.weights is not None or not default.tensors or default.cache_interval:
        return None
    kinds = record_types(entry)
    specs = [
        default if t == default.file_type else spec_of_entry(entry, file_type=t) for t in kinds
    ]
    usual = resolve_settings(default, Workload()).requested_context_tokens
    contexts = [usual, *(tokens for tokens in CONTEXTS if tokens != usual)]
    places: list[dict[str, Any]] = []
    on: dict[str, int] = {}
    for kind in KINDS:
        place = _place(specs, machine_of_kind(kind), contexts)
        if place is None:
            continue
        if place not in places:
            places.append(place)
        on[kind] = places.index(place)
    if not on:
        return None
    return {
        "types": kinds,
        "contexts": contexts,
        "layers": default.n_layers + default.hparams.n_layer_nextn,
        "trained": default.hparams.context_train_tokens,
        "parameters": default.parameters,
        "active": default.active_parameters,
        "output": places[0].pop("output") if places else 0,
        "on": on,
        "places": [{k: v for k, v in place.items() if k != "output"} for place in places],
    }


def _place(specs: list[ModelSpec], machine: Machine, contexts: list[int]) -> dict[str, Any] | None:
    """Return weights by file type, caches and working memory by context, device by device.

    None when a context is refused, or when more than the weights changes with the file type.
    """
    replays = Replays()
    found: list[list[list[Share]]] = []
    for spec in specs:
        shares = ModelShares(spec, replays=replays)
        placement = resolve_placement(spec, PlacementRequest(), machine)
        weights = shares.weights(placement)
        fuses = all_can_fuse(spec, machine.accelerators)
        try:
            found.append(
                [
                    shares.of(
                        resolve_settings(
                            spec, Workload(context_tokens=tokens), flash_supported=fuses
                        ),
                        placement,
                        weights,
                    )
                    for tokens in contexts
                ]
            )
        except WhatfitsError:
            return None
    first = found[0]
    caches = [[share.kv_cache_bytes for share in row] for row in first]
    working = [[_working(share) for share in row] for row in first]
    for rows in found[1:]:
        same = working == [[_working(share) for share in row] for row in rows]
        if not same or caches != [[share.kv_cache_bytes for share in row] for row in rows]:
            return None
    return {
        "weights": [[share.weights_bytes for share in rows[0]] for rows in found],
        "caches": caches,
        "working": working,
        "output": first[0][-1].output_bytes,
    }


def decode_work_of(entry: ModelEntry) -> dict[str, list[list[list[Any]]]]:
    """Return the terms of decoding: file type → number of accelerators → terms.

    A term is its device, its amount in bytes or counts, and the names of its costs. Nothing of
    models that some kinds of devices cannot compute alone.
    """
    found: dict[str, list[list[list[Any]]]] = {}
    for name in record_types(entry):
        spec = spec_of_entry(entry, file_type=name)
        if spec.architecture in F32_DOWN:
            return {}
        found[name] = [_decode_terms(spec, kind) for kind in _LAYOUTS]
    return found


def _decode_terms(spec: ModelSpec, kind: str) -> list[list[Any]]:
    if spec.embeds:
        return []
    placement = resolve_placement(spec, PlacementRequest(), machine_of_kind(kind))
    unit = [Rates(1.0, 1.0, 1.0)] * (len(placement.accelerators) + 1)
    settings = resolve_settings(spec, Workload())
    terms = decode_terms(spec, settings, placement, unit, depth=DEFAULT_PROMPT_TOKENS)
    return [[term.device, _whole(term.amount), *term.costs] for term in terms]


def _whole(amount: float) -> float:
    """Return a whole number as one, which is shorter to write and the same to reckon with."""
    return int(amount) if amount == int(amount) else amount


def _working(share: Share) -> int | list[int]:
    """Return the working memory of a share: one number where it is exact."""
    certain = share.total_bytes - share.compute_bytes
    ends = [share.low_bytes - certain, share.compute_bytes, share.high_bytes - certain]
    return ends[0] if ends[0] == ends[1] == ends[2] else ends


def record_types(entry: ModelEntry) -> list[str]:
    """Return the file types that are stored of a model, best first."""
    if entry.native_quantisation is None:
        return list(RANKED_TYPES)
    return [spec_of_entry(entry).file_type or ""]


def work_table(names: Sequence[str]) -> bytes:
    """Return the terms of decoding of these models as an index file."""
    wanted = set(names)
    lines = [
        json.dumps(decode_work_of(entry), separators=(",", ":")).encode() + b"\n"
        for entry in model_entries()
        if entry.id in wanted
    ]
    kept = [entry.id for entry in model_entries() if entry.id in wanted]
    offsets = [0, *accumulate(len(line) for line in lines)][:-1]
    header = {
        "table_bytes": 0,
        "offsets": offsets,
        "models": {name: number for number, name in enumerate(kept)},
    }
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + b"".join(lines)


def shares_table() -> bytes:
    """Return the index as JSON, one line a model."""
    lines = []
    for entry in model_entries():
        record = record_of(entry)
        if record is not None:
            text = json.dumps(record, separators=(",", ":"))
            lines.append(f"{json.dumps(entry.id)}:{text}")
    joined = ",\n".join(lines)
    return f'{{"models":{{\n{joined}\n}}}}\n'.encode()


def main(arguments: list[str]) -> int:
    """Write both files, or with `--check` compare them; 1 when one is stale."""
    shares = shares_table()
    work = work_table(list(json.loads(shares)["models"]))
    files = {Path(index_path(FILE_NAME)): shares, Path(index_path(WORK_FILE_NAME)): work}
    if "--check" in arguments:
        stale = [p for p, content in files.items() if not p.is_file() or p.read_bytes() != content]
        return 1 if stale else 0
    for path, content in files.items():
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
