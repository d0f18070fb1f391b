"""The catalog's front door: models, devices and memory platforms by name.

Nothing is loaded until it is asked for: one answer opens one index and decodes one entry.
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.catalog.device_entries import DeviceEntry
    from whatfits.sizing.catalog.memory_platforms import MemoryPlatform
    from whatfits.sizing.catalog.model_entries import ModelEntry
    from whatfits.sizing.catalog.rentals import RentalOffer
    from whatfits.sizing.catalog.routing_results import RoutingResult
    from whatfits.sizing.catalog.token_prices import PriceList

__all__ = [
    "MODEL_KINDS",
    "DeviceEntry",
    "MemoryPlatform",
    "ModelEntry",
    "catalog_date",
    "device_entries",
    "find_device",
    "find_model",
    "match_cpu",
    "match_driver_name",
    "model_entries",
    "packaged_prices",
    "pcie_bandwidth_bytes_per_s",
    "rental_offers",
    "routing_results",
]

MODEL_KINDS: Final = ("llm", "vlm", "embedding")
"""What a model of the catalog is for: text, text with images or sound, search."""


def find_model(text: str) -> ModelEntry:
    """Return the model of that name: see `model_entries.find_model`.

    Raises:
        UnknownModelError: no model, or several, answer to the name.
    """
    from whatfits.sizing.catalog import model_entries as models  # noqa: PLC0415 - on use

    return models.find_model(text)


def model_entries() -> Iterator[ModelEntry]:
    """Yield every model of the catalog."""
    from whatfits.sizing.catalog import model_entries as models  # noqa: PLC0415 - on use

    return models.model_entries()


def catalog_date() -> str:
    """Return the day on which the catalog's sources were last read, ISO 8601."""
    from whatfits.sizing.catalog.index_file import open_index  # noqa: PLC0415 - on use

    checked: str = open_index("models.jsonl").header["checked"]
    return checked


def find_device(text: str) -> DeviceEntry:
    """Return the device of that name: see `device_entries.find_device`.

    Raises:
        UnknownMachineError: no device, or several, answer to the name.
    """
    from whatfits.sizing.catalog import device_entries as devices  # noqa: PLC0415 - on use

    return devices.find_device(text)


def device_entries() -> Iterator[DeviceEntry]:
    """Yield every device of the catalog."""
    from whatfits.sizing.catalog import device_entries as devices  # noqa: PLC0415 - on use

    return devices.device_entries()


def rental_offers() -> Iterator[RentalOffer]:
    """Yield every offer of GPUs by the hour."""
    from whatfits.sizing.catalog import rentals  # noqa: PLC0415 - on use

    return rentals.rental_offers()


def packaged_prices() -> PriceList:
    """Return the catalog's prices of tokens and electricity."""
    from whatfits.sizing.catalog import token_prices as prices  # noqa: PLC0415 - on use

    return prices.packaged_prices()


def routing_results() -> tuple[RoutingResult, ...]:
    """Return every published result of routing."""
    from whatfits.sizing.catalog import routing_results as results  # noqa: PLC0415 - on use

    return results.routing_results()


def match_driver_name(
    name: str,
    *,
    vendor: str | None = None,
    memory_bytes: int | None = None,
    gpu_cores: int | None = None,
) -> DeviceEntry | None:
    """Return the device a driver calls `name`, or None: see `device_entries.match_driver_name`."""
    from whatfits.sizing.catalog import device_entries as devices  # noqa: PLC0415 - on use

    return devices.match_driver_name(
        name, vendor=vendor, memory_bytes=memory_bytes, gpu_cores=gpu_cores
    )


def match_cpu(brand: str) -> MemoryPlatform | None:
    """Return the platform of a CPU's name, or None: see `memory_platforms.match_cpu`."""
    from whatfits.sizing.catalog import memory_platforms as platforms  # noqa: PLC0415 - on use

    return platforms.match_cpu(brand)


def pcie_bandwidth_bytes_per_s(gen: int, lanes: int) -> int | None:
    """Return the one-way payload bandwidth: see `memory_rates.pcie_bandwidth_bytes_per_s`."""
    from whatfits.sizing.catalog import memory_rates as rates  # noqa: PLC0415 - on use

    return rates.pcie_bandwidth_bytes_per_s(gen, lanes)


def __getattr__(name: str) -> object:
    """Return an entry class that was not loaded yet."""
    homes = {
        "DeviceEntry": "device_entries",
        "MemoryPlatform": "memory_platforms",
        "ModelEntry": "model_entries",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - on use

    return getattr(import_module(f"whatfits.sizing.catalog.{homes[name]}"), name)
