"""What llama.cpp reserves: bytes of every buffer type, in its own three columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Buffers", "Reservation"]


@dataclass(frozen=True, slots=True)
class Buffers:
    """Bytes of one buffer type, in llama.cpp's three columns."""

    model: int
    context: int
    compute: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What llama.cpp reserves for a model and settings.

    Attributes:
        buffers: buffer type name → its three columns.
        n_ctx: context after padding.
        n_parameters: elements of all weights, as llama.cpp counts them.
        model_bytes: sum of tensor bytes in the file.
        log: everything it said.
    """

    buffers: Mapping[str, Buffers]
    n_ctx: int
    n_parameters: int
    model_bytes: int
    log: str = field(repr=False)

    @property
    def model(self) -> int:
        """Weights over all buffers."""
        return sum(row.model for row in self.buffers.values())

    @property
    def context(self) -> int:
        """Cache and recurrent state over all buffers."""
        return sum(row.context for row in self.buffers.values())

    @property
    def compute(self) -> int:
        """Scheduler buffers over all buffers."""
        return sum(row.compute for row in self.buffers.values())
