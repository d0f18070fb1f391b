"""How a server held up under so many requests at once."""

from __future__ import annotations

from whatfits.sizing.values import dataclass

__all__ = ["ServerTiming"]


@dataclass(frozen=True, slots=True)
class ServerTiming:
    """A server under so many requests at once.

    Attributes:
        concurrency: requests at once.
        answered: of them, with at least one token.
        tokens: that came, over all requests.
        time_to_first_token_s: median, and the longest.
        tokens_per_s: of one request after its first token, median; null when none had two.
        total_tokens_per_s: over all requests, from the first byte sent to the last token.
    """

    concurrency: int
    answered: int
    tokens: int
    time_to_first_token_s: float | None
    longest_time_to_first_token_s: float | None
    tokens_per_s: float | None
    total_tokens_per_s: float | None
