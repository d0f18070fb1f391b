"""Networks between machines by name (`memory_systems.toml`)."""

from __future__ import annotations

from whatfits.sizing.catalog.index_file import read_json
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.fleets.network import Network
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = ["find_network", "network_names"]

_INDEX: Final = "memory_systems.json"
_NS: Final = 10**9


def network_names() -> tuple[str, ...]:
    """Return the names that networks are asked for by.

    Raises:
        CatalogError: the packaged index is missing or broken.
    """
    return tuple(row["id"] for row in read_json(_INDEX)["networks"])


def find_network(name: str) -> Network:
    """Return the network of a name.

    Raises:
        InvalidRequestError: there is none.
        CatalogError: the packaged index is missing or broken.
    """
    for row in read_json(_INDEX)["networks"]:
        if row["id"] == name.lower():
            return Network(
                id=row["id"],
                name=row["name"],
                bandwidth_bytes_per_s=row["bandwidth_bytes_per_s"],
                latency_low_s=row["latency_low_ns"] / _NS,
                latency_high_s=row["latency_high_ns"] / _NS,
                basis=row["basis"],
            )
    raise InvalidRequestError(what="network", got=name, allowed=", ".join(network_names()))
