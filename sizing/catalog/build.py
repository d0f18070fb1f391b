"""Checks the catalog's sources and writes the compact index that `lookup` reads.

python -m whatfits.sizing.catalog.build           write
python -m whatfits.sizing.catalog.build --check   only say whether the index is stale
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from pydantic.json_schema import models_json_schema

from whatfits.sizing.catalog.checks import problems
from whatfits.sizing.catalog.cost_schema import PricesFile, RoutingResultsFile
from whatfits.sizing.catalog.memory_schema import MemorySystemsFile
from whatfits.sizing.catalog.name_tables import device_names, model_names
from whatfits.sizing.catalog.processor_schema import ProcessorsFile
from whatfits.sizing.catalog.processors_build import processors_index
from whatfits.sizing.catalog.quants_schema import QuantsFile
from whatfits.sizing.catalog.schema import (
    DeviceFile,
    DriverTotalsFile,
    ModelFile,
    RentalPricesFile,
)
from whatfits.sizing.catalog.sources import SOURCE_DIR, read_sources
from whatfits.sizing.catalog.totals import marketed_totals
from whatfits.sizing.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pydantic import BaseModel

    from whatfits.sizing.catalog.sources import Sources

__all__ = ["generated_files", "main", "stale_files"]

_FORMS: Final = (
    ModelFile,
    DeviceFile,
    DriverTotalsFile,
    MemorySystemsFile,
    ProcessorsFile,
    QuantsFile,
    RentalPricesFile,
    PricesFile,
    RoutingResultsFile,
)


def generated_files(sources: Sources) -> dict[str, bytes]:
    """Return every generated file: path below the catalog → content.

    Raises:
        CatalogError: the sources contradict each other; all findings, one a line.
    """
    found = problems(sources)
    if found:
        raise CatalogError("catalog sources:\n" + "\n".join(found))
    return {
        "index/models.jsonl": _models(sources),
        "index/devices.jsonl": _devices(sources),
        "index/memory_systems.json": _pretty_line(_record(sources.memory_systems)),
        "index/processors.json": processors_index(
            sources.processors, sources.memory_systems.platforms
        ),
        "index/quants.json": _pretty_line(_record(sources.quants)),
        "index/rental_prices.json": _rows_by_list(offers=sources.rental_offers),
        "index/prices.json": _rows_by_list(
            offers=sources.api_offers, electricity=sources.electricity
        ),
        "index/routing_results.json": _rows_by_list(results=sources.routing_results),
        "schema.json": _schema(),
    }


def _models(sources: Sources) -> bytes:
    names = model_names(sources.models)
    return _index(
        {
            "checked": str(max(row.checked for row in sources.models)),
            "keys": names.keys,
            "hf_ids": names.hf_ids,
        },
        names.table,
        [_record(row) for row in sources.models],
    )


def _devices(sources: Sources) -> bytes:
    names = device_names(sources.devices)
    records = []
    for row in sources.devices:
        totals = [
            [total.memory_gib, total.total_bytes, total.low_bytes, total.basis]
            for total in marketed_totals(row, sources.driver_totals)
        ]
        records.append({**_record(row), "totals": totals})
    return _index(
        {
            "checked": str(max(row.checked for row in sources.devices)),
            "keys": names.keys,
            "drivers": names.drivers,
        },
        names.table,
        records,
    )


def _rows_by_list(**lists: Sequence[BaseModel]) -> bytes:
    """Return an object of lists with a line a row, so that a change shows as a small difference."""
    parts = []
    for name, rows in lists.items():
        lines = [_line(_record(row)).decode().rstrip() for row in rows]
        parts.append(f'"{name}":[\n' + ",\n".join(lines) + "\n]")
    return ("{" + ",".join(parts) + "}\n").encode()


def _record(row: BaseModel) -> dict[str, Any]:
    """Return a row without the fields that were left out in the source."""
    return row.model_dump(mode="json", exclude_defaults=True)


def _index(header: dict[str, Any], table: list[list[Any]], records: list[dict[str, Any]]) -> bytes:
    lines = [_line(record) for record in records]
    offsets = [0]
    for line in lines[:-1]:
        offsets.append(offsets[-1] + len(line))
    table_line = _line(table)
    first = _line({**header, "offsets": offsets, "table_bytes": len(table_line)})
    return b"".join((first, table_line, *lines))


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _pretty_line(record: dict[str, Any]) -> bytes:
    """Return an object with one line a key, so that a change shows as a small difference."""
    rows = [f"{json.dumps(key)}:{_line(value).decode().rstrip()}" for key, value in record.items()]
    return ("{\n" + ",\n".join(rows) + "\n}\n").encode()


def _schema() -> bytes:
    _, schema = models_json_schema([(form, "validation") for form in _FORMS])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Source files of the whatfits catalog",
        "anyOf": [{"$ref": f"#/$defs/{form.__name__}"} for form in _FORMS],
        **schema,
    }
    return (json.dumps(schema, indent=1, ensure_ascii=False) + "\n").encode()


def stale_files(folder: Path = SOURCE_DIR) -> list[str]:
    """Return the generated files that differ from what the sources of `folder` say.

    Raises:
        CatalogError: the sources are broken.
    """
    return [
        name
        for name, content in generated_files(read_sources(folder)).items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != content
    ]


def main(arguments: list[str] | None = None) -> int:
    """Write the generated files, or with `--check` compare them; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given not in ([], ["--check"]):
        sys.stderr.write(f"unknown arguments {given}; allowed: --check, or nothing\n")
        return 2
    try:
        stale = stale_files()
        if given:
            sys.stdout.write("".join(f"stale: {name}\n" for name in stale))
            return 1 if stale else 0
        files = generated_files(read_sources())
    except CatalogError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    for name in stale:
        path = SOURCE_DIR / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(files[name])
        sys.stdout.write(f"written: {name} ({len(files[name]):,} bytes)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
