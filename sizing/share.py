"""What one thing that is loaded takes on one device, and what is loaded beside the model."""

from __future__ import annotations

from whatfits.sizing.typed import Literal
from whatfits.sizing.values import dataclass

__all__ = ["Part", "PartKind", "Share"]

PartKind = Literal["draft", "mtp", "projector", "lora"]


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes on one device, in the columns of an answer; `low_bytes`-`high_bytes` is their sum's.

    An exact share has both ends equal to `total_bytes`.
    """

    weights_bytes: int = 0
    kv_cache_bytes: int = 0
    compute_bytes: int = 0
    output_bytes: int = 0
    low_bytes: int = 0
    high_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Sum of the columns."""
        return self.weights_bytes + self.kv_cache_bytes + self.compute_bytes + self.output_bytes

    def __add__(self, other: Share) -> Share:
        """Return both together."""
        return Share(
            weights_bytes=self.weights_bytes + other.weights_bytes,
            kv_cache_bytes=self.kv_cache_bytes + other.kv_cache_bytes,
            compute_bytes=self.compute_bytes + other.compute_bytes,
            output_bytes=self.output_bytes + other.output_bytes,
            low_bytes=self.low_bytes + other.low_bytes,
            high_bytes=self.high_bytes + other.high_bytes,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Something loaded beside the model: a row for each accelerator, the host last.

    Attributes:
        kind: what it is for.
        name: what to call it.
        shares: what it takes, in the order of the answer's rows.
        mapped_bytes: pages of its own file that stay mapped.
    """

    kind: PartKind
    name: str
    shares: tuple[Share, ...]
    mapped_bytes: int = 0

    @property
    def total(self) -> Share:
        """The sum over the devices."""
        return sum(self.shares, Share())
