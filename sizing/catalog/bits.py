"""Bits a weight that each file type takes over the catalog, and what a size in a name stands for.

python -m whatfits.sizing.catalog.bits           write index/bits.json
python -m whatfits.sizing.catalog.bits --check   only say whether it is stale

Each figure is least, median and most, over the models whose tensor tables are known; they are used
for those whose are not (`whatfits.sizing.approximate`).
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import median

from whatfits.sizing.architectures import find_entry, spec_from_config
from whatfits.sizing.catalog.index_file import index_path
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.quants.file_types import FILE_TYPES
from whatfits.sizing.requantise import requantised
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.model import ModelSpec

__all__ = ["bits_table", "main"]

_SMALLEST_PARAMETERS: Final = 10**9  # below, embeddings dominate and bits say little
_NAME: Final = "bits.json"
_SIZE_IN_NAME: Final = re.compile(r"-(\d+(?:\.\d+)?)b(?:-|$)")
_SMALLEST_NAMED: Final = 1.5  # in 10^9; names below are rounded too much to say anything
_KEPT_AS_IT_IS: Final = "mxfp4"  # its experts stay in MXFP4 whatever the file type says


def _exact_models() -> Iterator[ModelSpec]:
    for entry in model_entries():
        if find_entry(entry.config) is None or entry.kind == "embedding":
            continue
        if entry.native_quantisation == _KEPT_AS_IT_IS:
            continue
        try:
            spec = spec_from_config(
                entry.config, name=entry.id, source="catalog", file_type="F16", origin=entry.source
            )
        except WhatfitsError:
            continue  # a shape with holes
        if spec.parameters and spec.parameters >= _SMALLEST_PARAMETERS:
            yield spec


def _spread(values: list[float]) -> list[float]:
    """Return [least, median, most]."""
    return [round(min(values), 4), round(median(values), 4), round(max(values), 4)]


def _named_sizes() -> list[float]:
    """Return parameters over the size in the name, of models that only read text."""
    found = []
    for entry in model_entries():
        named = _SIZE_IN_NAME.search(entry.id)
        if named is None or entry.params_total is None or entry.kind != "llm":
            continue
        size = float(named[1])
        if size >= _SMALLEST_NAMED:
            found.append(entry.params_total / (size * 10**9))
    return found


def bits_table() -> bytes:
    """Return the figures as JSON: `dense` and `moe`, file type → bits a weight; `named_size`."""
    found: dict[str, dict[str, list[float]]] = {"dense": {}, "moe": {}}
    for spec in _exact_models():
        rows = found["moe" if spec.hparams.n_expert else "dense"]
        for kind in FILE_TYPES.values():
            try:
                sized = requantised(spec, kind.name)
            except WhatfitsError:
                continue  # llama-quantize refuses this shape at this type
            rows.setdefault(kind.name, []).append(8 * sized.tensor_bytes / (spec.parameters or 1))
    parts = [f'"named_size":{json.dumps(_spread(_named_sizes()))}']
    for group, rows in found.items():
        lines = ",\n".join(f"{json.dumps(k)}:{json.dumps(_spread(v))}" for k, v in rows.items())
        parts.append(f'"{group}":{{\n{lines}\n}}')
    joined = ",\n".join(parts)
    return f"{{{joined}}}\n".encode()


def main(arguments: list[str]) -> int:
    """Write the table, or with `--check` compare it; 1 when it is stale."""
    path = Path(index_path(_NAME))
    content = bits_table()
    if "--check" in arguments:
        return 0 if path.is_file() and path.read_bytes() == content else 1
    path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
