"""What an answer is: bytes with their interval, speeds with theirs, a verdict, and the reasons."""

from __future__ import annotations

from whatfits.sizing.machine import Machine  # noqa: TC001 - resolved by pydantic for the schema
from whatfits.sizing.share import PartKind  # noqa: TC001 - same
from whatfits.sizing.typed import TYPE_CHECKING, Any, Literal
from whatfits.sizing.values import dataclass, field
from whatfits.sizing.workload import (  # noqa: TC001 - same
    PlacementRequest,
    Workload,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import ClassVar, Final

    from whatfits.sizing.model import ModelSpec

__all__ = [
    "Basis",
    "DeviceMemory",
    "Memory",
    "MemoryPart",
    "ModelSummary",
    "Plan",
    "RateRange",
    "Remedy",
    "RuntimeAnswer",
    "Speed",
    "Verdict",
]

Verdict = Literal["fits", "tight", "slow", "no", "unknown"]
_PARTS: Final = (
    "weights_bytes",
    "kv_cache_bytes",
    "compute_bytes",
    "output_bytes",
    "overhead_bytes",
)


@dataclass(frozen=True, slots=True)
class Basis:
    """Why a number is what it is.

    Attributes:
        key: the field of the answer it explains.
        formula: the arithmetic, with names.
        inputs: the values that went in, by name.
        source: where the rule or the value comes from.
        error: how wrong it may be, and what makes it so.
        substituted: the formula with this answer's numbers put in; None where too much goes in.
    """

    key: str
    formula: str
    inputs: dict[str, Any]
    source: str
    error: str
    substituted: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Bytes one device needs, and what its pool offers.

    `low_bytes`-`high_bytes` contains the truth in at least 95 of 100 cases.
    """

    device: str
    pool: str
    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    output_bytes: int
    overhead_bytes: int
    low_bytes: int
    high_bytes: int
    limit_bytes: int | None = None
    free_bytes: int | None = None
    total_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        """Keep the total equal to the sum of its parts."""
        object.__setattr__(self, "total_bytes", sum(getattr(self, part) for part in _PARTS))


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """Something loaded beside the model: its share of the sums, listed apart.

    Attributes:
        kind: `draft`, `mtp`, `projector` or `lora`.
        name: what was loaded.
    """

    kind: PartKind
    name: str
    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    output_bytes: int
    total_bytes: int
    low_bytes: int
    high_bytes: int


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory bill of one run, over all devices.

    `mapped_bytes` (file pages, reclaimable) and `growth_limit_bytes` (what caches on the host may
    grow to) stand beside the total, never in it. `parts` are counted in the sums already.
    """

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    output_bytes: int
    overhead_bytes: int
    low_bytes: int
    high_bytes: int
    mapped_bytes: int
    growth_limit_bytes: int
    devices: tuple[DeviceMemory, ...]
    parts: tuple[MemoryPart, ...] = ()
    total_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        """Keep the total equal to the sum of its parts."""
        object.__setattr__(self, "total_bytes", sum(getattr(self, part) for part in _PARTS))

    @staticmethod
    def of(
        devices: Sequence[DeviceMemory],
        *,
        mapped_bytes: int,
        growth_limit_bytes: int,
        parts: Sequence[MemoryPart] = (),
    ) -> Memory:
        """Return the sum over `devices`, so that the rows always add up to the top."""
        sums = {part: sum(getattr(row, part) for row in devices) for part in _PARTS}
        return Memory(
            **sums,
            low_bytes=sum(row.low_bytes for row in devices),
            high_bytes=sum(row.high_bytes for row in devices),
            mapped_bytes=mapped_bytes,
            growth_limit_bytes=growth_limit_bytes,
            devices=tuple(devices),
            parts=tuple(parts),
        )


@dataclass(frozen=True, slots=True)
class RateRange:
    """A rate or a time with its interval."""

    low: float
    mid: float
    high: float


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast, and how that is known.

    Attributes:
        prefill_tokens_per_s: tokens of a prompt read.
        decode_tokens_per_s: tokens written, by one sequence alone.
        time_to_first_token_s: seconds for the whole prompt and one token.
        provenance: `measured here`, `measured on the same device elsewhere` or `estimated`.
        prefill_provenance: the same of reading a prompt, where it is another than of writing.
        reason: what is not known, or was assumed.
        throughput_tokens_per_s: tokens written by all sequences together; None for one.
        speculative_tokens_per_s: tokens written by one sequence with a model that drafts.
        energy_per_million_tokens_kwh: of decoding alone, accelerators at their power limit.
        depth_tokens: how many a sequence has in its context where these are told, the prompt's.
        full_decode_tokens_per_s: tokens written by one sequence whose context is full; None where
            the prompt already fills it.
        full_depth_tokens: how many those are.
        times_slower: by how much a token takes longer than with every layer on the accelerators,
            whether they could hold it or not; None where nothing spilled.
    """

    prefill_tokens_per_s: RateRange | None
    decode_tokens_per_s: RateRange | None
    time_to_first_token_s: RateRange | None
    provenance: str
    reason: str | None = None
    throughput_tokens_per_s: RateRange | None = None
    speculative_tokens_per_s: RateRange | None = None
    energy_per_million_tokens_kwh: RateRange | None = None
    depth_tokens: int | None = None
    full_decode_tokens_per_s: RateRange | None = None
    full_depth_tokens: int | None = None
    times_slower: float | None = None
    prefill_provenance: str | None = None

    @property
    def reads_alone(self) -> bool:
        """Whether it is of a model that writes nothing: only how fast that reads is known."""
        return self.prefill_tokens_per_s is not None and (
            self.decode_tokens_per_s is None and self.time_to_first_token_s is None
        )


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change that would make it fit, or fit better.

    Attributes:
        key: kind of change, as `tensor_split`, `placement`, `file_type`, `context`, `kv_type`,
            `close`, `raise_limit`, `cpu`, `devices`, `machine`.
        text: the change in words, with its effect.
        change: the fields of the request to set, or {} when it is done outside.
        needs_bytes: total with the change; None when it does not change the model's need.
        verdict: verdict with the change.
        cost: what it costs in quality, speed or comfort, in words.
    """

    key: str
    text: str
    change: dict[str, Any]
    needs_bytes: int | None
    verdict: Verdict
    cost: str


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """The model as an answer shows it.

    Attributes:
        name: short name for people.
        source: `catalog`, or where it was read.
        architecture: GGUF architecture.
        parameters: elements of all weights.
        active_parameters: weights used for one token.
        file_type: quantisation.
        file_bytes: what lies on disk, or will; the lowest and highest it can be are beside it.
        context_train_tokens: training context.
        file_low_bytes: the same as `file_bytes` for a file that was read.
        file_high_bytes: likewise.
    """

    name: str
    source: str
    architecture: str
    parameters: int | None
    active_parameters: int | None
    file_type: str | None
    file_bytes: int | None
    context_train_tokens: int | None = None
    file_low_bytes: int | None = None
    file_high_bytes: int | None = None

    @classmethod
    def of(cls, spec: ModelSpec) -> ModelSummary:
        """Return what an answer shows of a model."""
        low, mid, high = spec.file_range or (None, None, None)
        return cls(
            name=spec.name,
            source=spec.source,
            architecture=spec.architecture,
            parameters=spec.parameters,
            active_parameters=spec.active_parameters,
            file_type=spec.file_type,
            file_bytes=mid,
            context_train_tokens=spec.hparams.context_train_tokens,
            file_low_bytes=low,
            file_high_bytes=high,
        )


@dataclass(frozen=True, slots=True)
class RuntimeAnswer:
    """What one runtime makes of a plan.

    Attributes:
        runtime: its id.
        verdict: by its own rules; None when it cannot run the model here.
        reason: the verdict's, or why it cannot.
        total_bytes: middle of its need; None as above.
        high_bytes: upper end of its need; None as above.
        context_tokens: its own context setting; None as above.
        commands: what to type; empty for what does not fit.
        notes: what it decides by itself.
        remedies: what would make it run, where it loads the model in a form of its own that does
            not fit; each changes a request for that runtime.
    """

    runtime: str
    verdict: Verdict | None
    reason: str
    total_bytes: int | None = None
    high_bytes: int | None = None
    context_tokens: int | None = None
    commands: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole answer to one request; its fields are the JSON contract."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    schema_version: str
    model: ModelSummary
    workload: Workload
    placement: PlacementRequest
    runtime: str
    machine: Machine
    verdict: Verdict
    verdict_reason: str
    memory: Memory
    largest_context_tokens: int | None
    speed: Speed | None
    commands: dict[str, tuple[str, ...]]
    remedies: tuple[Remedy, ...]
    notes: tuple[str, ...]
    basis: tuple[Basis, ...]
    load_from_disk_s: float | None = None
