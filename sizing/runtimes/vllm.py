"""vLLM: weights over ranks or stages, and one pool of paged cache that fills what is left.

Rules live in the files beside this one: `vllm_weights`, `vllm_kv_plan`, `vllm_overheads` work out
the parts, `vllm_bill` adds them up, `vllm_verdict` judges.
Source: vllm-project/vllm 0.33.0, see those files.
"""

from __future__ import annotations

from whatfits.sizing.basis.speed import speed_basis
from whatfits.sizing.crowded import slice_notes
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import ModelSummary, Plan
from whatfits.sizing.runtimes.vllm_basis import cache_lines, vllm_basis
from whatfits.sizing.runtimes.vllm_bill import DEFAULT_UTILISATION_PERMILLE
from whatfits.sizing.runtimes.vllm_command import vllm_command
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.runtimes.vllm_verdict import judged
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.verdict import MAY_RUN
from whatfits.sizing.version import SCHEMA_VERSION
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.estimate import Remedy, Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import CheckpointFacts, ModelSpec
    from whatfits.sizing.runtimes import OtherModels
    from whatfits.sizing.runtimes.vllm_settings import VllmSettings
    from whatfits.sizing.runtimes.vllm_verdict import Judged
    from whatfits.sizing.workload import Workload

__all__ = ["plan", "tried"]

_ID: Final = "vllm"


def plan(
    spec: ModelSpec,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    *,
    others: OtherModels,  # noqa: ARG001 - its remedies stay with the checkpoint that was read
    force: bool,
    brief: bool = False,
) -> Plan:
    """Return the whole answer; no commands for what does not fit, unless forced.

    A `brief` one has no speed, no basis and no remedies.

    Raises:
        InvalidRequestError: vLLM has no such setting, it is out of range, or the model was not
            loaded as a checkpoint.
        UnsupportedArchitectureError: what vLLM keeps for this architecture is not known.
    """
    facts = _checkpoint(spec)
    usual = resolve_vllm(spec, machine, workload, request)
    found = judged(spec, machine, usual)
    settings = found.settings
    commands: dict[str, tuple[str, ...]] = {}
    if found.verdict in MAY_RUN or force:
        commands[_ID] = (vllm_command(facts, settings, found.bill, machine),)
    speed = None if brief else _speed(spec, machine, settings, workload)
    return Plan(
        schema_version=SCHEMA_VERSION,
        model=ModelSummary.of(spec),
        workload=settings.filled(workload),
        placement=_placed(request, settings),
        runtime=_ID,
        machine=machine,
        verdict=found.verdict,
        verdict_reason=found.reason,
        memory=found.memory,
        largest_context_tokens=found.largest_context_tokens,
        speed=speed,
        commands=commands,
        remedies=()
        if brief
        else _remedies(spec, machine, workload, request, settings=settings, found=found),
        notes=(
            *spec.notes,
            *_start_notes(usual, found),
            *_checkpoint_notes(facts, settings),
            *_other_notes(machine),
        ),
        basis=()
        if brief
        else (
            *vllm_basis(spec, settings, found.bill),
            *speed_basis(speed, settings.devices, machine, "vllm"),
        ),
    )


def _remedies(
    spec: ModelSpec,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    *,
    settings: VllmSettings,
    found: Judged,
) -> tuple[Remedy, ...]:
    from whatfits.sizing.runtimes.vllm_remedies import VllmRemedies  # noqa: PLC0415 - same

    return VllmRemedies(spec, machine, workload, request, settings, found).remedies()


def _speed(
    spec: ModelSpec, machine: Machine, settings: VllmSettings, workload: Workload
) -> Speed | None:
    from whatfits.sizing.runtimes.vllm_speed import vllm_speed  # noqa: PLC0415 - not for a brief one

    return vllm_speed(
        spec,
        machine,
        settings,
        prompt_tokens=workload.prompt_tokens,
        parallel=workload.parallel,
    )


