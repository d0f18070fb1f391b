"""Random lengths and pauses, the same for the same seed on every machine.

Bits come from PCG64 (O'Neill 2014) as numpy has it, whose stream is guaranteed; what is made of
them is worked out here, because numpy may change its own distributions. Prompts, answers and
pauses have a stream each: with more users or another server the same requests come in the same
order (common random numbers), so that differences are the server's.
"""

from __future__ import annotations

from math import log

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    import numpy as np
    from numpy.typing import NDArray

    from whatfits.sizing.serving.profile import Lengths, LoadProfile

__all__ = ["Draws", "draw"]

_PROMPTS, _OUTPUTS, _PAUSES = range(3)
_P95_OF_NORMAL: Final = 1.6448536269514722  # the 95th percentile of the standard normal


class Draws(NamedTuple):
    """What each request is, in the order they come.

    Attributes:
        prompt_tokens: its prompt.
        output_tokens: its answer.
        pauses: exponential times of mean 1: before it, or of its user after it.
    """

    prompt_tokens: list[int]
    output_tokens: list[int]
    pauses: list[float]


def draw(profile: LoadProfile, n_requests: int, *, seed: int, context_tokens: int) -> Draws:
    """Return so many requests; what would be longer than the context is cut to it.

    The prompt is cut so that at least the shortest answer has room, then the answer.
    """
    import numpy as np  # noqa: PLC0415 - heavy, and only a simulation needs it

    prompts = _lengths(profile.prompt, _uniform(seed, _PROMPTS, 2 * n_requests))
    outputs = _lengths(profile.output, _uniform(seed, _OUTPUTS, 2 * n_requests))
    prompts = np.clip(prompts, profile.shared_prefix_tokens + 1, context_tokens - 1)
    outputs = np.clip(outputs, 1, context_tokens - prompts)
    pauses = -np.log1p(-_uniform(seed, _PAUSES, n_requests))
    return Draws(prompts.tolist(), outputs.tolist(), pauses.tolist())


def _uniform(seed: int, stream: int, count: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1) made of the 53 upper bits of each word."""
    import numpy as np  # noqa: PLC0415 - heavy, and only a simulation needs it

    words = np.random.PCG64(np.random.SeedSequence((seed, stream))).random_raw(count)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _lengths(lengths: Lengths, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a length for every two numbers; the second half is the normal's other coordinate."""
    import numpy as np  # noqa: PLC0415 - heavy, and only a simulation needs it

    first, second = np.split(uniform, 2)
    if lengths.observed_tokens:
        observed = np.array(lengths.observed_tokens, dtype=np.int64)
        return np.take(observed, (first * len(observed)).astype(np.int64))
    median, upper = lengths.median_tokens, lengths.p95_tokens
    if upper is None or upper == median:
        return np.full(len(first), median, dtype=np.int64)
    # Box and Muller 1958
    normal = np.sqrt(-2.0 * np.log1p(-first)) * np.cos(2.0 * np.pi * second)
    sigma = log(upper / median) / _P95_OF_NORMAL
    drawn: NDArray[np.int64] = np.rint(median * np.exp(sigma * normal)).astype(np.int64)
    return drawn
