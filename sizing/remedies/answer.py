"""What would make it fit: one change at a time, each tried by the same engine.

A remedy is only named after the changed request was computed and did better.
"""

from __future__ import annotations

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import Remedy
from whatfits.sizing.kv_cache import least_cache_bytes
from whatfits.sizing.quants.default_type import LADDER
from whatfits.sizing.quants.file_types import find_file_type
from whatfits.sizing.remedies.elsewhere import (
    close_others,
    cpu_alone,
    larger_card,
    other_split,
    raise_limit,
    unpinned,
)
from whatfits.sizing.remedies.shared import fewer_tokens
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_count
from whatfits.sizing.values import replace
from whatfits.sizing.verdict import is_more_than_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.remedies.trials import RemedySearch

__all__ = ["remedies_of", "shorter_contexts"]

_SHORTEST_USEFUL_CONTEXT: Final = 2048
_MOST_REMEDIES: Final = 4


def remedies_of(search: RemedySearch) -> tuple[Remedy, ...]:
    """Return the changes that improve the verdict, cheapest first; none when it fits."""
    if search.trial.judgement.verdict in ("fits", "unknown"):
        return ()
    if _drafts_in_vain(search):
        return tuple(_no_draft(search))
    found: list[Remedy] = []
    may_improve = search.may_improve(search.model)
    for candidates in (
        _no_draft,
        other_split,
        unpinned,
        close_others,
        raise_limit,
        cpu_alone,
        _shorter_context,
        _smaller_cache,
        _smaller_file_type,
        _smaller_model,
    ):
        if candidates in _SAME_WEIGHTS and not may_improve:
            continue
        for remedy in candidates(search):
            found.append(remedy)
            break
    return (*found[:_MOST_REMEDIES], *larger_card(search))


def _drafts_in_vain(search: RemedySearch) -> bool:
    """Return whether the draft model alone is more than all memory: nothing else helps."""
    draft = search.trial.extras.draft
    if draft is None or search.workload.model_draft is None:
        return False
    return is_more_than_all(draft.tensor_bytes, search.machine)


def _no_draft(search: RemedySearch) -> Iterator[Remedy]:
    if search.workload.model_draft is None:
        return
    change: dict[str, object] = {"model_draft": None}
    if search.workload.spec_type is not None:
        change["spec_type"] = None
    trial = search.tried(workload=replace(search.workload, model_draft=None, spec_type=None))
    if search.improves(trial):
        yield Remedy(
            key="draft",
            text=f"leave the draft model {search.workload.model_draft} away",
            change={"workload": change},
            needs_bytes=trial.memory.total_bytes,
            verdict=trial.judgement.verdict,
            cost="no tokens are drafted ahead",
        )


def _shorter_context(search: RemedySearch) -> Iterator[Remedy]:
    asked = search.workload.context_tokens or 0
    keep = ("fits",) if search.trial.judgement.verdict == "slow" else ("fits", "slow")
    for context in _useful_contexts(search, asked):
        trial = search.tried(workload=replace(search.workload, context_tokens=context))
        if trial.judgement.verdict in keep:
            yield fewer_tokens(
                context,
                asked_tokens=asked,
                needs_bytes=trial.memory.total_bytes,
                verdict=trial.judgement.verdict,
            )
            return


def _useful_contexts(search: RemedySearch, asked: int) -> tuple[int, ...]:
    """Return shorter contexts, longest first; of those beyond training what was trained for."""
    shorter, trained = shorter_contexts(asked), search.model.hparams.context_train_tokens
    if trained is None or asked <= (most := trained * search.trial.settings.streams):
        return shorter
    return (most, *(context for context in shorter if context < most))


def _smaller_cache(search: RemedySearch) -> Iterator[Remedy]:
    settings = search.trial.settings
    if not settings.flash_attention or settings.kv_type_k != "F16":
        return
    try:
        trial = search.tried(workload=replace(search.workload, kv_type_k="q8_0", kv_type_v="q8_0"))
    except ValueError:  # a head length that q8_0 does not divide
        return
    if search.improves(trial):
        yield Remedy(
            key="kv_type",
            text="keep keys and values in q8_0",
            change={"workload": {"kv_type_k": "q8_0", "kv_type_v": "q8_0"}},
            needs_bytes=trial.memory.total_bytes,
            verdict=trial.judgement.verdict,
            cost="a slight loss on long contexts; the cache takes 8.5 bits an element, not 16",
        )


def _smaller_file_type(search: RemedySearch) -> Iterator[Remedy]:
    if search.requantised is None or not search.model.tensors:
        return
    present = search.model.tensor_bytes
    caches = least_cache_bytes(search.model, search.trial.settings)
    for name in LADDER:
        model = search.requantised(name)
        if model.tensor_bytes >= present or not search.may_improve(model, cache_bytes=caches):
            continue
        trial = search.tried(model=model)
        if search.improves(trial):
            yield Remedy(
                key="file_type",
                text=f"use {find_file_type(name).name}: {format_bytes(model.tensor_bytes)} "
                f"of weights instead of {format_bytes(present)}",
                change={"file_type": name},
                needs_bytes=trial.memory.total_bytes,
                verdict=trial.judgement.verdict,
                cost=search.quality(name),
            )
            return


def _smaller_model(search: RemedySearch) -> Iterator[Remedy]:
    """Yield the nearest smaller model that runs; only when this one does not."""
    if search.smaller is None or search.trial.judgement.verdict != "no":
        return
    for model in search.smaller():
        if not search.may_improve(model):
            continue
        try:
            trial = search.instead(model)
        except InvalidRequestError:  # what was asked for is not for that model
            continue
        if search.improves(trial):
            yield Remedy(
                key="model",
                text=f"use {model.name} in {model.file_type}",
                change={"model": model.name, "file_type": model.file_type},
                needs_bytes=trial.memory.total_bytes,
                verdict=trial.judgement.verdict,
                cost=_fewer_parameters(search.model, model),
            )
            return


def _fewer_parameters(model: ModelSpec, smaller: ModelSpec) -> str:
    if not model.parameters or not smaller.parameters:
        return "a smaller model"
    return (
        f"a smaller model: {format_count(smaller.parameters)} parameters instead of "
        f"{format_count(model.parameters)}"
    )


# changes that leave the weights and the free memory as they are
_SAME_WEIGHTS: Final = (other_split, unpinned, cpu_alone, _shorter_context, _smaller_cache)


def shorter_contexts(asked: int) -> tuple[int, ...]:
    """Return half the context, a quarter, …, down to the shortest useful one."""
    found = []
    context = asked // 2 // 256 * 256
    while context >= _SHORTEST_USEFUL_CONTEXT:
        found.append(context)
        context = context // 2 // 256 * 256
    return tuple(found)
