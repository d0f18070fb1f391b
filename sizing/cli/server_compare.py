"""Each runtime's own figures beside the prediction for the same model and settings."""

from __future__ import annotations

from whatfits.sizing.api import answer
from whatfits.sizing.cli.options import placement_of, workload_of
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import ModelSummary
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes import RUNTIMES
from whatfits.sizing.runtimes.llama_cpp_fit import fit_to_memory
from whatfits.sizing.runtimes.llama_cpp_python_flags import (
    is_llama_cpp_python,
    read_python_flags,
)
from whatfits.sizing.runtimes.llama_server_flags import read_flags
from whatfits.sizing.servers import figures
from whatfits.sizing.servers.settings import completed, filled, is_llama_server, machine_before
from whatfits.sizing.servers.verification import ServerVerification, VerifiedServer, verdict_of
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace
from whatfits.sizing.version import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from whatfits.sizing.cli.server_case import Case
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.servers.verification import ComparedValue
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["compared", "require_rules", "rules_of"]

_NO_MEMORY: Final = "it tells no memory; ask the address of the llama-server that it started"


class _Compared(NamedTuple):
    """A plan, the figures held against it, and what has to be said of both."""

    plan: Plan
    values: tuple[ComparedValue, ...]
    notes: tuple[str, ...] = ()


def rules_of(runtime: str) -> str:
    """Return the id of the runtime whose memory rules a server follows."""
    return _SAME_RULES.get(runtime, runtime)


def require_rules(runtime: str) -> None:
    """Refuse a server whose figures cannot be compared, before its model is read.

    Raises:
        InvalidRequestError: saying why.
    """
    known = {entry.id for entry in RUNTIMES}
    if rules_of(runtime) not in known:
        raise InvalidRequestError(
            what=f"{runtime} cannot be compared: there are no memory rules for it;",
            allowed=", ".join(entry.label for entry in RUNTIMES if entry.id in _COMPARERS),
        )
    if runtime not in _COMPARERS:
        raise InvalidRequestError(what=f"{runtime} cannot be compared", next_step=_NO_MEMORY)


def compared(case: Case) -> ServerVerification:
    """Return the comparison.

    Raises:
        InvalidRequestError: the server tells nothing that can be compared.
    """
    found = _COMPARERS[case.probe.ID](case)
    if not found.values:
        raise InvalidRequestError(
            what=f"{case.probe.LABEL} tells nothing that can be compared",
            got=case.address.url,
            next_step=found.notes[0] if found.notes else "",
        )
    return ServerVerification(
        schema_version=SCHEMA_VERSION,
        server=VerifiedServer(
            case.address.url, case.probe.ID, case.probe.LABEL, case.version, case.loaded.name
        ),
        model=ModelSummary.of(case.spec),
        workload=found.plan.workload,
        placement=found.plan.placement,
        machine=case.machine.name,
        verdict=verdict_of(found.values),
        values=found.values,
        notes=found.notes,
    )


def _planned(case: Case, workload: Workload, request: PlacementRequest, machine: Machine) -> Plan:
    return answer(
        case.spec,
        machine=machine,
        workload=workload,
        request=request,
        runtime=rules_of(case.probe.ID),
    )


def _ollama(case: Case) -> _Compared:
    """Compare the two sizes of `/api/ps` with the buffers of llama.cpp as Ollama starts it."""
    loaded = case.loaded
    typed = workload_of(case.options)
    workload = filled(replace(case.beside, context_tokens=loaded.context_tokens), typed)
    held, taken = loaded.held_bytes or 0, loaded.accelerator_bytes or 0
    machine = machine_before(case.machine, host_bytes=max(0, held - taken), accelerator_bytes=taken)
    plan = _planned(case, workload, placement_of(case.options), machine)
    if loaded.held_bytes is None or loaded.accelerator_bytes is None:
        return _Compared(plan, (), ("this version tells no sizes",))
    notes = case.notes
    if typed.parallel is None:
        notes += ("Ollama does not tell its slots: one is assumed; --parallel says otherwise.",)
    return _Compared(
        plan, figures.ollama_values(plan, held_bytes=held, accelerator_bytes=taken), notes
    )


