"""Cards that slow the others down: without the slowest of them it writes faster, and fits as well.

llama.cpp shares layers out over every card it sees, by their free memory, and each token waits for
the slowest.
"""

from __future__ import annotations

from whatfits.sizing.runtimes.llama_cpp_devices import device_name
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.search.trials import Trials
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["fewer_cards_notes"]

_WORTH_SAYING: Final = 1.1  # times as fast: less is within what a speed is off by anyway


def fewer_cards_notes(
    trials: Trials, trial: Trial, asked: PlacementRequest, speed: Speed | None
) -> tuple[str, ...]:
    """Return which of its cards it would be faster on; nothing where all help, or were named."""
    told = (asked.devices, asked.tensor_split, asked.split_mode)
    now = None if speed is None else speed.decode_tokens_per_s
    if trial.judgement.verdict != "fits" or now is None or told != (None, None, None):
        return ()
    cards = trial.placement.accelerators
    ranked = sorted(cards, key=lambda card: -(card.bandwidth_bytes_per_s or 0))
    for count in range(1, len(cards)):
        if ranked[count].name == ranked[count - 1].name:
            continue  # the next one is as fast
        kept = [card for card in cards if card in ranked[:count]]
        request = replace(trial.request, devices=tuple(card.id for card in kept), tensor_split=None)
        other = trials.tried(request)
        if other.judgement.verdict != "fits":
            continue
        faster = trials.speed(other).decode_tokens_per_s
        if faster is None or faster.mid < _WORTH_SAYING * now.mid:
            return ()
        names = " and ".join(card.id for card in kept)
        flag = f"--device {','.join(map(device_name, kept))}"
        alone = "holds it alone and writes" if count == 1 else "hold it alone and write"
        return (f"{names} {alone} about {faster.mid / now.mid:.1f} times as fast: {flag}.",)
    return ()
