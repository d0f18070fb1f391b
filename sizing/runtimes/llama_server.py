"""llama.cpp itself: `llama-server` started by the command that is printed, placement and all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whatfits.sizing.runtimes import Asked
from whatfits.sizing.runtimes.llama_cpp_command import llama_server_command

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import Run
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["asked", "commands"]


def asked(
    _spec: ModelSpec, _machine: Machine, workload: Workload, request: PlacementRequest
) -> Asked:
    """Return the request as it is: its terms are llama.cpp's own."""
    return Asked(workload, request)


def commands(run: Run) -> tuple[str, ...]:
    """Return the one line that starts the server as the plan was computed."""
    line = llama_server_command(run.spec, run.model_file, run.workload, run.trial, run.machine)
    return (line,)
