"""What must hold in the catalog beyond the form of its files. Used when the index is built."""

from __future__ import annotations

import datetime as dt
import re

from whatfits.sizing.catalog.name_tables import device_names, model_names
from whatfits.sizing.catalog.processors_build import processor_problems
from whatfits.sizing.catalog.runs import expand_runs
from whatfits.sizing.catalog.totals import marketed_totals
from whatfits.sizing.errors import CatalogError
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Final

    from whatfits.sizing.catalog.cost_schema import ApiOfferRow, ElectricityRow
    from whatfits.sizing.catalog.memory_schema import MemorySystemsFile
    from whatfits.sizing.catalog.schema import (
        DeviceRow,
        DriverTotalsFile,
        ModelRow,
        RentalRow,
    )
    from whatfits.sizing.catalog.sources import Sources

__all__ = ["problems"]

_FIRST_DAY: Final = dt.date(2025, 1, 1)
_LOWEST_RATIO: Final = 0.85
# Lists that name some layers instead of saying one thing of each.
_LAYER_NUMBERS: Final = ("cross_attention_layers", "full_attn_layers", "kda_layers")
_WHOLE_SHAPE: Final = frozenset({"*", "vision_config"})


def problems(sources: Sources) -> list[str]:
    """Return everything that is wrong with the sources, one sentence each."""
    models = sources.models
    found = [
        *_repeated("model id", (row.id for row in models)),
        *_repeated("Hugging Face id", (row.hf_id.casefold() for row in models)),
        *_repeated("device id", (row.id for row in sources.devices)),
        *_repeated("platform id", (row.id for row in sources.memory_systems.platforms)),
        *_repeated("file type", (row.name for row in sources.quants.file_types)),
        *model_names(models).clashes,
        *device_names(sources.devices).clashes,
    ]
    for model in models:
        found += [f"{model.id}: {text}" for text in (*_counts(model), *_shape(model))]
        found += [f"{model.id}: {text}" for text in _dates(model)]
    for device in sources.devices:
        found += [f"{device.id}: {text}" for text in (*_device(device), *_dates(device))]
    found += _totals(sources.devices, sources.driver_totals)
    found += _platforms(sources.memory_systems)
    found += processor_problems(sources.processors, sources.memory_systems.platforms)
    found += _rentals(sources.rental_offers, {row.id for row in sources.devices})
    found += _prices(sources, {row.id for row in models})
    return found