def _llama_server(case: Case) -> _Compared:
    """Compare tensors, context, slots and the memory of the process.

    Where its command line can be seen, that says how it was started; what was typed comes first.
    """
    loaded, listener = case.loaded, case.listener
    typed = filled(case.beside, workload_of(case.options))
    workload, request, notes = typed, placement_of(case.options), case.notes
    flags = None
    if listener is not None and is_llama_server(listener.command):
        flags = read_flags(listener.command)
        workload = filled(flags.workload, typed)
        request = filled(flags.request, request)
        notes += _left_out(flags.left_out)
    known_context, known_slots = workload.context_tokens, workload.parallel
    workload = completed(workload, loaded.context_tokens, loaded.parallel)
    if known_slots is None and (workload.parallel or 1) > 1 and workload.kv_unified:
        notes += ("Its slots are taken to share one cache, as when it chooses them itself.",)
    resident = listener.resident_bytes if listener is not None else None
    taken = _taken_bytes(case)
    machine = machine_before(case.machine, host_bytes=resident or 0, accelerator_bytes=taken or 0)
    if flags is not None and request.gpu_layers is None and machine.accelerators:
        request = fit_to_memory(case.spec, machine, workload, request).request
    plan = _planned(case, workload, request, machine)
    sequence = resolve_settings(case.spec, workload).sequence_tokens
    values = list(
        figures.settings_values(
            sequence_tokens=sequence if known_context is not None else None,
            told_tokens=loaded.context_tokens,
            slots=known_slots,
            told_slots=loaded.parallel,
        )
    )
    if loaded.tensor_bytes is not None and case.spec.tensors:
        values.append(figures.tensor_value(case.spec, loaded.tensor_bytes))
    if flags is None:
        return _Compared(plan, tuple(values), (*notes, _NO_COMMAND_LINE))
    if resident is not None:
        values.append(figures.resident_value(plan, resident))
    if taken is not None:
        values.append(figures.taken_value(plan, taken))
    return _Compared(plan, tuple(values), notes)


def _llama_cpp_python(case: Case) -> _Compared:
    """Compare the memory of the process with what llama.cpp holds in it: its API tells nothing."""
    listener = case.listener
    typed, asked = workload_of(case.options), placement_of(case.options)
    if listener is None or not is_llama_cpp_python(listener.command):
        plan = _planned(case, typed, asked, case.machine)
        return _Compared(
            plan, (), ("its command line cannot be seen, and its API tells no memory",)
        )
    flags = read_python_flags(listener.command)
    workload, request = filled(flags.workload, typed), filled(flags.request, asked)
    resident, taken = listener.resident_bytes, _taken_bytes(case)
    machine = machine_before(case.machine, host_bytes=resident or 0, accelerator_bytes=taken or 0)
    if not machine.accelerators:
        request = replace(request, gpu_layers=None)
    plan = _planned(case, workload, request, machine)
    values = []
    if resident is not None:
        values.append(figures.python_value(plan, resident))
    if taken is not None:
        values.append(figures.taken_value(plan, taken))
    notes = (*case.notes, *_left_out(flags.left_out), _PYTHON_BESIDE)
    return _Compared(plan, tuple(values), notes)


