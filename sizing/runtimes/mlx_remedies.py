"""What would make a model fit under mlx-lm: one change at a time, each worked out.

A remedy is only named after the changed request did better.
"""

from __future__ import annotations

from contextlib import suppress

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.estimate import Remedy
from whatfits.sizing.remedies.answer import shorter_contexts
from whatfits.sizing.remedies.shared import closed_programs, fewer_tokens
from whatfits.sizing.reserve import raise_limit_command, raised_limit_bytes
from whatfits.sizing.runtimes.mlx_types import DEFAULT_TYPE, find_mlx_type
from whatfits.sizing.runtimes.mlx_weights import MARK
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_count
from whatfits.sizing.values import replace
from whatfits.sizing.verdict import VERDICT_ORDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import OtherModels
    from whatfits.sizing.runtimes.mlx_trial import MlxTrial
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["mlx_remedies"]

_LADDER: Final = ("8bit", "6bit", "5bit", "4bit", "3bit")
_MOST_REMEDIES: Final = 4
_SMALL_STEP_TOKENS: Final = 512
_BASE: Final = "F16"
_NO_FIGURE: Final = "less exact: no figure of MLX's file types was read"


def mlx_remedies(
    trial: MlxTrial,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
    *,
    attempt: Callable[[ModelSpec, Machine, Workload, PlacementRequest], MlxTrial],
    others: OtherModels,
) -> tuple[Remedy, ...]:
    """Return the changes that improve the verdict, cheapest first."""
    search = _Search(trial, machine, workload, request, attempt=attempt, others=others)
    found: list[Remedy] = []
    for candidates in (
        search.close_others,
        search.raise_limit,
        search.smaller_step,
        search.shorter_context,
        search.smaller_cache,
        search.smaller_type,
        search.smaller_model,
    ):
        found += [remedy for remedy in [next(candidates(), None)] if remedy is not None]
    return tuple(found[:_MOST_REMEDIES])


