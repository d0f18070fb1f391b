"""What would make it fit: one change at a time, each tried by the same engine.

A remedy is only named after the changed request was computed and did better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from whatfits.sizing.basis_split import split_flag
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import Remedy
from whatfits.sizing.quants.default_type import LADDER
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.reserve import raise_limit_command, raised_limit_bytes
from whatfits.sizing.split_search import split_counts
from whatfits.sizing.units import format_bytes, format_count, format_tokens
from whatfits.sizing.values import dataclass, replace
from whatfits.sizing.verdict import VERDICT_ORDER, is_more_than_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from whatfits.sizing.larger_cards import LargerCard
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.trial import Trial
    from whatfits.sizing.workload import Workload

__all__ = ["RemedySearch", "shorter_contexts"]

_SHORTEST_USEFUL_CONTEXT: Final = 2048
_MOST_REMEDIES: Final = 4
_PAGE_BYTES: Final = 4096  # what amdgpu's limit counts


@dataclass(frozen=True, slots=True)
class RemedySearch:
    """Everything needed to try a changed request.

    Attributes:
        model: the model as asked.
        machine: the machine as asked.
        workload: the workload as asked, in the program's own terms, its context filled in.
        trial: what came of it.
        attempt: returns what comes of a changed request, by the program's own rules.
        requantised: returns the model under another file type; None when that is not possible.
        quality: returns what a file type costs in quality, in words.
        smaller: returns smaller models, nearest first.
        larger: returns cards of more memory, smallest first.
        resplit: returns what comes of layers shared out over accelerators as suits them; None
            where nothing was asked of that.
        on_cpu: returns what comes of the CPU alone, which a limit of the GPU does not bind; None
            where that is nothing new.
    """

    model: ModelSpec
    machine: Machine
    workload: Workload
    trial: Trial
    attempt: Callable[[ModelSpec, Machine, Workload], Trial]
    requantised: Callable[[str], ModelSpec] | None
    quality: Callable[[str], str]
    smaller: Callable[[], Iterator[ModelSpec]] | None = None
    larger: Callable[[], Iterator[LargerCard]] | None = None
    resplit: Callable[[], Trial | None] | None = None
    on_cpu: Callable[[], Trial | None] | None = None

    def remedies(self) -> tuple[Remedy, ...]:
        """Return the changes that improve the verdict, cheapest first; none when it fits."""
        if self.trial.judgement.verdict in ("fits", "unknown"):
            return ()
        if self._drafts_in_vain():
            return tuple(self._no_draft())
        found: list[Remedy] = []
        for candidates in (
            self._no_draft,
            self._other_split,
            self._close_others,
            self._raise_limit,
            self._cpu_alone,
            self._shorter_context,
            self._smaller_cache,
            self._smaller_file_type,
            self._smaller_model,
        ):
            for remedy in candidates():
                found.append(remedy)
                break
        return (*found[:_MOST_REMEDIES], *self._larger_card())

    def _try(
        self,
        *,
        model: ModelSpec | None = None,
        machine: Machine | None = None,
        workload: Workload | None = None,
    ) -> Trial:
        return self.attempt(model or self.model, machine or self.machine, workload or self.workload)

    def _improves(self, trial: Trial) -> bool:
        verdict = trial.judgement.verdict
        return trial.runs and VERDICT_ORDER[verdict] < VERDICT_ORDER[self.trial.judgement.verdict]

    def _other_split(self) -> Iterator[Remedy]:
        """Yield the split over accelerators that does better than what was asked of it."""
        trial = None if self.resplit is None else self.resplit()
        if trial is None or len(trial.placement.accelerators) == 1 or not self._improves(trial):
            return
        shares = tuple(map(float, split_counts(trial.placement)))
        change: dict[str, object] = {"tensor_split": shares}
        text = split_flag(trial.placement)
        if self.trial.request.split_mode is not None:
            change["split_mode"] = "layer"
            text = f"-sm layer {text}"
        yield Remedy(
            key="tensor_split",
            text=f"share the layers out otherwise: {text}",
            change={"placement": change},
            needs_bytes=trial.memory.total_bytes,
            verdict=trial.judgement.verdict,
            cost="nothing: the same layers lie on other devices",
        )

    def _drafts_in_vain(self) -> bool:
        """Return whether the draft model alone is more than all memory: nothing else helps."""
        draft = self.trial.extras.draft
        if draft is None or self.workload.model_draft is None:
            return False
        return is_more_than_all(draft.tensor_bytes, self.machine)

    def _no_draft(self) -> Iterator[Remedy]:
        if self.workload.model_draft is None:
            return
        change: dict[str, object] = {"model_draft": None}
        if self.workload.spec_type is not None:
            change["spec_type"] = None
        trial = self._try(workload=replace(self.workload, model_draft=None, spec_type=None))
        if self._improves(trial):
            yield Remedy(
                key="draft",
                text=f"leave the draft model {self.workload.model_draft} away",
                change={"workload": change},
                needs_bytes=trial.memory.total_bytes,
                verdict=trial.judgement.verdict,
                cost="no tokens are drafted ahead",
            )

    def _close_others(self) -> Iterator[Remedy]:
        pools = tuple(
            replace(pool, used_bytes=0) if pool.used_bytes else pool for pool in self.machine.pools
        )
        held = sum(pool.used_bytes or 0 for pool in self.machine.pools)
        if not held:
            return
        trial = self._try(machine=replace(self.machine, pools=pools))
        if self._improves(trial):
            yield Remedy(
                key="close",
                text=f"close other programs: they hold {format_bytes(held)}",
                change={},
                needs_bytes=None,
                verdict=trial.judgement.verdict,
                cost="other programs have to be closed",
            )

    def _raise_limit(self) -> Iterator[Remedy]:
        limited = [
            pool
            for pool in self.machine.pools
            if pool.limit_scope == "accelerators" and pool.limit_bytes and pool.total_bytes
        ]
        if not limited:
            return
        pool = limited[0]
        raised = raised_limit_bytes(pool.total_bytes or 0)
        if raised <= (pool.limit_bytes or 0):
            return
        pools = tuple(
            replace(p, limit_bytes=raised, limit_low_bytes=None) if p.id == pool.id else p
            for p in self.machine.pools
        )
        trial = self._try(machine=replace(self.machine, pools=pools))
        if self._improves(trial):
            yield Remedy(
                key="raise_limit",
                text=f"raise the GPU's memory limit to {format_bytes(raised)}"
                + _limit_command(self.machine, raised),
                change={},
                needs_bytes=None,
                verdict=trial.judgement.verdict,
                cost="less memory is left to everything else",
            )

    def _cpu_alone(self) -> Iterator[Remedy]:
        """Yield computing on the CPU, which may fill what the GPU may not."""
        trial = None if self.on_cpu is None else self.on_cpu()
        if trial is None or not self._improves(trial):
            return
        change: dict[str, object] = {"devices": ()}
        asked = self.trial.request
        change |= {"tensor_split": None} if asked.tensor_split is not None else {}
        change |= {"split_mode": None} if asked.split_mode is not None else {}
        yield Remedy(
            key="cpu",
            text="compute on the CPU alone: --device none",
            change={"placement": change},
            needs_bytes=trial.memory.total_bytes,
            verdict=trial.judgement.verdict,
            cost="the GPU computes nothing, which is slower",
        )

    def _shorter_context(self) -> Iterator[Remedy]:
        asked = self.workload.context_tokens or 0
        keep = ("fits",) if self.trial.judgement.verdict == "slow" else ("fits", "slow")
        for context in shorter_contexts(asked):
            trial = self._try(workload=replace(self.workload, context_tokens=context))
            if trial.judgement.verdict in keep:
                yield Remedy(
                    key="context",
                    text=f"use {format_tokens(context)} tokens of context",
                    change={"workload": {"context_tokens": context}},
                    needs_bytes=trial.memory.total_bytes,
                    verdict=trial.judgement.verdict,
                    cost=f"{format_tokens(asked - context)} tokens less to remember",
                )
                return

    def _smaller_cache(self) -> Iterator[Remedy]:
        settings = self.trial.settings
        if not settings.flash_attention or settings.kv_type_k != "F16":
            return
        try:
            trial = self._try(workload=replace(self.workload, kv_type_k="q8_0", kv_type_v="q8_0"))
        except ValueError:  # a head length that q8_0 does not divide
            return
        if self._improves(trial):
            yield Remedy(
                key="kv_type",
                text="keep keys and values in q8_0",
                change={"workload": {"kv_type_k": "q8_0", "kv_type_v": "q8_0"}},
                needs_bytes=trial.memory.total_bytes,
                verdict=trial.judgement.verdict,
                cost="a slight loss on long contexts; the cache takes 8.5 bits an element, not 16",
            )

    def _smaller_file_type(self) -> Iterator[Remedy]:
        if self.requantised is None or not self.model.tensors:
            return
        present = self.model.tensor_bytes
        for name in LADDER:
            model = self.requantised(name)
            if model.tensor_bytes >= present:
                continue
            trial = self._try(model=model)
            if self._improves(trial):
                yield Remedy(
                    key="file_type",
                    text=f"use {find_file_type(name).name}: {format_bytes(model.tensor_bytes)} "
                    f"of weights instead of {format_bytes(present)}",
                    change={"file_type": name},
                    needs_bytes=trial.memory.total_bytes,
                    verdict=trial.judgement.verdict,
                    cost=self.quality(name),
                )
                return

    def _smaller_model(self) -> Iterator[Remedy]:
        """Yield the nearest smaller model that runs; only when this one does not."""
        if self.smaller is None or self.trial.judgement.verdict != "no":
            return
        for model in self.smaller():
            if is_more_than_all(model.tensor_bytes, self.machine):
                continue
            trial = self._try(model=model)
            if self._improves(trial):
                yield Remedy(
                    key="model",
                    text=f"use {model.name} in {model.file_type}",
                    change={"model": model.name, "file_type": model.file_type},
                    needs_bytes=trial.memory.total_bytes,
                    verdict=trial.judgement.verdict,
                    cost=_fewer_parameters(self.model, model),
                )
                return

    def _larger_card(self) -> Iterator[Remedy]:
        """Yield the smallest card that holds all of it, in place of those that are there."""
        if self.larger is None:
            return
        for card in self.larger():
            pool = card.machine.pool(card.machine.accelerators[0].pool)
            if (pool.free_low_bytes or 0) < self.model.tensor_bytes:
                continue
            try:
                trial = self._try(machine=card.machine)
            except InvalidRequestError:  # it places layers on the devices that are there
                return
            if trial.judgement.verdict == "fits":
                yield Remedy(
                    key="machine",
                    text=f"use a card of {card.memory_gib} GiB, as the {card.name}",
                    change={"machine": card.expression, **self._same_context(card.machine, trial)},
                    needs_bytes=trial.memory.total_bytes,
                    verdict=trial.judgement.verdict,
                    cost=_price(card.launch_price_usd),
                )
                return

    def _same_context(self, machine: Machine, trial: Trial) -> dict[str, object]:
        """Return what keeps the context on another machine, where a program chooses it by that."""
        unsaid = self._try(machine=machine, workload=replace(self.workload, context_tokens=None))
        if unsaid.settings == trial.settings:
            return {}
        return {"workload": {"context_tokens": self.workload.context_tokens}}


def _price(launch_usd: int | None) -> str:
    return "another card" if launch_usd is None else f"another card, {launch_usd:,} USD at launch"


def _fewer_parameters(model: ModelSpec, smaller: ModelSpec) -> str:
    if not model.parameters or not smaller.parameters:
        return "a smaller model"
    return (
        f"a smaller model: {format_count(smaller.parameters)} parameters instead of "
        f"{format_count(model.parameters)}"
    )


def _limit_command(machine: Machine, limit_bytes: int) -> str:
    """Return what raises the limit, after a colon; empty where it is not known."""
    if machine.os == "macos":
        return f": {raise_limit_command(limit_bytes)}"
    if any(device.kind == "rocm" for device in machine.accelerators):
        return f": kernel parameter ttm.pages_limit={limit_bytes // _PAGE_BYTES} (Linux), a restart"
    return ""


def shorter_contexts(asked: int) -> tuple[int, ...]:
    """Return half the context, a quarter, …, down to the shortest useful one."""
    found = []
    context = asked // 2 // 256 * 256
    while context >= _SHORTEST_USEFUL_CONTEXT:
        found.append(context)
        context = context // 2 // 256 * 256
    return tuple(found)
