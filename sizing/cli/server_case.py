"""What `whatfits verify --server` compares: a server, its model, and the machine it runs on."""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from whatfits.probes.runtimes.address import ServerAddress
    from whatfits.probes.runtimes.listeners import Listener
    from whatfits.probes.runtimes.registry import RuntimeProbe
    from whatfits.probes.runtimes.report import LoadedModel
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import Workload

__all__ = ["Case"]


class Case(NamedTuple):
    """A server with one model, and what it is to be compared with.

    Attributes:
        address: where it is.
        probe: what it is.
        version: None when it does not say.
        listener: its process; None when that cannot be seen from here.
        loaded: what it says of the model.
        spec: the model as it was read here.
        machine: where it runs.
        options: what was typed.
        beside: what the server loads beside the model, by its own word.
        notes: what has to be said of that.
    """

    address: ServerAddress
    probe: RuntimeProbe
    version: str | None
    listener: Listener | None
    loaded: LoadedModel
    spec: ModelSpec
    machine: Machine
    options: argparse.Namespace
    beside: Workload
    notes: tuple[str, ...] = ()
