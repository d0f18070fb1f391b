"""How much slower a model writes because a part of it lies in a slower memory."""

from __future__ import annotations

from whatfits.sizing.estimate import Basis
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.search.trials import Trials

__all__ = ["slowdown_basis", "slower_words", "with_slowdown"]

_NOT_WORTH_TELLING: Final = 1.1
_WHOLE_FROM: Final = 3


def with_slowdown(speed: Speed, trials: Trials, trial: Trial) -> Speed:
    """Return a speed that says how many times longer a token takes than with nothing spilled.

    It is held against the same request with every layer on its accelerators, whether they have the
    memory for it or not. Nothing is said where nothing spilled, or where either is unknown.
    """
    if trial.judgement.verdict != "slow" or speed.decode_tokens_per_s is None:
        return speed
    entire = trials.entire_speed().decode_tokens_per_s
    if entire is None:
        return speed
    return replace(speed, times_slower=entire.mid / speed.decode_tokens_per_s.mid)


def slower_words(times_slower: float | None) -> str:
    """Return `about 5x slower`; empty where it is not known, or next to nothing."""
    if times_slower is None or times_slower < _NOT_WORTH_TELLING:
        return ""
    digits = 0 if times_slower >= _WHOLE_FROM else 1
    return f"about {times_slower:.{digits}f}x slower"


def slowdown_basis(speed: Speed) -> tuple[Basis, ...]:
    """Return where the factor comes from; nothing where it is not told."""
    if speed.times_slower is None or speed.decode_tokens_per_s is None:
        return ()
    here = speed.decode_tokens_per_s.mid
    return (
        Basis(
            key="speed.times_slower",
            formula="tokens/s with every layer on the accelerators / tokens/s as placed here",
            inputs={
                "entire_tokens_per_s": here * speed.times_slower,
                "placed_tokens_per_s": here,
            },
            source="both by the formula of writing, the middles of their intervals",
            error="errors that both have in common cancel out; what the slower memory reaches in "
            "practice does not",
        ),
    )
