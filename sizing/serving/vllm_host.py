"""What a host does for vLLM: a step's work for each sequence, a request's before its first token.

The scheduler, the inputs of a step, the sampled tokens and their text are worked out in Python
between two steps of the card. Up to 0.7 one process does all of that in turn, so that a step takes
longer with every sequence; from 0.8 on (the engine called V1) it is spread over processes, with
less to do, and goes on while the card works on the step before: the longer of both counts. It
depends on the host's processor and not on the card, so that the ends lie far apart. The web front
takes requests apart one by one: those that come together wait for each other.
Source: https://blog.vllm.ai/2024/09/05/perf-update.html, where of Llama 3 8B on an H100 the front
took 33 % of the time and scheduling 29 %; vllm-project/vllm docs/design/arch_overview.md for the
processes of V1. Every figure is fitted on the half of tests/recorded/serving that does not judge
(tests/accuracy/serving_fit.py). Error: docs/accuracy.md, over the other half.
"""

from __future__ import annotations

import re

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

__all__ = [
    "BEFORE_V1",
    "LEAST_TTFT_S",
    "NO_HOST",
    "OF_TODAY",
    "UNKNOWN_VERSION",
    "VLLM_SPREAD",
    "WEB_FRONT_S",
    "Ends",
    "HostWork",
    "Spread",
    "host_work",
]

Ends = tuple[float, float, float]
"""At the fast end, in the middle, at the slow end."""

UNKNOWN_VERSION: Final = "unknown"
_VERSION: Final = re.compile(r"v?(\d{1,4})\.(\d{1,4})(\.\w{1,20})*")
_V1: Final = (0, 8)


class HostWork(NamedTuple):
    """Seconds of a step, beyond what one sequence takes today.

    Attributes:
        step_s: whatever is in it.
        sequence_s: for each sequence after the first.
        overlaps: at which ends it is done while the card works on the step before (asynchronous
            scheduling).
    """

    step_s: Ends
    sequence_s: Ends
    overlaps: tuple[bool, bool, bool] = (False, False, False)


class Spread(NamedTuple):
    """How far steps may lie off: logarithms of the lower and the upper end of a time.

    Attributes:
        writing: of steps that write.
        reading: of those that read prompts.
    """

    writing: tuple[float, float]
    reading: tuple[float, float]


NO_HOST: Final = HostWork((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
BEFORE_V1: Final = HostWork((0.00054, 0.0013, 0.0036), (0.00009, 0.00022, 0.00055))
"""Six servers: the least, the middle and the most."""

OF_TODAY: Final = HostWork(
    (0.0, 0.0, 0.0023), (0.000013, 0.000031, 0.000078), overlaps=(True, True, True)
)
"""One server's sequences; ends in proportion to the others', as hosts are the same. What every
step takes in the middle is in the costs of the speed model."""

LEAST_TTFT_S: Final[Ends] = (0.011, 0.025, 0.046)
"""To a first token however short its prompt: 14 figures of half a billion parameters."""

WEB_FRONT_S: Final[Ends] = (0.0, 0.003, 0.0067)
"""To a first token for each request at work at the same time: 11 figures over HTTP of two reports,
the last but one to either side. No server over HTTP is in the half that judges."""

VLLM_SPREAD: Final = Spread((-0.1, 0.1), (-0.25, 0.25))
"""Of dense models of 16 bits on one card: beyond what the host varies. Those of a H200, of other
types too, are not among what it was told by, as its own figures are fitted on."""


def host_work(
    version: str | None, *, before_v1: HostWork = BEFORE_V1, today: HostWork = OF_TODAY
) -> HostWork:
    """Return the host's work under a version of vLLM, as `0.7.3`.

    None: today's, which the printed command is for. `unknown`: any of them, from today's at its
    fast end to that before 0.8 at its slow one.

    Raises:
        InvalidRequestError: it is no version.
    """
    if version is None:
        return today
    if version == UNKNOWN_VERSION:
        return HostWork(
            (*today.step_s[:2], before_v1.step_s[2]),
            (*today.sequence_s[:2], before_v1.sequence_s[2]),
            (*today.overlaps[:2], before_v1.overlaps[2]),
        )
    found = _VERSION.fullmatch(version)
    if found is None:
        raise InvalidRequestError(
            what="version of vLLM", got=version, allowed=f"one as 0.33.0, or {UNKNOWN_VERSION}"
        )
    return today if (int(found[1]), int(found[2])) >= _V1 else before_v1
