"""Settings that a program does not have: refused in one line, never dropped without a word."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["refuse_library", "refuse_settings"]


def refuse_library(label: str, workload: Workload) -> None:
    """Refuse a request for llama.cpp as a library to a program that starts its server.

    Raises:
        InvalidRequestError: it is one.
    """
    if workload.program != "server":
        raise InvalidRequestError(
            what=f"program with {label}", got=workload.program, allowed="server: it starts one"
        )


def refuse_settings(
    label: str,
    workload: Workload,
    request: PlacementRequest,
    *,
    of_workload: Iterable[str] = (),
    of_placement: Iterable[str] = (),
) -> None:
    """Refuse each named field that was set.

    Raises:
        InvalidRequestError: one is set that the program has no setting for.
    """
    unset = ((workload, Workload(), of_workload), (request, PlacementRequest(), of_placement))
    for given, default, names in unset:
        for name in names:
            value = getattr(given, name)
            if value != getattr(default, name):
                raise InvalidRequestError(
                    what=f"{name} with {label}",
                    got=value,
                    allowed=f"left unset: {label} has no such setting",
                    next_step="leave it out, or ask for --runtime llama.cpp",
                )
