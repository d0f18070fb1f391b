"""Works out the rows of a ranking: the file type by its rule, the bill, the verdict, the speed.

What is stored of a model (`whatfits.sizing.catalog.shares`) saves its tensor table wherever
everything lies on one accelerator, or on the CPU; the engine is asked for all else. Both ways give
the same rows.
"""

from __future__ import annotations

from whatfits.sizing.errors import (
    InvalidRequestError,
    MalformedFileError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.ranking.engine_trials import EngineTrials
from whatfits.sizing.ranking.rows import RankedModel, ranked_model
from whatfits.sizing.ranking.stored_trials import SPILLS, StoredTrials
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.verdict import MAY_RUN
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from whatfits.sizing.catalog.lookup import ModelEntry
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.ranking.engine_trials import Loader
    from whatfits.sizing.ranking.stored_trials import Outline, StoredOf
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.search.trials import Trials

__all__ = ["Ranker", "rank", "rows_of"]


class Ranker:
    """Makes rows; keeps what is the same for every model of one ranking."""

    def __init__(
        self,
        machine: Machine,
        load: Loader,
        *,
        workload: Workload | None = None,
        file_type: str | None = None,
        stored: StoredOf | None = None,
        larger_too: bool = False,
    ) -> None:
        """`load` turns an entry and a file type into a model; `stored` is what is known of it.

        `larger_too`: models that are larger than all memory have rows as well.
        """
        self._machine = machine
        self._larger_too = larger_too
        workload = workload or Workload()
        self._engine = EngineTrials(machine, load, workload, file_type)
        self._stored = StoredTrials(machine, workload, file_type, stored)
        self._without_speed: set[str] = set()

    def row_if_any(self, entry: ModelEntry) -> RankedModel | None:
        """Return the row of one model; None when nothing honest can be said of it here.

        Raises:
            InvalidRequestError: it cannot run under the workload.
        """
        row = self.outline_if_any(entry)
        return None if row is None else self.with_speed(row, entry)

    def outline_if_any(self, entry: ModelEntry) -> RankedModel | None:
        """As `row_if_any`, but the speed may be left out: see `with_speed`."""
        if self.is_left_out(entry):
            return None
        return self._row_of(entry, entirely=False)

    def is_known_to_spill(self, entry: ModelEntry) -> bool:
        """Return whether a model surely has a row here, and that row surely is not `fits`.

        How it spills is what takes time; where enough models fit, nobody need ask.
        """
        spills = self._stored.chosen(entry, entirely=False) is SPILLS
        return spills and not self.is_left_out(entry)

    def is_left_out(self, entry: ModelEntry) -> bool:
        """Return whether a model has no row because it is larger than all memory."""
        return not self._larger_too and self._engine.is_larger_than_all(entry)

    def with_speed(self, row: RankedModel, entry: ModelEntry) -> RankedModel:
        """Return a row with its speed."""
        if row.model not in self._without_speed or row.verdict not in MAY_RUN:
            return row
        rate = self._stored.decode_rate(entry.id, row.file_type)
        if isinstance(rate, str):
            _, trials = self._engine.tried(entry, row.file_type, Replays())
            rate = trials.first_speed().decode_tokens_per_s
        return replace(row, decode_tokens_per_s=rate)

    def row_if_entirely(self, entry: ModelEntry) -> RankedModel | None:
        """Return the row of one model if it lies entirely in the fastest memory, else None.

        Raises:
            InvalidRequestError: it cannot run under the workload.
        """
        if self._engine.must_spill(entry):
            return None
        row = self._row_of(entry, entirely=True)
        return self.with_speed(row, entry) if row is not None and row.verdict == "fits" else None

    def _row_of(self, entry: ModelEntry, *, entirely: bool) -> RankedModel | None:
        outline = self._stored.chosen(entry, entirely=entirely)
        if not isinstance(outline, str):
            return None if outline is None else self._outline(entry, outline)
        try:
            chosen = self._engine.chosen(entry, entirely=entirely)
        except (UnsupportedArchitectureError, MalformedFileError):
            return None  # its shape has holes: nothing honest can be said
        return None if chosen is None else self._row(entry, *chosen)

    def _outline(self, entry: ModelEntry, outline: Outline) -> RankedModel:
        """Return a row without its speed."""
        self._without_speed.add(entry.id)
        return ranked_model(
            entry,
            self._machine,
            outline.memory,
            parameters=(outline.model.parameters, outline.model.active_parameters),
            file_type=outline.file_type,
            verdict=outline.verdict,
            context_tokens=outline.context_tokens,
            context_train_tokens=outline.model.context_train_tokens,
        )

    def _row(self, entry: ModelEntry, spec: ModelSpec, trials: Trials, trial: Trial) -> RankedModel:
        row = ranked_model(
            entry,
            self._machine,
            trial.memory,
            parameters=(spec.parameters, spec.active_parameters),
            file_type=spec.file_type or "",
            verdict=trial.judgement.verdict,
            context_tokens=trial.settings.requested_context_tokens,
            context_train_tokens=spec.hparams.context_train_tokens,
            approximate=spec.weights is not None,
        )
        if row.verdict not in MAY_RUN:
            return row
        return replace(row, decode_tokens_per_s=trials.speed(trial).decode_tokens_per_s)


def rank(
    entries: Iterable[ModelEntry],
    machine: Machine,
    *,
    load: Loader,
    workload: Workload | None = None,
    file_type: str | None = None,
    stored: StoredOf | None = None,
) -> list[RankedModel]:
    """Return a row for each model whose shape is known, in the order of `entries`.

    Models that are larger than all memory even at the leanest file type are left out: they cannot
    fit; so are those that cannot run under the workload. `load` turns an entry and a file type into
    a model; `stored` returns what is stored of one.

    Raises:
        InvalidRequestError: no model can run under the workload.
    """
    ranker = Ranker(machine, load, workload=workload, file_type=file_type, stored=stored)
    return rows_of(entries, ranker.row_if_any)


def rows_of(
    entries: Iterable[ModelEntry],
    row_of: Callable[[ModelEntry], RankedModel | None],
    *,
    refused: dict[str, InvalidRequestError] | None = None,
) -> list[RankedModel]:
    """Return the rows of models, those left out that cannot run under the workload.

    `refused` gets why, by the model's name.

    Raises:
        InvalidRequestError: no model can run under the workload.
    """
    rows = []
    why: dict[str, InvalidRequestError] = {}
    for entry in entries:
        try:
            row = row_of(entry)
        except InvalidRequestError as error:
            why[entry.id] = error  # of this model, or of all
            continue
        if row is not None:
            rows.append(row)
    if why and not rows:
        raise next(reversed(why.values()))
    if refused is not None:
        refused |= why
    return rows
