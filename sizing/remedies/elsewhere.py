"""Remedies that leave the model and the context as asked: where it lies, and what holds it."""

from __future__ import annotations

from whatfits.sizing.basis.split import split_flag
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.estimate import Remedy
from whatfits.sizing.remedies.shared import closed_programs
from whatfits.sizing.reserve import raise_limit_command, raised_limit_bytes
from whatfits.sizing.search.split_search import split_counts
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PINS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.remedies.trials import RemedySearch
    from whatfits.sizing.search.trial import Trial

__all__ = [
    "card_price",
    "close_others",
    "cpu_alone",
    "larger_card",
    "other_split",
    "raise_limit",
    "unpinned",
]

_PAGE_BYTES: Final = 4096  # what amdgpu's limit counts


def other_split(search: RemedySearch) -> Iterator[Remedy]:
    """Yield the split over accelerators that does better than what was asked of it."""
    trial = None if search.resplit is None else search.resplit()
    if trial is None or len(trial.placement.accelerators) == 1 or not search.improves(trial):
        return
    shares = tuple(map(float, split_counts(trial.placement)))
    change: dict[str, object] = {"tensor_split": shares}
    text = split_flag(trial.placement)
    if search.trial.request.split_mode is not None:
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


def unpinned(search: RemedySearch) -> Iterator[Remedy]:
    """Yield leaving open what lies where, of a request that told some of it."""
    trial = None if search.unpinned is None else search.unpinned()
    if trial is None or not search.improves(trial):
        return
    asked = search.trial.request
    told = {name: pin for name, pin in PINS.items() if getattr(asked, name) != pin[1]}
    yield Remedy(
        key="placement",
        text=f"leave out {', '.join(flag for flag, _ in told.values())}: what lies where is then "
        "chosen by what is free",
        change={"placement": {name: value for name, (_, value) in told.items()}},
        needs_bytes=trial.memory.total_bytes,
        verdict=trial.judgement.verdict,
        cost="nothing: the same model and context",
    )


def close_others(search: RemedySearch) -> Iterator[Remedy]:
    """Yield closing what else holds memory."""
    pools = tuple(
        replace(pool, used_bytes=0) if pool.used_bytes else pool for pool in search.machine.pools
    )
    held = sum(pool.used_bytes or 0 for pool in search.machine.pools)
    if not held:
        return
    trial = search.tried(machine=replace(search.machine, pools=pools))
    if search.improves(trial):
        yield closed_programs(held, verdict=trial.judgement.verdict)


def raise_limit(search: RemedySearch) -> Iterator[Remedy]:
    """Yield a higher limit of the GPU in memory that it shares."""
    limited = [
        pool
        for pool in search.machine.pools
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
        for p in search.machine.pools
    )
    trial = search.tried(machine=replace(search.machine, pools=pools))
    if search.improves(trial):
        yield Remedy(
            key="raise_limit",
            text=f"raise the GPU's memory limit to {format_bytes(raised)}"
            + _limit_command(search.machine, raised),
            change={},
            needs_bytes=None,
            verdict=trial.judgement.verdict,
            cost="less memory is left to everything else",
        )


def cpu_alone(search: RemedySearch) -> Iterator[Remedy]:
    """Yield computing on the CPU, which may fill what the GPU may not."""
    trial = None if search.on_cpu is None else search.on_cpu()
    if trial is None or not search.improves(trial):
        return
    change: dict[str, object] = {"devices": ()}
    asked = search.trial.request
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


def larger_card(search: RemedySearch) -> Iterator[Remedy]:
    """Yield the smallest card that holds all of it, in place of those that are there."""
    if search.larger is None:
        return
    for card in search.larger():
        pool = card.machine.pool(card.machine.accelerators[0].pool)
        if (pool.free_low_bytes or 0) < search.model.tensor_bytes:
            continue
        try:
            trial = search.tried(machine=card.machine)
        except InvalidRequestError:  # it places layers on the devices that are there
            return
        if trial.judgement.verdict == "fits":
            yield Remedy(
                key="machine",
                text=f"use a card of {card.memory_gib} GiB, as the {card.name}",
                change={"machine": card.expression, **_same_context(search, card.machine, trial)},
                needs_bytes=trial.memory.total_bytes,
                verdict=trial.judgement.verdict,
                cost=card_price(card.launch_price_usd),
            )
            return


def _same_context(search: RemedySearch, machine: Machine, trial: Trial) -> dict[str, object]:
    """Return what keeps the context on another machine, where a program chooses it by that."""
    unsaid = search.tried(machine=machine, workload=replace(search.workload, context_tokens=None))
    if unsaid.settings == trial.settings:
        return {}
    return {"workload": {"context_tokens": search.workload.context_tokens}}


def card_price(launch_usd: int | None) -> str:
    """Return what another card costs, where it was read."""
    return "another card" if launch_usd is None else f"another card, {launch_usd:,} USD at launch"


def _limit_command(machine: Machine, limit_bytes: int) -> str:
    """Return what raises the limit; where no command does, where to look for it."""
    if machine.os == "macos":
        return f": {raise_limit_command(limit_bytes)}"
    if machine.os != "windows" and any(d.kind == "rocm" for d in machine.accelerators):
        return f": kernel parameter ttm.pages_limit={limit_bytes // _PAGE_BYTES} (Linux), a restart"
    return ", if the settings of its driver or of the firmware offer that"
