"""From a question about many users to the library's answer; simulations are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.api import answer, serve
from whatfits.sizing.serving.grid import GridCell, serving_grid
from whatfits.webapp.asked import machine_of, model_of
from whatfits.webapp.known_results import KnownResults

if TYPE_CHECKING:
    from collections.abc import Hashable

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.serving.serve_plan import ServePlan
    from whatfits.webapp.serving_state import ServingQuestion

__all__ = ["GRID_CONTEXTS", "GRID_USERS", "known_grid", "served", "worked_grid"]

# each cell is a server of its own, simulated three times: few of them, and only when asked for
GRID_USERS: Final = (1, 4, 16, 64)
GRID_CONTEXTS: Final = (4096, 8192, 32_768, 131_072)
_MOST_SERVED: Final = 64
_MOST_GRIDS: Final = 32
_served: Final = KnownResults(_MOST_SERVED)
_grids: Final = KnownResults(_MOST_GRIDS)


def served(question: ServingQuestion, dropped: ModelSpec | None = None) -> ServePlan:
    """Return the answer to a question; `dropped` is a model that was read from a visitor's file.

    Raises:
        BadInputError: what was asked cannot be answered; the message says why.
    """

    def work() -> ServePlan:
        base = question.base
        return serve(
            model_of(base, dropped),
            users=question.users,
            runtime=base.runtime,
            machine=machine_of(base),
            workload=base.workload,
            placement=base.placement,
            load=question.load,
            limits=question.limits,
        )

    key = _key(question)
    if dropped is not None:
        return work()
    found: ServePlan = _served.of(key, work)
    return found


def known_grid(question: ServingQuestion) -> tuple[GridCell, ...] | None:
    """Return users against contexts where they were worked out before; None where not."""
    found: tuple[GridCell, ...] | None = _grids.known(_key(question))
    return found


def worked_grid(
    question: ServingQuestion, dropped: ModelSpec | None = None
) -> tuple[GridCell, ...]:
    """Return users against contexts; it takes seconds.

    Raises:
        BadInputError: what was asked cannot be answered; the message says why.
    """

    def work() -> tuple[GridCell, ...]:
        base = question.base
        return serving_grid(
            answer,
            model_of(base, dropped),
            runtime=base.runtime,
            machine=machine_of(base),
            workload=base.workload,
            request=base.placement,
            users=GRID_USERS,
            contexts=GRID_CONTEXTS,
            load=question.load,
            limits=question.limits,
        )

    if dropped is not None:
        return work()
    found: tuple[GridCell, ...] = _grids.of(_key(question), work)
    return found


def _key(question: ServingQuestion) -> Hashable:
    return question, machine_of(question.base)
