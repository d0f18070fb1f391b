"""Bits a weight that each file type takes over the catalog: least, median, most.

python -m whatfits.sizing.catalog.bits           write index/bits.json
python -m whatfits.sizing.catalog.bits --check   only say whether it is stale

Made from the models whose tensor tables are known; used for those whose are not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from whatfits.sizing.architectures import find_entry, spec_from_config
from whatfits.sizing.catalog.index_file import index_path
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.quants.file_types import FILE_TYPES
from whatfits.sizing.requantise import requantised

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatfits.sizing.model import ModelSpec

__all__ = ["bits_table", "main"]

_SMALLEST_PARAMETERS: Final = 10**9  # below, embeddings dominate and bits say little
_NAME: Final = "bits.json"
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


def bits_table() -> bytes:
    """Return the table as JSON: file type → [least, median, most] bits a weight."""
    found: dict[str, list[float]] = {}
    count = 0
    for spec in _exact_models():
        count += 1
        for kind in FILE_TYPES.values():
            try:
                sized = requantised(spec, kind.name)
            except WhatfitsError:
                continue  # llama-quantize refuses this shape at this type
            found.setdefault(kind.name, []).append(8 * sized.tensor_bytes / (spec.parameters or 1))
    rows = {
        name: [round(min(bits), 4), round(median(bits), 4), round(max(bits), 4)]
        for name, bits in found.items()
    }
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(row)}" for name, row in rows.items())
    return f'{{"models":{count},\n"file_types":{{\n{lines}\n}}}}\n'.encode()


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