class _Search:
    """Everything needed to try a changed request."""

    def __init__(
        self,
        trial: MlxTrial,
        machine: Machine,
        workload: Workload,
        request: PlacementRequest,
        *,
        attempt: Callable[[ModelSpec, Machine, Workload, PlacementRequest], MlxTrial],
        others: OtherModels,
    ) -> None:
        self._trial = trial
        self._machine = machine
        self._workload = workload
        self._request = request
        self._attempt = attempt
        self._others = others

    def _better(
        self,
        *,
        model: ModelSpec | None = None,
        machine: Machine | None = None,
        workload: Workload | None = None,
    ) -> MlxTrial | None:
        """Return the changed request worked out, None unless it runs and does better."""
        try:
            trial = self._attempt(
                model or self._trial.model,
                machine or self._machine,
                workload or self._workload,
                self._request,
            )
        except BadInputError:  # this model cannot be run so
            return None
        before, after = self._trial.judgement.verdict, trial.judgement.verdict
        return trial if trial.runs and VERDICT_ORDER[after] < VERDICT_ORDER[before] else None

    def _pool_id(self) -> str:
        return self._trial.memory.devices[0].pool

    def _with_pool(self, **changes: int | None) -> Machine:
        pools = tuple(
            replace(pool, **changes) if pool.id == self._pool_id() else pool  # type: ignore[arg-type]
            for pool in self._machine.pools
        )
        return replace(self._machine, pools=pools)

    def close_others(self) -> Iterator[Remedy]:
        held = self._machine.pool(self._pool_id()).used_bytes
        found = self._better(machine=self._with_pool(used_bytes=0)) if held else None
        if held and found is not None:
            yield closed_programs(held, verdict=found.judgement.verdict)

    def raise_limit(self) -> Iterator[Remedy]:
        pool = self._machine.pool(self._pool_id())
        if pool.kind != "unified" or not pool.limit_bytes or not pool.total_bytes:
            return
        raised = raised_limit_bytes(pool.total_bytes)
        if raised <= pool.limit_bytes:
            return
        found = self._better(machine=self._with_pool(limit_bytes=raised, limit_low_bytes=None))
        if found is not None:
            yield Remedy(
                key="raise_limit",
                text=f"raise the GPU's memory limit to {format_bytes(raised)}: "
                f"{raise_limit_command(raised)}",
                change={},
                needs_bytes=None,
                verdict=found.judgement.verdict,
                cost="less memory is left to everything else; gone after a restart",
            )

    def smaller_step(self) -> Iterator[Remedy]:
        if self._trial.settings.step_tokens <= _SMALL_STEP_TOKENS:
            return
        found = self._better(workload=replace(self._workload, micro_batch=_SMALL_STEP_TOKENS))
        if found is not None:
            yield Remedy(
                key="prefill_step",
                text=f"read prompts in steps of {_SMALL_STEP_TOKENS} tokens "
                f"(--prefill-step-size {_SMALL_STEP_TOKENS})",
                change={"workload": {"micro_batch": _SMALL_STEP_TOKENS}},
                needs_bytes=found.memory.total_bytes,
                verdict=found.judgement.verdict,
                cost="prompts are read somewhat more slowly",
            )

    def shorter_context(self) -> Iterator[Remedy]:
        asked = self._trial.settings.context_tokens
        for context in shorter_contexts(asked):
            found = self._better(workload=replace(self._workload, context_tokens=context))
            if found is not None:
                yield fewer_tokens(
                    context,
                    asked_tokens=asked,
                    needs_bytes=found.memory.total_bytes,
                    verdict=found.judgement.verdict,
                )
                return

    def smaller_cache(self) -> Iterator[Remedy]:
        if self._trial.settings.kv_bits is not None:
            return
        kept = replace(self._workload, kv_type_k="q8_0", kv_type_v="q8_0")
        found = self._better(workload=kept)
        if found is not None:
            yield Remedy(
                key="kv_type",
                text="keep keys and values in 8 bits (--kv-bits 8)",
                change={"workload": {"kv_type_k": "q8_0", "kv_type_v": "q8_0"}},
                needs_bytes=found.memory.total_bytes,
                verdict=found.judgement.verdict,
                cost="a slight loss on long contexts, and slower prompts",
            )

    def smaller_type(self) -> Iterator[Remedy]:
        model = self._trial.model
        if not model.planned:
            return
        present = find_mlx_type(str(model.metadata[MARK])).bits_per_weight
        name = model.name if model.source == "catalog" else model.source
        for file_type in _LADDER:
            if find_mlx_type(file_type).bits_per_weight >= present:
                continue
            with suppress(BadInputError):  # the source is gone, or not one of ours
                smaller = self._others.load(name, file_type)
                found = self._better(model=smaller)
                if found is not None:
                    yield Remedy(
                        key="file_type",
                        text=f"use {file_type}: {format_bytes(smaller.tensor_bytes)} of weights",
                        change={"file_type": file_type},
                        needs_bytes=found.memory.total_bytes,
                        verdict=found.judgement.verdict,
                        cost=_NO_FIGURE,
                    )
                    return

    def smaller_model(self) -> Iterator[Remedy]:
        """Yield the nearest smaller model that runs; only when this one does not."""
        if self._trial.judgement.verdict != "no" or self._trial.model.source != "catalog":
            return
        free = self._machine.pool(self._pool_id()).free_low_bytes
        model = self._trial.model
        file_type = str(model.metadata[MARK]) if model.planned else None
        bits = find_mlx_type(file_type or DEFAULT_TYPE).bits_per_weight
        for other in self._others.smaller(replace(model, file_type=_BASE), free or 0):
            if (other.parameters or 0) * bits / 8 > (free or 0):
                continue
            with suppress(BadInputError):  # mlx-lm does not run it
                smaller = self._others.load(other.name, file_type)
                found = self._better(model=smaller)
                if found is not None:
                    yield Remedy(
                        key="model",
                        text=f"use {smaller.name} in {smaller.file_type}",
                        change={"model": smaller.name, "file_type": file_type},
                        needs_bytes=found.memory.total_bytes,
                        verdict=found.judgement.verdict,
                        cost=f"a smaller model: {format_count(smaller.parameters or 0)} parameters",
                    )
                    return