def _repeated(what: str, values: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            yield f"{what} {value!r} occurs twice"
        seen.add(value)


def _dates(row: ModelRow | DeviceRow) -> Iterator[str]:
    if row.checked < _FIRST_DAY:
        yield f"checked {row.checked} is before {_FIRST_DAY}"
    if row.released is not None and row.released > f"{row.checked:%Y-%m}":
        yield f"released {row.released} is after checked {row.checked}"


def _counts(row: ModelRow) -> Iterator[str]:
    total, active = row.params_total, row.params_active
    if total is None:
        if "params_total" not in row.unknown or row.check.status != "not-computed":
            yield "params_total is missing without 'unknown' and check.status saying so"
        if row.params_published is None:
            yield "neither counted nor published parameters"
        return
    if "params_total" in row.unknown:
        yield "params_total is both given and unknown"
    if active is None or active > total:
        yield f"params_active {active} must be at most params_total {total}"
    parts = (row.params_expert or 0) + (row.params_vision_audio or 0) + (row.params_embedding or 0)
    if parts > total:
        yield f"experts, vision and embedding add up to {parts}, more than params_total {total}"
    if row.moe != bool(row.params_expert):
        yield "moe must say whether there are expert parameters"
    if row.count_method is None:
        yield "count_method is missing"


def _shape(row: ModelRow) -> Iterator[str]:
    layers = row.config.get("num_hidden_layers")
    if not isinstance(layers, int) or layers < 1:
        yield "config.num_hidden_layers must be a positive number"
        return
    for path, text in row.lists.items():
        yield from _list(row, path, text, layers)
    if row.layer_counts and sum(row.layer_counts.values()) != layers:
        yield f"layer_counts add up to {sum(row.layer_counts.values())}, not {layers}"
    known = row.config.keys() | {path.split(".")[1] for path in (*row.lists, *row.null_fields)}
    for name in row.unverified:
        if name not in known and name not in _WHOLE_SHAPE:
            yield f"unverified field {name!r} does not exist"
    for name in row.unknown:
        if name in row.config or f"config.{name}" in row.lists:
            yield f"field {name!r} is both given and unknown"


def _list(row: ModelRow, path: str, text: str, layers: int) -> Iterator[str]:
    try:
        length = len(expand_runs(text))
    except CatalogError as error:
        yield str(error)
        return
    if not _belongs(row, path):
        yield f"list {path!r} is not a free place of config or vision"
    elif path.startswith("config.") and not path.endswith(_LAYER_NUMBERS):
        extra = row.config.get("num_nextn_predict_layers", 0)
        expected = {layers, layers + extra} if path.endswith("compress_ratios") else {layers}
        if length not in expected:
            yield f"list {path!r} has {length} items for {layers} layers"


def _belongs(row: ModelRow, path: str) -> bool:
    """Return whether a list may be put at a path: the parents exist, the place is free."""
    root, *parents, last = path.split(".")
    place: Any = {"config": row.config, "vision": row.vision}.get(root)
    for parent in parents:
        place = place.get(parent) if isinstance(place, dict) else None
    return isinstance(place, dict) and last not in place


def _device(row: DeviceRow) -> Iterator[str]:
    if not row.memory_gib and row.kind != "integrated":
        yield "memory_gib is empty, and it is no integrated part"
    if row.bandwidth_bytes_per_s is not None and row.bandwidth_basis is None:
        yield "bandwidth without a basis"
    options = {option.memory_gib for option in row.bandwidth_by_memory}
    if options and options != set(row.memory_gib):
        yield "bandwidth_by_memory must name every memory option"
    if any(size % row.dies for size in row.memory_gib):
        yield "memory does not divide by the dies"
    if (row.pcie_gen is None) != (row.pcie_lanes is None):
        yield "pcie_gen and pcie_lanes go together"
    for name in row.unverified:
        if name not in type(row).model_fields:
            yield f"unverified field {name!r} does not exist"
    if row.vendor == "NVIDIA" and row.compute_capability is None:
        yield "compute_capability is missing"


def _totals(devices: tuple[DeviceRow, ...], table: DriverTotalsFile) -> Iterator[str]:
    by_id = {row.id: row for row in devices}
    for row in table.rows:
        for device_id in row.devices:
            device = by_id.get(device_id)
            if device is None or row.memory_gib not in device.memory_gib:
                yield f"driver total: no device {device_id!r} with {row.memory_gib} GiB"
        if row.total_low_mib is not None and row.total_low_mib > row.total_mib:
            yield f"driver total of {row.devices[0]}: the lower end is above the total"
    for device in devices:
        for total in marketed_totals(device, table):
            low = total.total_bytes if total.low_bytes is None else total.low_bytes
            marketed = total.memory_gib * 2**30
            if not _LOWEST_RATIO * marketed < low <= total.total_bytes <= marketed:
                yield f"{device.id}: a total of {total.total_bytes} for {total.memory_gib} GiB"


def _platforms(table: MemorySystemsFile) -> Iterator[str]:
    ids = {row.id for row in table.platforms}
    for row in table.platforms:
        if row.slower_sibling is not None and row.slower_sibling not in ids:
            yield f"platform {row.id}: no sibling {row.slower_sibling!r}"
        if row.brand_pattern is not None:
            try:
                re.compile(row.brand_pattern)
            except re.error as error:
                yield f"platform {row.id}: brand_pattern: {error}"


def _rentals(offers: tuple[RentalRow, ...], devices: set[str]) -> Iterator[str]:
    yield from _repeated(
        "rental offer",
        (f"{row.provider}, {row.device}, {row.terms}, {row.least_gpus}" for row in offers),
    )
    for row in offers:
        where = f"rental offer of {row.provider} for {row.offered_as!r}"
        if row.device not in devices:
            yield f"{where}: no device {row.device!r}"
        yield from _reading(where, row)


def _reading(where: str, row: RentalRow | ApiOfferRow | ElectricityRow) -> Iterator[str]:
    """Yield what is wrong with the days of a price and with what it says was not re-read."""
    if row.as_of > row.checked:
        yield f"{where}: as_of {row.as_of} is after checked {row.checked}"
    for name in row.unverified:
        if name not in type(row).model_fields:
            yield f"{where}: unverified field {name!r} does not exist"


def _prices(sources: Sources, models: set[str]) -> Iterator[str]:
    offers, electricity = sources.api_offers, sources.electricity
    yield from _repeated("api offer", (f"{row.provider_id}/{row.model}" for row in offers))
    yield from _repeated("electricity of", (row.id for row in electricity))
    yield from _repeated("routing result", (row.id for row in sources.routing_results))
    for row in electricity:
        yield from _reading(f"electricity of {row.id}", row)
    for offer in offers:
        where = f"api offer {offer.provider_id}/{offer.model}"
        yield from _reading(where, offer)
        if offer.same_as is not None and offer.same_as not in models:
            yield f"{where}: no model {offer.same_as!r}"
        thresholds = [tier.above_tokens for tier in offer.tiers]
        days = [change.from_day for change in offer.changes]
        if thresholds != sorted(set(thresholds)) or days != sorted(set(days)):
            yield f"{where}: tiers and changes stand in rising order"
