"""What a check of the memory model against llama.cpp itself says, line by line."""

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

__all__ = ["CheckedTerm", "LoadReport", "Term", "Verification", "VerificationVerdict"]

Term = Literal["weights", "cache", "compute", "output", "resident"]
VerificationVerdict = Literal["equal", "inside", "outside", "not measured"]


@dataclass(frozen=True, slots=True)
class CheckedTerm:
    """One number: as predicted, as planned by llama.cpp, as measured.

    Attributes:
        term: what is counted; `resident` is the growth of the process by the whole load.
        device: device id.
        predicted_bytes: this engine's middle.
        low_bytes: lower end of its interval.
        high_bytes: upper end of its interval.
        dry_run_bytes: llama.cpp's plan; None when it was not asked, or does not tell.
        real_bytes: a real load; None when there was none.
        miss_bytes: the truth (real, else planned) minus the prediction; None without a truth.
        inside: whether the truth lies in the interval; None without a truth.
    """

    term: Term
    device: str
    predicted_bytes: int
    low_bytes: int
    high_bytes: int
    dry_run_bytes: int | None = None
    real_bytes: int | None = None
    miss_bytes: int | None = field(init=False)
    inside: bool | None = field(init=False)

    def __post_init__(self) -> None:
        """Derive the miss."""
        truth = self.dry_run_bytes if self.real_bytes is None else self.real_bytes
        miss = inside = None
        if truth is not None:
            miss, inside = truth - self.predicted_bytes, self.low_bytes <= truth <= self.high_bytes
        object.__setattr__(self, "miss_bytes", miss)
        object.__setattr__(self, "inside", inside)


@dataclass(frozen=True, slots=True)
class LoadReport:
    """How the real load ended, and what the process then held.

    Attributes:
        kind: `measured`, `refused`, `out_of_memory`, `crashed`, `killed`, `timed_out`, `no_answer`.
        reason: one line; empty when measured.
        resident_bytes: growth of resident memory by loading.
        anonymous_bytes: the part that is memory proper.
        file_bytes: the part that is pages of files, which the OS can take back.
        resident_after_decode_bytes: growth after a first decode.
        device_bytes: bytes gone from each accelerator.
        seconds: wall time.
    """

    kind: str
    reason: str
    resident_bytes: int | None
    anonymous_bytes: int | None
    file_bytes: int | None
    resident_after_decode_bytes: int | None
    device_bytes: dict[str, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Verification:
    """The whole check; its fields are the JSON answer of `verify`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    schema_version: str
    model: ModelSummary
    workload: Workload
    placement: PlacementRequest
    reference: str
    verdict: VerificationVerdict
    terms: tuple[CheckedTerm, ...]
    load: LoadReport | None
    notes: tuple[str, ...] = ()


def verdict_of(terms: tuple[CheckedTerm, ...]) -> VerificationVerdict:
    """Return `outside` when a truth lies outside its interval, `equal` when none misses at all.

    Resident memory is never equal to the byte: inside its interval is all that is asked of it.
    """
    checked = [term for term in terms if term.inside is not None]
    if not checked:
        return "not measured"
    if not all(term.inside for term in checked):
        return "outside"
    exact = [term for term in checked if term.term != "resident"]
    return "equal" if exact and not any(term.miss_bytes for term in exact) else "inside"
