"""What a running server says of itself, beside what is predicted for its model and settings."""

from __future__ import annotations

from whatfits.sizing.estimate import ModelSummary  # noqa: TC001 - resolved by pydantic
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass, field
from whatfits.sizing.workload import (  # noqa: TC001 - same
    PlacementRequest,
    Workload,
)

if TYPE_CHECKING:
    from typing import ClassVar

__all__ = ["ComparedValue", "ServerVerdict", "ServerVerification", "VerifiedServer", "verdict_of"]

ServerVerdict = Literal["equal", "inside", "outside"]


@dataclass(frozen=True, slots=True)
class ComparedValue:
    """One figure: as predicted, and as the server or the system tells it.

    Attributes:
        key: what is compared, as `held_bytes`, `accelerator_bytes`, `context_tokens`.
        unit: `bytes`, `tokens` or `count`.
        predicted: this engine's middle.
        low: lower end of its interval.
        high: upper end of its interval; None where there is none.
        told: what the server or the system says.
        source: where it says so.
        miss: what is told minus what is predicted.
        inside: whether what is told lies in the interval.
    """

    key: str
    unit: Literal["bytes", "tokens", "count"]
    predicted: int
    low: int
    high: int | None
    told: int
    source: str
    miss: int = field(init=False)
    inside: bool = field(init=False)

    def __post_init__(self) -> None:
        """Derive the miss."""
        object.__setattr__(self, "miss", self.told - self.predicted)
        below_high = self.high is None or self.told <= self.high
        object.__setattr__(self, "inside", self.low <= self.told and below_high)


@dataclass(frozen=True, slots=True)
class VerifiedServer:
    """Which server it was.

    Attributes:
        url: its address, as it was given.
        runtime: id of what it is.
        label: for people.
        version: None when it does not say.
        model: the loaded model, by the server's name.
    """

    url: str
    runtime: str
    label: str
    version: str | None
    model: str


@dataclass(frozen=True, slots=True)
class ServerVerification:
    """The whole comparison; its fields are the JSON answer of `verify --server`.

    Attributes:
        server: which one, and what it has loaded.
        model: the model as it was read here.
        workload: the settings it was predicted for, defaults filled in.
        placement: where things were predicted to lie.
        machine: name of the machine it was predicted for.
        verdict: `outside` when any figure lies outside its interval.
        values: line by line.
        notes: what was taken from where, and what could not be compared.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    schema_version: str
    server: VerifiedServer
    model: ModelSummary
    workload: Workload
    placement: PlacementRequest
    machine: str
    verdict: ServerVerdict
    values: tuple[ComparedValue, ...]
    notes: tuple[str, ...] = ()


def verdict_of(values: tuple[ComparedValue, ...]) -> ServerVerdict:
    """Return `equal` when nothing misses, `inside` when all that misses lies in its interval."""
    if not all(value.inside for value in values):
        return "outside"
    return "inside" if any(value.miss for value in values) else "equal"
