"""llama.cpp itself: `llama-server` started by the command that is printed, placement and all."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.runtimes import Asked
from whatfits.sizing.runtimes.cuda_order import BY_BUS, BY_BUS_SETTING, must_count_by_bus
from whatfits.sizing.runtimes.llama_cpp_command import llama_server_command
from whatfits.sizing.runtimes.shells import is_windows
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import Run
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["asked", "commands"]

_SERVER_ROWS: Final = (
    "The printed command starts llama-server, which makes room for the logits of its slots only: "
    "it takes no more than this plan, and may take less."
)
_NAME, _VALUE = BY_BUS_SETTING
_COUNT_BY_BUS: Final = (
    "CUDA counts unlike cards fastest first. So that it counts them as nvidia-smi lists them, type "
    f'before the command: $env:{_NAME} = "{_VALUE}" (PowerShell) or set {BY_BUS} (cmd).'
)
_SEPARATORS: Final = ",="  # common/arg.cpp, parse_tensor_buffer_overrides


def asked(
    _spec: ModelSpec, machine: Machine, workload: Workload, request: PlacementRequest
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
    return Asked(workload, request, notes=tuple(_notes(machine, workload, request)))


def _notes(machine: Machine, workload: Workload, request: PlacementRequest) -> Iterator[str]:
    """Yield what no flag of the server says, and no shell of every system."""
    if workload.program != "server" or workload.outputs_max is not None:
        yield _SERVER_ROWS
    if is_windows(machine.os) and request.devices != () and must_count_by_bus(machine):
        yield _COUNT_BY_BUS


def commands(run: Run) -> tuple[str, ...]:
    """Return the one line that starts the server as the plan was computed."""
    line = llama_server_command(run.spec, run.model_file, run.workload, run.trial, run.machine)
    return (line,)
