"""The JSON answers of the commands, as classes: what is printed and what the schema says."""

from __future__ import annotations

from whatfits.sizing.catalog.quality import QualityRow
from whatfits.sizing.cli.list_answers import HomeAnswer, ListAnswer
from whatfits.sizing.costing.answer import CostAnswer
from whatfits.sizing.estimate import ModelSummary, Plan, Verdict
from whatfits.sizing.fleets.answer import FleetAnswer
from whatfits.sizing.machine import Machine
from whatfits.sizing.needing.renting import Rented
from whatfits.sizing.needing.rows import RunsOn
from whatfits.sizing.quants.labels import LabelParts
from whatfits.sizing.ranking.local_models import LocalModel, LocalStore
from whatfits.sizing.runtimes import DEFAULT_RUNTIME
from whatfits.sizing.serving.serve_plan import ServePlan
from whatfits.sizing.typed import TYPE_CHECKING, Any
from whatfits.sizing.values import dataclass
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from typing import ClassVar

__all__ = [
    "BatchAnswer",
    "BatchCostAnswer",
    "BatchErrorAnswer",
    "BatchFleetAnswer",
    "BatchServeAnswer",
    "ErrorAnswer",
    "ErrorBody",
    "ExplainAnswer",
    "HomeAnswer",
    "ListAnswer",
    "LocalListAnswer",
    "NeedAnswer",
    "QuantRow",
    "QuantsAnswer",
]


@dataclass(frozen=True, slots=True)
class LocalListAnswer:
    """`whatfits list --local`: models on this disk, the rule they came by, and where they lie."""

    schema_version: str
    machine: Machine
    rule: str
    models: tuple[LocalModel, ...]
    stores: tuple[LocalStore, ...]


@dataclass(frozen=True, slots=True)
class QuantRow:
    """One file type.

    Attributes:
        file_type: its name.
        nominal_bits_per_weight: bits of its main block type.
        model_bits_per_weight: bits per weight of the whole model; None without a model.
        weights_bytes: bytes of the model's weights; None without a model, or where a repository
            was only listed.
        perplexity_change: measured on Llama 3 8B, without an importance matrix where there is such
            a measurement; None when there is none at all.
        kld_mean: divergence in nats a token, as above.
        file: of a repository that offers the type; its first one when there are several.
        n_files: how many files it is.
        file_bytes: bytes to download; None without a repository, or when it does not say.
        verdict: of `check` with the machine that was named; None without one, and where the type
            is not made of the model.
        importance_matrix: text and size of the one that the measured file was made with; None
            without one.
    """

    file_type: str
    nominal_bits_per_weight: float
    model_bits_per_weight: float | None
    weights_bytes: int | None
    perplexity_change: float | None
    kld_mean: float | None
    file: str | None = None
    n_files: int | None = None
    file_bytes: int | None = None
    verdict: Verdict | None = None
    importance_matrix: str | None = None


@dataclass(frozen=True, slots=True)
class QuantsAnswer:
    """`whatfits quants`: file types, largest first; of a repository, those that it offers.

    Attributes:
        schema_version: of these answers.
        model: its name; None without one.
        note: how the figures are meant.
        file_types: one row each.
        source: where the model comes from; None without one.
        notes: what else is to be said of the model's source.
        machine: the verdicts are for; None where none was named.
    """

    schema_version: str
    model: str | None
    note: str
    file_types: tuple[QuantRow, ...]
    source: str | None = None
    notes: tuple[str, ...] = ()
    machine: Machine | None = None


@dataclass(frozen=True, slots=True)
class NeedAnswer:
    """`whatfits need`: which machines run a model, the cheapest at launch first.

    Attributes:
        rule: how they were chosen.
        machine: the machine that cards could be added to.
        runs_here: whether it runs there entirely in the fastest memory, and fast enough.
        cards: PCs with cards of one kind.
        shared: machines whose CPU and GPU share one memory.
        ram: the least plain RAM; null where not even the most holds it.
        additions: cards, or RAM, to add to the machine; none where it runs already.
        rented: GPUs by the hour, the cheapest first.
        warnings: what to know before relying on it: prices that are old.
        runtime: whose memory rules counted.
    """

    schema_version: str
    model: ModelSummary
    workload: Workload
    rule: str
    machine: Machine
    runs_here: bool
    cards: tuple[RunsOn, ...]
    shared: tuple[RunsOn, ...]
    ram: RunsOn | None
    additions: tuple[RunsOn, ...]
    rented: tuple[Rented, ...] = ()
    warnings: tuple[str, ...] = ()
    runtime: str = DEFAULT_RUNTIME


@dataclass(frozen=True, slots=True)
class ExplainAnswer:
    """`whatfits explain`: a term, a label or a model; the fields of the other kinds are null."""

    schema_version: str
    asked: str
    kind: str
    term: str | None = None
    meaning: str | None = None
    here: tuple[str, ...] = ()
    label: LabelParts | None = None
    quality: tuple[QualityRow, ...] = ()
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What was wrong, and what to do about it."""

    code: str
    message: str
    what: str | None = None
    got: str | None = None
    allowed: str | None = None
    next_step: str | None = None
    format: str | None = None
    field: str | None = None
    offset_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """Any command with `--json`, when it fails."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    schema_version: str
    error: ErrorBody


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchErrorAnswer(ErrorAnswer):
    """`whatfits batch`, when a request fails: the error with the request's id."""

    id: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer(Plan):
    """`whatfits batch`: a plan with the request's id."""

    id: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCostAnswer(CostAnswer):
    """`whatfits batch`, asked what a model costs: the answer with the request's id."""

    id: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFleetAnswer(FleetAnswer):
    """`whatfits batch`, asked with `"question": "fleet"`: its answer with the request's id."""

    id: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchServeAnswer(ServePlan):
    """`whatfits batch`, asked with `"question": "serve"`: its answer with the request's id."""

    id: Any = None
