"""Sums of an accelerator's timings: what they are worth for models that were not timed.

How large matrices are decides there how fast they are, so a fit to some tells little of others; and
much of a layer is what its architecture launches besides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whatfits.bench.equations import BATCH_TOKENS, prefill_equation
from whatfits.bench.fitting import Equation, left_out_width, solved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatfits.bench.fitting import Costs
    from whatfits.bench.micro import Measured
    from whatfits.bench.shapes import Drawn

__all__ = [
    "UNJUDGED_DECODE",
    "UNJUDGED_PREFILL",
    "decode_elsewhere",
    "for_others",
    "in_main_types",
    "prompts_elsewhere",
    "told_types",
]

UNJUDGED_DECODE: Final = 0.4
"""Width where too little was timed to judge: that of a family of devices, docs/accuracy.md."""
UNJUDGED_PREFILL: Final = 0.9
"""The same of a prompt."""
_LEAST_WIDTH: Final = 0.1  # other architectures have more kernels in a layer
_MOST_WIDTH: Final = 4.0  # that a calibration may have
_LEAST_WEIGHTS_BYTES: Final = 10 << 20
# Of a timing. What a layer and a prompt cost besides differs by a half between architectures and
# kinds of products: a rate that more of it goes to would be off by more than a quarter.
_LEAST_OWN_SHARE: Final = 0.6


def prompts_elsewhere(prefills: Sequence[Measured]) -> Costs:
    """Return the costs of prompts on an accelerator, of types that timings tell enough of.

    What a prompt costs once, before the device has work for all of its batches, is told by prompts
    of more than one batch alone. They are few, so it does not make the interval narrower than it
    would be without. Of a real model's prompt it is next to nothing, and not part of what is told.
    """
    by_width = any(m.step.tokens < BATCH_TOKENS for m in prefills)
    rows, started = (
        [prefill_equation(m, by_layer=True, by_width=by_width, by_start=by) for m in prefills]
        for by in (False, True)
    )
    plain = _elsewhere(rows, prefills, UNJUDGED_PREFILL)
    if all(m.step.tokens <= BATCH_TOKENS for m in prefills):
        return plain
    found = _elsewhere(started, prefills, UNJUDGED_PREFILL)
    widths = [costs.width for costs in (plain, found) if costs.width is not None]
    told = told_types(found, in_main_types(started, prefills), prefills)
    return replace(told, width=max(widths, default=None))


def decode_elsewhere(rows: Sequence[Equation], decodes: Sequence[Measured]) -> Costs:
    """Return the costs of decoding on an accelerator."""
    return _elsewhere(rows, decodes, UNJUDGED_DECODE)


def _elsewhere(rows: Sequence[Equation], measured: Sequence[Measured], unknown: float) -> Costs:
    told = in_main_types(rows, measured)
    return for_others(solved(told), told, measured, unknown=unknown)


def in_main_types(rows: Sequence[Equation], measured: Sequence[Measured]) -> list[Equation]:
    """Return sums in which only types that a model was mostly made of have a cost of their own.

    Of another one too little is read to tell its cost: it is taken for its model's main type.
    """
    mains = {m.drawn.type_name for m in measured}
    found = []
    for row, one in zip(rows, measured, strict=True):
        amounts = dict(row.amounts)
        for name in set(one.drawn.bytes_by_type) - mains:
            main = one.drawn.type_name
            amounts[main] = amounts.get(main, 0.0) + amounts.pop(name, 0.0)
        found.append(Equation(amounts, row.seconds))
    return found


def for_others(
    costs: Costs, rows: Sequence[Equation], measured: Sequence[Measured], *, unknown: float
) -> Costs:
    """Return costs with the width that they have for a model that was not timed.

    `unknown` is the width where no model can be left out to judge.
    """
    models = [m.drawn.name for m in measured]
    others = left_out_width(rows, models, [_main(m.drawn) for m in measured])
    width = max(costs.width or 0.0, unknown if others is None else others, _LEAST_WIDTH)
    return replace(costs, width=min(width, _MOST_WIDTH))


def told_types(costs: Costs, rows: Sequence[Equation], measured: Sequence[Measured]) -> Costs:
    """Return costs without those of types that no timing tells much of.

    Where products are so fast that most of each timing goes to what stands beside them, all of what
    that is off by would be in their rate.
    """
    mains = {m.drawn.type_name for m in measured}
    own = dict.fromkeys(mains, 0.0)
    for row, one in zip(rows, measured, strict=True):
        products = {name: n for name, n in row.amounts.items() if name in mains}
        seconds = sum(n * costs.seconds.get(name, 0.0) for name, n in products.items())
        name = one.drawn.type_name
        own[name] = max(own[name], seconds / row.seconds)
    untold = {name for name, share in own.items() if share < _LEAST_OWN_SHARE}
    kept = {name: cost for name, cost in costs.seconds.items() if name not in untold}
    return replace(costs, seconds=kept)


def _main(drawn: Drawn) -> str:
    """Return the type of a model's weights; its own name where it hardly has any, as no model has.

    Then it is told from no other, and not judged.
    """
    weights_bytes = sum(drawn.bytes_by_type.values())
    return drawn.type_name if weights_bytes >= _LEAST_WEIGHTS_BYTES else drawn.name
