"""Why layers are shared out over accelerators otherwise than llama.cpp itself would do it."""

from __future__ import annotations

from whatfits.sizing.estimate import Basis
from whatfits.sizing.search.split_search import split_counts
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes, format_tokens

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.placement import Placement
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.search.trials import Trials

__all__ = ["split_basis", "split_flag", "split_notes"]

_SOURCE: Final = (
    "llama.cpp (0c1e57098) llama-model.cpp:load_tensors: by layer index, in proportion to free "
    "memory unless -ts is given"
)


def split_basis(trials: Trials, trial: Trial, machine: Machine) -> tuple[Basis, ...]:
    """Return why a split was chosen; nothing where it is llama.cpp's own, or was asked for."""
    own = trials.own_split_instead_of(trial)
    if own is None:
        return ()
    return (
        Basis(
            key="placement.tensor_split",
            formula="of the splits found that every accelerator holds its part of, the one that "
            "moves fewest layers",
            inputs={
                "own_layers": _layers_of(own.placement),
                "own_overflow_bytes": _overflows(own, machine),
                "layers": _layers_of(trial.placement),
            },
            source=_SOURCE,
            error="that of memory.devices: by the upper end of each",
        ),
    )


def split_notes(
    trials: Trials, trial: Trial, machine: Machine, *, longest: int | None
) -> tuple[str, ...]:
    """Return what to know of the split of a trial, and of that for the longest context.

    Nothing where both are llama.cpp's own, or were asked for.
    """
    notes = []
    own = trials.own_split_instead_of(trial)
    if own is not None:
        overflows = "".join(
            f", and {device} overflows by up to {format_bytes(n_bytes)}"
            for device, n_bytes in _overflows(own, machine).items()
        )
        notes.append(
            f"llama.cpp's own split would put {_listed(own.placement)}{overflows}: "
            f"{split_flag(trial.placement)} holds them."
        )
    if longest is not None and trial.judgement.verdict == "fits":
        split = trials.entirely(longest).placement
        if split_counts(split) != split_counts(trial.placement):
            notes.append(
                f"The longest context, {format_tokens(longest)} tokens, takes {split_flag(split)}."
            )
    return tuple(notes)


def split_flag(placement: Placement) -> str:
    """Return the flag that has llama.cpp share layers out so."""
    return f"-ts {','.join(map(str, split_counts(placement)))}"


def _layers_of(placement: Placement) -> dict[str, int]:
    devices = (device.id for device in placement.accelerators)
    return dict(zip(devices, split_counts(placement), strict=True))


def _listed(placement: Placement) -> str:
    """Return `41 layers on cuda0 and 40 on cuda1`."""
    first, *others = (f"{count} on {device}" for device, count in _layers_of(placement).items())
    *middle, last = (first.replace(" on", " layers on", 1), *others)
    return f"{', '.join(middle)} and {last}"


def _overflows(trial: Trial, machine: Machine) -> dict[str, int]:
    """Return by how much accelerators are too full, by the upper end of what they hold."""
    needs = (
        (row.device, row.high_bytes - (machine.pool(row.pool).free_low_bytes or 0))
        for row in trial.memory.devices[:-1]
    )
    return {device: n_bytes for device, n_bytes in needs if n_bytes > 0}