def _checkpoint(spec: ModelSpec) -> CheckpointFacts:
    """Return what the checkpoint of a model is.

    Raises:
        InvalidRequestError: the model was not loaded as one.
    """
    if spec.checkpoint is None:
        raise InvalidRequestError(
            what="model for vllm",
            got=f"{spec.name} {spec.file_type or ''}".strip(),
            allowed="one loaded as a checkpoint",
            next_step="load it with load_model(name, runtime='vllm')",
        )
    return spec.checkpoint


def tried(spec: ModelSpec, machine: Machine, workload: Workload) -> tuple[int, Speed | None] | None:
    """Return what it takes at most, and the speed of one request; None where it does not fit.

    Sequences that were asked for have to fit into the cache all at once, each at its longest.

    Raises:
        InvalidRequestError: vLLM does not run there, or has no such setting.
        UnsupportedArchitectureError: what vLLM keeps for this architecture is not known.
    """
    found = judged(spec, machine, resolve_vllm(spec, machine, workload, PlacementRequest()))
    if found.verdict != "fits" or not found.bill.holds(workload.parallel or 1):
        return None
    from whatfits.sizing.runtimes.vllm_speed import vllm_speed  # noqa: PLC0415 - where it fits

    speed = vllm_speed(spec, machine, found.settings, prompt_tokens=workload.prompt_tokens)
    return found.memory.high_bytes, speed


def _placed(request: PlacementRequest, settings: VllmSettings) -> PlacementRequest:
    """Return the placement as it was decided: `row` for ranks, `layer` for stages."""
    mode = request.split_mode
    if settings.cut.ranks > 1:
        mode = "row"
    elif settings.cut.stages > 1:
        mode = "layer"
    devices = () if settings.on_host else tuple(device.id for device in settings.devices)
    return replace(request, devices=devices, split_mode=mode)


def _start_notes(usual: VllmSettings, found: Judged) -> Iterator[str]:
    """Yield what vLLM will print, and how it was decided to start it."""
    settings = found.settings
    if found.bill.n_blocks[1] and found.verdict in MAY_RUN:
        yield from cache_lines(found.bill)
    if settings.sequences < usual.sequences:
        yield (
            f"vLLM is told to serve {settings.sequences:,} requests at once instead of its usual "
            f"{usual.sequences:,}: each keeps its states in a block of the cache, and with fewer "
            "blocks it does not start."
        )
    if found.verdict == "tight":
        yield (
            "If it does not start, give it --max-model-len auto: it then takes the longest request "
            "that fits."
        )
    if settings.cut.reason is not None:
        yield f"{settings.cut.reason[:1].upper()}{settings.cut.reason[1:]}."
    if found.bill.utilisation_permille < DEFAULT_UTILISATION_PERMILLE:
        told, most = found.bill.utilisation_permille / 10, DEFAULT_UTILISATION_PERMILLE / 10
        yield (
            f"vLLM is told to use {told:g} % of the memory instead of its usual {most:g} %: more "
            "is not free."
        )
    yield from slice_notes(settings.devices[:1])


def _checkpoint_notes(facts: CheckpointFacts, settings: VllmSettings) -> Iterator[str]:
    """Yield what has to be known of the checkpoint."""
    if facts.must_be_found:
        yield (
            f"{facts.reference} stands for a checkpoint in {facts.label or '16 bits'}: put its "
            "repository or folder there."
        )
    if facts.quantised_on_load:
        yield (
            "vLLM makes the FP8 weights of the 16-bit checkpoint when it loads: it reads all of "
            "that, and holds a layer in 16 bits for a moment."
        )
    if facts.has_other_parts:
        yield "Vision and audio parts are left out (--language-model-only)."
    if settings.drafted_tokens:
        yield (
            "Speed is told without drafts: how many of the drafted tokens are accepted depends on "
            "the text."
        )
    if settings.has_states:
        yield (
            "Prefix caching is off (--no-enable-prefix-caching): with it every request would hold "
            "more states."
        )


def _other_notes(machine: Machine) -> Iterator[str]:
    """Yield what is left out."""
    if machine.os == "windows":
        yield "vLLM runs on Linux only: under Windows, start it in WSL."
    yield "What vLLM's own processes take of the host's memory is not counted: no log was read."
