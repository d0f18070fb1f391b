"""How fast a model writes with another that drafts for it.

A step drafts some tokens one after the other, then checks them all at once. With a chance `a` that
a token is accepted, a step of `n` drafts gives (1 - a^(n+1)) / (1 - a) tokens: Leviathan et al.,
Fast Inference from Transformers via Speculative Decoding (2023), equation 1. The chance depends on
both models and on the text, and is assumed: 50 to 85 %, 70 % in the middle.
"""

from __future__ import annotations

from math import exp

from whatfits.sizing.estimate import RateRange
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.draft import draft_workload
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speculation import drafted_tokens
from whatfits.sizing.speed import DEFAULT_PROMPT_TOKENS, device_costs, guessed_host, timed
from whatfits.sizing.speed.rates import peak_rates
from whatfits.sizing.speed.terms import decode_terms
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.settings import Settings
    from whatfits.sizing.speed import Timed
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["tokens_per_step", "with_drafts"]

_ACCEPTED: Final = (0.5, 0.7, 0.85)


def tokens_per_step(accepted: float, drafts: int) -> float:
    """Return the tokens a step gives on the average, the one that needs no draft included."""
    return sum(accepted**count for count in range(drafts + 1))


def with_drafts(
    speed: Speed,
    model: ModelSpec,
    draft: ModelSpec,
    *,
    settings: Settings,
    placement: Placement,
    machine: Machine,
    workload: Workload,
    request: PlacementRequest,
) -> Speed:
    """Return `speed` with the rate of writing with drafts, where the plain one is known."""
    if speed.decode_tokens_per_s is None or not draft.tensors:
        return speed
    count = drafted_tokens(workload)
    depth = min(workload.prompt_tokens or DEFAULT_PROMPT_TOKENS, settings.sequence_tokens)
    own = resolve_settings(draft, draft_workload(workload, settings))
    asked = replace(
        request,
        gpu_layers=request.gpu_layers_draft,
        cpu_moe_layers=None,
        overrides=(),
        devices=tuple(device.id for device in placement.accelerators),
    )
    placed = resolve_placement(draft, asked, machine)
    check = _step(model, settings, placement, machine, depth=depth, checked=count + 1)
    drafted = _step(draft, own, placed, machine, depth=depth, checked=1)
    if check is None or drafted is None:
        return speed
    rates = []
    for accepted, end in zip(_ACCEPTED, ("high", None, "low"), strict=True):
        seconds = _at(check, end) + count * _at(drafted, end)
        rates.append(float(f"{tokens_per_step(accepted, count) / seconds:.3g}"))
    return replace(speed, speculative_tokens_per_s=RateRange(*rates))


def _step(
    model: ModelSpec,
    settings: Settings,
    placement: Placement,
    machine: Machine,
    *,
    depth: int,
    checked: int,
) -> Timed | None:
    """Return the time of a step that goes over `checked` tokens of one sequence, or None."""
    devices = (*placement.accelerators, placement.host)
    rates = peak_rates(devices, machine)
    terms = decode_terms(
        model, settings, placement, rates, depth=depth, sequences=checked, one_cache=True
    )
    used = {term.device for term in terms}
    if any(not rates[index].bytes for index in used):
        return None
    costs = device_costs(devices, machine, None, rates)
    host = guessed_host(used, rates, costs)
    guess = None if host is None else rates[host].assumed
    return timed(terms, costs, decoding=True, host=host, guess=guess)


def _at(time: Timed, end: str | None) -> float:
    """Return the seconds of the middle, or of an end."""
    return time.seconds * exp(getattr(time, end) if end else 0.0)
