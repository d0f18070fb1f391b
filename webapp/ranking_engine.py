"""From a question to the catalog's models that run on its machine, and how far each goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.api import find_models, load_model
from whatfits.sizing.ranking.rows import trained_for_less
from whatfits.sizing.units import format_tokens
from whatfits.sizing.verdict import MAY_RUN
from whatfits.webapp.asked import machine_of
from whatfits.webapp.choices import is_open
from whatfits.webapp.known_results import KNOWN_CONTEXTS, KNOWN_RANKINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.sizing.ranking.rows import RankedModel
    from whatfits.sizing.workload import Workload
    from whatfits.webapp.state import Question

__all__ = ["count_sentence", "ranked", "with_contexts"]


def ranked(question: Question, *, kind: str | None, open_only: bool) -> tuple[RankedModel, ...]:
    """Return every catalog model that runs on a question's machine with its context.

    Raises:
        BadInputError: the machine is not known, or no model can run under the workload.
    """
    machine = machine_of(question)

    def work() -> tuple[RankedModel, ...]:
        rows = find_models(
            machine, workload=question.workload, file_type=question.file_type, kind=kind
        )
        return tuple(row for row in rows if row.verdict in MAY_RUN)

    found: tuple[RankedModel, ...] = KNOWN_RANKINGS.of(
        (machine, question.workload, question.file_type, kind), work
    )
    return tuple(row for row in found if is_open(row.model)) if open_only else found


def count_sentence(rows: Sequence[RankedModel], workload: Workload) -> str:
    """Return how many of the models that run fit; those trained for less context are apart."""
    tokens = format_tokens(workload.context_tokens or 0)
    fitting = [row for row in rows if row.verdict == "fits"]
    less = sum(trained_for_less(row, workload) for row in fitting)
    parts = [f"**{len(fitting) - less} models fit with {tokens} tokens of context**"]
    if less:
        parts.append(f"{less} more would, but were trained for fewer")
    parts.append(f"{len(rows) - len(fitting)} more run slowly or tightly.")
    return "; ".join(parts)


def with_contexts(question: Question, rows: Sequence[RankedModel]) -> tuple[RankedModel, ...]:
    """Return rows of a ranking with the longest context that each runs with.

    Raises:
        BadInputError: the machine is not known.
    """
    from whatfits.sizing.ranking.context_left import with_longest_context  # noqa: PLC0415 - on use

    machine = machine_of(question)

    def work() -> tuple[RankedModel, ...]:
        return tuple(
            with_longest_context(
                row, load_model(row.model, file_type=row.file_type), machine, question.workload
            )
            for row in rows
        )

    found: tuple[RankedModel, ...] = KNOWN_CONTEXTS.of((machine, question.workload, *rows), work)
    return found
