"""llama.cpp itself: `llama-server` started by the command that is printed, placement and all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes import Asked
from whatfits.sizing.runtimes.llama_cpp_command import llama_server_command

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import Run
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["asked", "commands"]

_SERVER_ROWS: Final = (
    "The printed command starts llama-server, which makes room for the logits of its slots only: "
    "it takes no more than this plan, and may take less."
)
_SEPARATORS: Final = ",="  # common/arg.cpp, parse_tensor_buffer_overrides


def asked(
    _spec: ModelSpec, _machine: Machine, workload: Workload, request: PlacementRequest
) -> Asked:
    """Return the request as it is: its terms are llama.cpp's own.

    Raises:
        InvalidRequestError: the server would read an override's expression otherwise.
    """
    for pattern, _ in request.overrides:
        if any(mark in pattern for mark in _SEPARATORS):
            raise InvalidRequestError(
                what="override pattern",
                got=pattern,
                allowed="a regular expression without ',' and '='",
                next_step="llama-server takes them for the end of the expression",
            )
    return Asked(workload, request, notes=_notes(workload))


def _notes(workload: Workload) -> tuple[str, ...]:
    """Return what no flag of the server says."""
    if workload.program == "server" and workload.outputs_max is None:
        return ()
    return (_SERVER_ROWS,)


def commands(run: Run) -> tuple[str, ...]:
    """Return the one line that starts the server as the plan was computed."""
    line = llama_server_command(run.spec, run.model_file, run.workload, run.trial, run.machine)
    return (line,)
