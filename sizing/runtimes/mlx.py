"""MLX (mlx-lm): the whole answer of one request.

Everything lies in one memory, so there is one placement; what is searched for is the longest
context. The rules are in the files beside this one: `mlx_weights`, `mlx_cache`, `mlx_peak`.
"""

from __future__ import annotations

from whatfits.sizing.estimate import ModelSummary, Plan
from whatfits.sizing.runtimes.mlx_command import mlx_commands
from whatfits.sizing.runtimes.mlx_machine import check_mixture, limit_notes, mlx_placement
from whatfits.sizing.runtimes.mlx_memory import MlxBill
from whatfits.sizing.runtimes.mlx_models import mlx_model
from whatfits.sizing.runtimes.mlx_settings import MOST_STEPS, refuse_placement, resolve_mlx_settings
from whatfits.sizing.runtimes.mlx_trial import MlxTrial
from whatfits.sizing.runtimes.mlx_types import find_mlx_type
from whatfits.sizing.runtimes.mlx_weights import MARK, as_mlx
from whatfits.sizing.search.closing_in import last_with_room
from whatfits.sizing.trained import longest_of_use
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.verdict import MAY_RUN, judge, pool_needs
from whatfits.sizing.version import SCHEMA_VERSION
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.estimate import Basis, Remedy, Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import OtherModels
    from whatfits.sizing.runtimes.mlx_models import MlxModel
    from whatfits.sizing.runtimes.mlx_types import MlxType
    from whatfits.sizing.workload import Workload

__all__ = ["plan", "tried", "try_mlx"]

_RUNTIME: Final = "mlx"
_CONTEXT_STEP_TOKENS: Final = 256


def plan(
    spec: ModelSpec,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    *,
    others: OtherModels,
    force: bool,
    brief: bool = False,
) -> Plan:
    """Return the whole answer; no commands for what does not fit, unless forced.

    A `brief` one has no longest context, no speed, no basis and no remedies.

    Raises:
        InvalidRequestError: mlx-lm has no such setting, or it is out of range.
        UnknownFileTypeError: the model was loaded as a GGUF of a type that MLX does not have.
        UnsupportedArchitectureError: mlx-lm does not run it.
    """
    refuse_placement(request)
    if MARK not in spec.metadata:
        spec = as_mlx(spec, find_mlx_type(spec.file_type or ""))
    rules = mlx_model(spec.architecture, name=spec.name)
    trial = try_mlx(spec, machine, workload, request)
    settings, verdict = trial.settings, trial.judgement.verdict
    commands = {}
    if verdict in MAY_RUN or force:
        commands[_RUNTIME] = _commands(spec, trial, machine)
    speed = None if brief else _speed(spec, workload, trial, machine)
    return Plan(
        schema_version=SCHEMA_VERSION,
        model=ModelSummary.of(spec),
        workload=settings.filled(workload),
        placement=_placed(trial),
        runtime=_RUNTIME,
        machine=machine,
        verdict=verdict,
        verdict_reason=trial.judgement.reason,
        memory=trial.memory,
        largest_context_tokens=None if brief else _largest_context(trial, rules, machine, workload),
        speed=speed,
        commands=commands,
        remedies=() if brief else _remedies(trial, machine, workload, request, others),
        notes=(*spec.notes, *_notes(trial, rules, machine), *trial.judgement.notes),
        basis=() if brief else _basis(trial, machine, speed),
    )


def _basis(trial: MlxTrial, machine: Machine, speed: Speed | None) -> tuple[Basis, ...]:
    from whatfits.sizing.runtimes.mlx_basis import mlx_basis  # noqa: PLC0415 - not for a brief one

    return mlx_basis(
        trial.model,
        trial.bill,
        trial.settings,
        placement=trial.placement,
        machine=machine,
        speed=speed,
    )


def _commands(spec: ModelSpec, trial: MlxTrial, machine: Machine) -> tuple[str, ...]:
    return mlx_commands(
        spec,
        _conversion(spec),
        trial.settings,
        cache_bytes=trial.bill.cache(trial.settings).high,
        growth_limit_bytes=trial.memory.growth_limit_bytes,
        left_bytes=_left_bytes(trial, machine),
    )


def _speed(spec: ModelSpec, workload: Workload, trial: MlxTrial, machine: Machine) -> Speed | None:
    from whatfits.sizing.runtimes.mlx_speed import mlx_speed  # noqa: PLC0415 - not for a brief one

    return mlx_speed(spec, workload, trial.placement, settings=trial.settings, machine=machine)


