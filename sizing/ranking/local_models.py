"""The models on this disk as rows: what each would need on a machine. Values and arithmetic only.

What the rows say is what `check` says of the same file: as it lies there, at the context asked for.
"""

from __future__ import annotations

from whatfits.sizing.companions import with_companions
from whatfits.sizing.estimate import RateRange, Verdict  # noqa: TC001 - read by pydantic
from whatfits.sizing.extras import NO_EXTRAS
from whatfits.sizing.ranking.rows import headroom_bytes
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass
from whatfits.sizing.verdict import VERDICT_ORDER
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import Workload

__all__ = [
    "LocalExtra",
    "LocalModel",
    "LocalName",
    "LocalNeed",
    "LocalStore",
    "need_of",
    "sort_local",
]


@dataclass(frozen=True, slots=True)
class LocalName:
    """What one program calls a model.

    Attributes:
        store: the program.
        name: its name for the model.
    """

    store: str
    name: str


@dataclass(frozen=True, slots=True)
class LocalExtra:
    """A file that the program loads beside a model.

    Attributes:
        kind: `projector`, `adapter` or `draft`.
        path: where it lies.
        file_bytes: its length.
    """

    kind: Literal["projector", "adapter", "draft"]
    path: str
    file_bytes: int


@dataclass(frozen=True, slots=True)
class LocalNeed:
    """What a model needs on a machine.

    Attributes:
        parameters: all weights; None when they cannot be counted.
        active_parameters: weights used for one token.
        file_type: of the file, or the one that a checkpoint is planned to become.
        planned: whether a GGUF has to be made of the files first.
        verdict: verdict at the context asked for.
        context_tokens: context the verdict is for.
        weights_bytes: bytes of weights, of what is loaded beside the model too.
        total_bytes: middle of the need.
        high_bytes: upper end of the need.
        headroom_bytes: what the tightest pool has left at the upper end; negative when short.
        largest_context_tokens: longest context that fits; None when it was not asked for.
        decode_tokens_per_s: speed of writing; None when unknown.
        approximate: weights come from parameters and bits, not from a tensor table.
    """

    parameters: int | None
    active_parameters: int | None
    file_type: str | None
    planned: bool
    verdict: Verdict
    context_tokens: int
    weights_bytes: int
    total_bytes: int
    high_bytes: int
    headroom_bytes: int | None
    largest_context_tokens: int | None
    decode_tokens_per_s: RateRange | None
    approximate: bool


@dataclass(frozen=True, slots=True)
class LocalModel:
    """One model on this disk, on one machine.

    Attributes:
        model: its first name.
        names: every name it has, with the program that gave it.
        paths: its files, or the folder of a checkpoint; give the first to `check`.
        format: `gguf`, `safetensors` or `mlx`; None when it cannot be told.
        file_bytes: bytes on disk of its own files.
        extras: what its program loads beside it; counted in what it needs.
        complete: whether all of it is here.
        verdict: as in `need`; `unknown` without one.
        need: what it needs; None when that cannot be told.
        problem: why it cannot; None when it can.
        findings: what else to know, one sentence each.
    """

    model: str
    names: tuple[LocalName, ...]
    paths: tuple[str, ...]
    format: Literal["gguf", "safetensors", "mlx"] | None
    file_bytes: int
    extras: tuple[LocalExtra, ...]
    complete: bool
    verdict: Verdict
    need: LocalNeed | None
    problem: str | None
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LocalStore:
    """One folder of models.

    Attributes:
        store: the program that keeps it.
        folder: where it lies.
        n_models: how many there are in it.
        free_disk_bytes: free for this user on its file system; None when unknown.
        findings: what could not be read or was refused in it.
    """

    store: str
    folder: str
    n_models: int
    free_disk_bytes: int | None
    findings: tuple[str, ...]


def need_of(spec: ModelSpec, machine: Machine, workload: Workload) -> LocalNeed:
    """Return what a model needs with all that it comes with.

    Raises:
        InvalidRequestError: it cannot run under the workload.
        UnsupportedArchitectureError: nothing sound can be said about it.
    """
    workload, extras = with_companions(workload, NO_EXTRAS, spec.companions)
    trials = Trials(spec, machine, workload, PlacementRequest(), extras)
    trial = trials.best()
    speed = trials.speed(trial)
    return LocalNeed(
        parameters=spec.parameters,
        active_parameters=spec.active_parameters,
        file_type=spec.file_type,
        planned=spec.planned,
        verdict=trial.judgement.verdict,
        context_tokens=trial.settings.requested_context_tokens,
        weights_bytes=trial.memory.weights_bytes,
        total_bytes=trial.memory.total_bytes,
        high_bytes=trial.memory.high_bytes,
        headroom_bytes=headroom_bytes(trial.memory, machine),
        largest_context_tokens=None,
        decode_tokens_per_s=speed.decode_tokens_per_s,
        approximate=spec.weights is not None,
    )


def sort_local(rows: Iterable[LocalModel], key: str) -> list[LocalModel]:
    """Return rows by `size` (parameters), `memory`, `disk` or `name`, verdict first."""

    def place(row: LocalModel) -> tuple[int, int, str]:
        need = row.need
        figure = {
            "size": -(need.parameters or 0) if need else 0,
            "memory": -need.total_bytes if need else 0,
            "disk": -row.file_bytes,
            "name": 0,
        }[key]
        return VERDICT_ORDER[row.verdict], figure, row.model

    return sorted(rows, key=place)
