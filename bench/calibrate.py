"""Timings and kernel rates → the calibration of this machine.

The costs are solved for from the sums of `equations`. Pure: what was measured comes in as values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from whatfits.bench.accelerated import decode_elsewhere, prompts_elsewhere
from whatfits.bench.equations import (
    ACTIVATIONS,
    ATTENTION,
    CACHE,
    LAYER,
    PROMPT_LAYER,
    TOKEN,
    decode_equation,
    prefill_equation,
)
from whatfits.bench.fitting import solved
from whatfits.bench.timing import CLEAN_SHARE, median
from whatfits.sizing.calibration import (
    DeviceCalibration,
    MeasuredDecode,
    MeasuredPrefill,
    quant_kind,
)
from whatfits.sizing.speed.terms import ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from whatfits.bench.bandwidth import MachineRates
    from whatfits.bench.fitting import Costs
    from whatfits.bench.micro import Measured, Target
    from whatfits.sizing.calibration import Calibration

__all__ = ["calibrated", "disturbances", "with_older_rates"]

_MOST_SPREAD: Final = 0.1  # repeats further apart than this are worth a warning
_PERCENT: Final = 100
_OLDER: Final = "the rates of llama.cpp are of"


def calibrated(
    target: Target,
    measured: Sequence[Measured],
    rates: MachineRates | None,
    *,
    threads: int | None = None,
    notes: Sequence[str] = (),
) -> DeviceCalibration:
    """Return what was measured of one device.

    Args:
        target: the device.
        measured: its timings; empty without llama.cpp.
        rates: of the kernels, for a processor; None for an accelerator.
        threads: only timings with so many count; None for the target's.
        notes: what was left out, as it goes into the warnings.
    """
    at = target.threads if threads is None else threads
    counted = [m for m in measured if m.step.threads == at]
    # a timing without one undisturbed repeat tells of other programs, not of this machine
    clean = [m for m in counted if m.timing.clean]
    decodes = [m for m in clean if m.step.kind == "decode"]
    prefills = [m for m in clean if m.step.kind == "prefill"]
    by_row = target.llama_name is None
    decode_rows = [decode_equation(m, by_row=by_row) for m in decodes]
    if by_row:
        decode, prefill = solved(decode_rows), solved([prefill_equation(m) for m in prefills])
    else:
        decode, prefill = decode_elsewhere(decode_rows, decodes), prompts_elsewhere(prefills)
    plateau = None if rates is None else rates.plateau
    return DeviceCalibration(
        device=target.device,
        name=target.name,
        read_bytes_per_s=None if plateau is None else plateau.likeliest_per_s,
        read_threads=None if plateau is None else plateau.threads,
        cpu_share=None if rates is None else min(1.0, rates.cpu_share),
        matrix_flops_per_s=None if rates is None else rates.matrix.per_s,
        decode=tuple(
            MeasuredDecode(
                quant_kind(name),
                1 / cost,
                width,
                name,
                decode.seconds.get(f"{ROW}.{name}", 0.0) if by_row else None,
            )
            for name, cost, width in _types(decode, decodes)
        ),
        prefill=tuple(
            MeasuredPrefill(quant_kind(name), 1 / cost, width, name)
            for name, cost, width in _types(prefill, prefills)
        ),
        layer_seconds=decode.seconds.get(LAYER, 0.0) if decodes else None,
        token_seconds=decode.seconds.get(TOKEN, 0.0) if decodes else None,
        cache_bytes_per_s=decode.rate(CACHE),
        decode_attention_flops_per_s=decode.rate(ATTENTION),
        attention_flops_per_s=prefill.rate(ATTENTION),
        activation_bytes_per_s=prefill.rate(ACTIVATIONS),
        prompt_layer_seconds=None if by_row else prefill.seconds.get(PROMPT_LAYER),
        warnings=(*disturbances(counted, rates), *notes),
    )


def _types(costs: Costs, measured: Sequence[Measured]) -> Iterator[tuple[str, float, float]]:
    """Yield each storage type that a model was mostly made of, with its cost and its spread.

    The spread is the larger of what repeats show and of how far timings lie from the sums of all
    costs: a width that only told how well a timing repeats would promise too much.
    """
    for name in dict.fromkeys(m.drawn.type_name for m in measured):
        if name in costs.seconds:
            repeats = median([m.timing.spread for m in measured if m.drawn.type_name == name])
            yield name, costs.seconds[name], max(repeats, costs.width or 0.0)


def disturbances(measured: Sequence[Measured], rates: MachineRates | None) -> tuple[str, ...]:
    """Return what may have disturbed the measurement, in words."""
    found = []
    if rates is not None and rates.cpu_share < CLEAN_SHARE:
        share = round(_PERCENT * rates.cpu_share)
        found.append(
            f"estimated rather than measured: while memory was read, the threads had {share} % of "
            "their processors"
        )
    unclean = [m for m in measured if not m.timing.clean]
    if unclean:
        names = ", ".join(dict.fromkeys(f"{m.drawn.name} {m.step.kind}" for m in unclean))
        found.append(f"left out, since other programs were running all the while: {names}")
    disturbed = [m for m in measured if m.timing.clean and not m.timing.is_clean]
    if disturbed:
        found.append(
            f"other programs were running: of {len(disturbed)} of {len(measured)} timings less "
            "than half of the repeats count"
        )
    loose = [m for m in measured if m.timing.clean and m.timing.spread > _MOST_SPREAD]
    if loose:
        worst = max(m.timing.spread for m in loose)
        found.append(
            f"repeats lie up to {round(_PERCENT * worst)} % apart in {len(loose)} timings: the "
            "clock may have changed, or memory is shared with other guests"
        )
    return tuple(found)


def with_older_rates(new: Calibration, older: Calibration | None) -> Calibration:
    """Return a calibration whose devices keep an older one's rates of llama.cpp where it has none.

    A quick measurement is newer, but says less. What is kept says of when it is.
    """
    if older is None:
        return new
    devices = []
    for device in new.devices:
        known = older.device(device.device)
        if device.decode or known is None or not known.decode:
            devices.append(device)
            continue
        kept: dict[str, Any] = {
            "decode": known.decode,
            "prefill": known.prefill,
            "layer_seconds": known.layer_seconds,
            "token_seconds": known.token_seconds,
            "cache_bytes_per_s": known.cache_bytes_per_s,
            "decode_attention_flops_per_s": known.decode_attention_flops_per_s,
            "attention_flops_per_s": known.attention_flops_per_s,
            "activation_bytes_per_s": known.activation_bytes_per_s,
            "prompt_layer_seconds": known.prompt_layer_seconds,
        }
        note = f"{_OLDER} {older.measured_at[:10]}"
        if any(warning.startswith(_OLDER) for warning in known.warnings):
            note = next(warning for warning in known.warnings if warning.startswith(_OLDER))
        devices.append(replace(device, **kept, warnings=(*device.warnings, note)))
    names = {device.device for device in new.devices}
    left = (device for device in older.devices if device.device not in names)
    return replace(new, devices=(*devices, *left))