def _lm_studio(case: Case) -> _Compared:
    """Compare the size on disk: its API tells settings, but no memory."""
    loaded = case.loaded
    typed = workload_of(case.options)
    told = replace(case.beside, context_tokens=loaded.context_tokens, parallel=loaded.parallel)
    plan = _planned(case, filled(told, typed), placement_of(case.options), case.machine)
    memory = plan.memory
    held = f"{format_bytes(memory.low_bytes)} to {format_bytes(memory.high_bytes)}"
    notes = (*case.notes, f"LM Studio tells no memory; with its settings {held} are predicted.")
    if loaded.file_bytes is None or not case.spec.file_bytes or case.spec.source == "catalog":
        return _Compared(plan, (), ("name its file: whatfits verify FILE --server URL",))
    return _Compared(plan, (figures.file_value(case.spec, loaded.file_bytes),), notes)


def _left_out(flags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{flag} of its command line is not counted here." for flag in flags)


def _taken_bytes(case: Case) -> int | None:
    """Return what the driver says the process takes of accelerators; None where it does not."""
    listener = case.listener
    if listener is None or listener.pid is None or case.options.machine is not None:
        return None
    if not case.machine.accelerators:
        return None
    from whatfits.sizing.api import hardware

    held = [holder for holder in hardware().holders if holder.pid == listener.pid]
    sizes = [holder.held_bytes for holder in held if holder.held_bytes is not None]
    return sum(sizes) if sizes else None


def _mlx(case: Case) -> _Compared:
    """Compare the memory of the process with the weights: its API tells nothing."""
    plan = _planned(case, workload_of(case.options), placement_of(case.options), case.machine)
    resident = case.listener.resident_bytes if case.listener is not None else None
    if resident is None:
        return _Compared(plan, (), ("the memory of its process cannot be seen from here",))
    notes = (*case.notes, "mlx-lm tells no context: only that its weights are there is checked.")
    return _Compared(plan, (figures.held_value(plan, resident),), notes)


def _vllm(case: Case) -> _Compared:
    """Compare the blocks of the cache with what vLLM's share of the memory leaves room for."""
    from whatfits.sizing.runtimes.vllm_bill import bill_of
    from whatfits.sizing.runtimes.vllm_settings import resolve_vllm

    loaded, cache = case.loaded, dict(case.loaded.cache)
    kind = "fp8" if cache.get("cache_dtype", "").startswith("fp8") else None
    told = replace(
        case.beside, context_tokens=loaded.context_tokens, kv_type_k=kind, kv_type_v=kind
    )
    workload, request = filled(told, workload_of(case.options)), placement_of(case.options)
    held = sum(pool.total_bytes or 0 for pool in case.machine.pools)
    machine = machine_before(case.machine, host_bytes=0, accelerator_bytes=held)
    plan = _planned(case, workload, request, machine)
    settings = resolve_vllm(case.spec, machine, workload, request)
    bill = bill_of(case.spec, machine, settings, permille=figures.told_permille(cache))
    values = figures.vllm_values(bill, cache)
    if not values:
        return _Compared(plan, (), ("its /metrics tell no size of the cache, or one that was set",))
    return _Compared(plan, values, (*case.notes, *_vllm_notes(workload, len(settings.devices))))


def _vllm_notes(workload: Workload, n_devices: int) -> Iterator[str]:
    if workload.batch is None or workload.parallel is None:
        yield (
            "vLLM does not tell its batch and its sequences: the defaults for this device are "
            "assumed; --batch and --parallel say otherwise."
        )
    if n_devices > 1:
        yield f"It is taken to run on {n_devices} devices; --device says otherwise."


_NO_COMMAND_LINE: Final = (
    "Its command line cannot be seen, so where its layers lie is not known: memory is not compared."
)
_PYTHON_BESIDE: Final = (
    "What Python and its packages take in the same process is not known: only that what has to be "
    "held is there is checked."
)
_SAME_RULES: Final = {"llama-cpp-python": "llama.cpp"}
_COMPARERS: Final[dict[str, Callable[[Case], _Compared]]] = {
    "ollama": _ollama,
    "llama.cpp": _llama_server,
    "llama-cpp-python": _llama_cpp_python,
    "lm-studio": _lm_studio,
    "vllm": _vllm,
    "mlx": _mlx,
}