def tried(spec: ModelSpec, machine: Machine, workload: Workload) -> tuple[int, Speed | None] | None:
    """Return what it takes at most, and the speed; None where it does not fit.

    Raises:
        InvalidRequestError: MLX does not run there, or has no such setting.
        UnsupportedArchitectureError: mlx-lm does not run it.
    """
    trial = try_mlx(spec, machine, workload, PlacementRequest())
    if trial.judgement.verdict != "fits":
        return None
    return trial.memory.high_bytes, _speed(spec, workload, trial, machine)


def try_mlx(
    spec: ModelSpec, machine: Machine, workload: Workload, request: PlacementRequest
) -> MlxTrial:
    """Return one request worked out; `spec` is as mlx-lm has it.

    Raises:
        InvalidRequestError: MLX cannot run it so, or there.
    """
    rules = mlx_model(spec.architecture, name=spec.name)
    settings = resolve_mlx_settings(spec, rules, workload)
    placement = mlx_placement(spec, machine, request)
    check_mixture(spec, placement)
    bill = MlxBill(spec, rules, on_gpu=bool(placement.accelerators))
    memory = bill.memory(settings, placement, machine)
    return MlxTrial(spec, settings, placement, bill, memory, judge(memory, placement, machine))


def _conversion(spec: ModelSpec) -> MlxType | None:
    """Return what the model has to be converted to; None when it runs as it was published."""
    return find_mlx_type(str(spec.metadata[MARK])) if spec.planned else None


def _left_bytes(trial: MlxTrial, machine: Machine) -> int | None:
    """Return what the plan surely leaves free in the memory that the caches lie in."""
    pool = trial.memory.devices[0].pool
    spare = [
        need.spare_low_bytes
        for need in pool_needs(trial.memory, machine)
        if need.pool.id == pool and need.spare_low_bytes is not None
    ]
    return min(spare, default=None)


def _largest_context(
    trial: MlxTrial, rules: MlxModel, machine: Machine, workload: Workload
) -> int | None:
    """Return the longest context that surely fits, at most what the model was trained for.

    None when not even the shortest does.
    """
    trained = longest_of_use(trial.model)
    trained = min(trained, MOST_STEPS * trial.settings.step_tokens)
    most = -(-trained // _CONTEXT_STEP_TOKENS)

    def room(steps: int) -> int:
        context = min(steps * _CONTEXT_STEP_TOKENS, trained)
        settings = resolve_mlx_settings(trial.model, rules, workload, context_tokens=context)
        memory = trial.bill.memory(settings, trial.placement, machine)
        return min(
            -1 if need.spare_low_bytes is None else need.spare_low_bytes
            for need in pool_needs(memory, machine)
        )

    steps = last_with_room(1, most, room)
    return None if steps is None else min(steps * _CONTEXT_STEP_TOKENS, trained)


def _notes(trial: MlxTrial, rules: MlxModel, machine: Machine) -> Iterator[str]:
    settings = trial.settings
    yield (
        "mlx-lm has no flag for the context: caches grow with every token until memory ends. Keep "
        f"prompt and answer of each request under {settings.context_tokens:,} tokens together."
    )
    if settings.program == "api" and not rules.own_cache:
        yield "mlx_lm.generate --max-kv-size N would make it forget instead of growing."
    if settings.kv_bits is not None:
        yield (
            f"The cache stays in 16 bits until {settings.kv_start_tokens:,} tokens, and is there "
            "in both forms while it is quantised."
        )
    if any(cache.chunk_tokens for cache, _ in trial.bill.kinds) and settings.sequences > 1:
        yield "mlx_lm.server answers one request after the other with this model's kind of cache."
    if trial.placement.accelerators:
        yield (
            "Freed buffers stay with MLX for further use, so the process may show more than this; "
            "it gives them back when the limit comes close."
        )
    else:
        yield "MLX on a CPU (pip install 'mlx[cpu]') is meant for trying things out: it is slow."
    yield from limit_notes(machine, trial.placement, trial.bill.weights().mid)


def _remedies(
    trial: MlxTrial,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    others: OtherModels,
) -> tuple[Remedy, ...]:
    if trial.judgement.verdict in ("fits", "unknown"):
        return ()
    from whatfits.sizing.runtimes.mlx_remedies import mlx_remedies  # noqa: PLC0415 - rarely needed

    return mlx_remedies(trial, machine, workload, request, attempt=try_mlx, others=others)


def _placed(trial: MlxTrial) -> PlacementRequest:
    accelerators = trial.placement.accelerators
    return PlacementRequest(devices=tuple(device.id for device in accelerators), mmap=False)
