"""What every operating system can tell of its processor, in one form."""

from __future__ import annotations

from whatfits.sizing.values import dataclass

__all__ = ["CpuFacts"]


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """What is known of the processor; None is unknown.

    Attributes:
        source: where most of it was read.
        brand: its name.
        features: instruction sets.
        physical_cores: cores that run.
        logical_cores: threads they run.
        performance_cores: cores of the faster kinds.
        worth_in_cores: what unequal cores are worth together, in the fastest.
        clock_hz: highest clock of a core.
        allowed_cores: threads this process may run on.
        sockets: packages.
        l3_bytes: one third-level cache.
        l3_total_bytes: all of them.
        present_cores: threads built in, offline ones too.
        is_virtual: a hypervisor stands below.
        is_translated: this process runs under Rosetta.
    """

    source: str
    brand: str | None = None
    features: tuple[str, ...] = ()
    physical_cores: int | None = None
    logical_cores: int | None = None
    performance_cores: int | None = None
    worth_in_cores: float | None = None
    clock_hz: int | None = None
    allowed_cores: int | None = None
    sockets: int | None = None
    l3_bytes: int | None = None
    l3_total_bytes: int | None = None
    present_cores: int | None = None
    is_virtual: bool = False
    is_translated: bool = False
