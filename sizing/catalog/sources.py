"""The catalog's source files, read and checked for their form. Only `build` and tests use it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from whatfits.sizing.catalog.cost_schema import (
    ApiOfferRow,
    ElectricityRow,
    PricesFile,
    RoutingResultRow,
    RoutingResultsFile,
)
from whatfits.sizing.catalog.memory_schema import MemorySystemsFile
from whatfits.sizing.catalog.processor_schema import ProcessorSeriesRow, ProcessorsFile
from whatfits.sizing.catalog.quants_schema import QuantsFile
from whatfits.sizing.catalog.schema import (
    DeviceFile,
    DeviceRow,
    DriverTotalsFile,
    ModelFile,
    ModelRow,
    RentalPricesFile,
    RentalRow,
)
from whatfits.sizing.errors import CatalogError

__all__ = ["SOURCE_DIR", "Sources", "read_sources"]

# Resolved: an editable install reaches these files through links, and an index must be written
# beside the sources, not beside the links.
SOURCE_DIR = Path(__file__).resolve().parent

_File = TypeVar("_File", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything in the source files, in a stable order."""

    models: tuple[ModelRow, ...]
    devices: tuple[DeviceRow, ...]
    driver_totals: DriverTotalsFile
    memory_systems: MemorySystemsFile
    processors: tuple[ProcessorSeriesRow, ...]
    quants: QuantsFile
    rental_offers: tuple[RentalRow, ...]
    api_offers: tuple[ApiOfferRow, ...]
    electricity: tuple[ElectricityRow, ...]
    routing_results: tuple[RoutingResultRow, ...]


def read_sources(folder: Path = SOURCE_DIR) -> Sources:
    """Return the source files of `folder`.

    Raises:
        CatalogError: a file is missing, is no TOML, or has a wrong or unknown field.
    """
    models = [
        row
        for path in sorted((folder / "models").glob("*.toml"))
        for row in _read(path, ModelFile).models
    ]
    devices = [
        row
        for path in sorted((folder / "devices").glob("*.toml"))
        for row in _read(path, DeviceFile).devices
    ]
    processors = [
        row
        for path in sorted((folder / "processors").glob("*.toml"))
        for row in _read(path, ProcessorsFile).series
    ]
    prices = [_read(path, PricesFile) for path in sorted((folder / "prices").glob("*.toml"))]
    return Sources(
        models=tuple(models),
        devices=tuple(devices),
        driver_totals=_read(folder / "driver_totals.toml", DriverTotalsFile),
        memory_systems=_read(folder / "memory_systems.toml", MemorySystemsFile),
        processors=tuple(processors),
        quants=_read(folder / "quants.toml", QuantsFile),
        rental_offers=tuple(_read(folder / "rental_prices.toml", RentalPricesFile).offers),
        api_offers=tuple(row for file in prices for row in file.offers),
        electricity=tuple(row for file in prices for row in file.electricity),
        routing_results=tuple(_read(folder / "routing_results.toml", RoutingResultsFile).results),
    )


def _read(path: Path, form: type[_File]) -> _File:
    try:
        return form.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise CatalogError(f"catalog source {path.name}: {error}") from error
