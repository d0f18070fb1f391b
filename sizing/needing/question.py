"""What is tried when it is asked which machines run a model: whose rules, under which request."""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.needing.trials import LlamaMachines, OwnMachines
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, RUNTIMES, find_runtime
from whatfits.sizing.settings import MAX_CONTEXT_TOKENS, MAX_SEQUENCES, default_context_tokens
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.needing.trials import MachineTrials
    from whatfits.sizing.runtimes import RuntimeEntry
    from whatfits.sizing.workload import Workload

__all__ = ["for_users", "need_runtime", "trials_under"]


def need_runtime(name: str) -> RuntimeEntry:
    """Return the runtime whose rules count; what starts llama.cpp itself has llama.cpp's.

    Raises:
        InvalidRequestError: there is none of that name, or it is such a program.
    """
    entry = find_runtime(name)
    if entry.starts_llama_cpp and entry.id != DEFAULT_RUNTIME:
        own = [known.id for known in RUNTIMES if not known.starts_llama_cpp]
        raise InvalidRequestError(
            what="runtime for need",
            got=name,
            allowed=", ".join((DEFAULT_RUNTIME, *own)),
            next_step=f"{entry.label} starts llama.cpp: what runs that runs it",
        )
    return entry


def for_users(workload: Workload, spec: ModelSpec, users: int | None, *, is_own: bool) -> Workload:
    """Return the workload with a sequence a user, each with the context that was asked for.

    `is_own`: the runtime counts the context of one sequence, not that of all together.

    Raises:
        InvalidRequestError: there are none, or the number of sequences was given too.
    """
    if users is not None and users < 1:
        raise InvalidRequestError(what="number of users", got=users, allowed="1 or more")
    context = workload.context_tokens
    if context is None:
        context = default_context_tokens(spec)
    if users is None:
        return replace(workload, context_tokens=context)
    if workload.parallel is not None:
        raise InvalidRequestError(
            what="users with parallel", got=workload.parallel, allowed="one of them"
        )
    times = 1 if is_own else users
    most = MAX_CONTEXT_TOKENS // context
    if users > (most if is_own else min(most, MAX_SEQUENCES)):
        allowed = f"at most {most:,} with {context:,} tokens each"
        if not is_own and most > MAX_SEQUENCES:
            allowed = f"at most {MAX_SEQUENCES}, the sequences of one llama.cpp server"
        raise InvalidRequestError(what="number of users", got=users, allowed=allowed)
    return replace(workload, context_tokens=context * times, parallel=users)


def trials_under(entry: RuntimeEntry, spec: ModelSpec, workload: Workload) -> MachineTrials:
    """Return how machines are tried by a runtime's rules; `spec` is as it loads the model."""
    if entry.starts_llama_cpp:
        return LlamaMachines(spec, workload)
    return OwnMachines(entry.own(), spec, workload)
