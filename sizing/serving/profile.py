"""What is asked of a server: how many users, how often, how long their prompts and answers are."""

from __future__ import annotations

from math import isfinite

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.explain import READING_TOKENS_PER_S
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import ClassVar, Final

__all__ = ["MOST_USERS", "Lengths", "Limits", "LoadProfile", "check_limits", "check_profile"]

MOST_USERS: Final = 4096
# How long somebody waits without turning to something else (Nielsen 1993, response times).
_TTFT_LIMIT_S: Final = 10.0
_MOST_TOKENS: Final = 2**24
_MOST_SECONDS: Final = 86_400.0
_MOST_AN_HOUR: Final = 1e6


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long prompts or answers are, in tokens.

    Attributes:
        median_tokens: the middle one; all of them where nothing else is given.
        p95_tokens: 19 of 20 are shorter: lognormal through both; None: all are equal.
        observed_tokens: lengths that were counted, each as likely as the others; they stand in
            place of the two.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    median_tokens: int
    p95_tokens: int | None = None
    observed_tokens: tuple[int, ...] = ()

    @property
    def least_longest_tokens(self) -> int:
        """The length that a context has to hold at least: of a lognormal, its 95th percentile."""
        if self.observed_tokens:
            return max(self.observed_tokens)
        return self.p95_tokens or self.median_tokens


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """What the users of a server do.

    Attributes:
        prompt: tokens of a prompt, the shared prefix among them.
        output: tokens of an answer.
        shared_prefix_tokens: the first tokens of every prompt, the same for all: read once.
        requests_per_hour: of each user, at random moments whatever the server does (Poisson);
            None: each asks again when the answer is there and `think_s` has passed.
        think_s: mean pause of a user between an answer and the next request, exponential; 0: none.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    prompt: Lengths = Lengths(512)
    output: Lengths = Lengths(256)
    shared_prefix_tokens: int = 0
    requests_per_hour: float | None = None
    think_s: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether requests come whether or not earlier ones were answered."""
        return self.requests_per_hour is not None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a user puts up with.

    Attributes:
        ttft_p95_s: 19 of 20 requests have their first token by then.
        tokens_per_s: 19 of 20 answers are written this fast; as fast as people read.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    ttft_p95_s: float = _TTFT_LIMIT_S
    tokens_per_s: float = READING_TOKENS_PER_S


def check_profile(profile: LoadProfile, *, context_tokens: int) -> None:
    """Refuse a profile that nobody can have, or that one user's context does not hold.

    Raises:
        InvalidRequestError: naming the value.
    """
    for name, lengths in (("prompt", profile.prompt), ("output", profile.output)):
        _check_lengths(name, lengths)
    longest = profile.prompt.least_longest_tokens + profile.output.least_longest_tokens
    if longest > context_tokens:
        raise InvalidRequestError(
            what="prompt and output together",
            got=f"{longest:,} tokens",
            allowed=f"at most {context_tokens:,}, the context of one user",
            next_step="raise --context or shorten them",
        )
    shortest = min(profile.prompt.observed_tokens, default=profile.prompt.median_tokens)
    if not 0 <= profile.shared_prefix_tokens < shortest:
        raise InvalidRequestError(
            what="shared prefix",
            got=profile.shared_prefix_tokens,
            allowed=f"0 to {shortest - 1:,} tokens: less than a prompt",
        )
    _check_number("think time", profile.think_s, least=0.0, most=_MOST_SECONDS, unit="seconds")
    if profile.requests_per_hour is not None:
        if profile.think_s:
            raise InvalidRequestError(
                what="think time with a rate", got=profile.think_s, allowed="one of them"
            )
        rate = profile.requests_per_hour
        _check_number("rate", rate, least=1e-3, most=_MOST_AN_HOUR, unit="requests an hour a user")


def check_limits(limits: Limits) -> None:
    """Refuse limits that nothing can keep.

    Raises:
        InvalidRequestError: naming the value.
    """
    ttft, speed = limits.ttft_p95_s, limits.tokens_per_s
    _check_number("limit of the first token", ttft, least=1e-3, most=_MOST_SECONDS, unit="seconds")
    _check_number("least speed", speed, least=1e-3, most=1e6, unit="tokens a second")


def _check_lengths(name: str, lengths: Lengths) -> None:
    given = (lengths.median_tokens, lengths.least_longest_tokens, *lengths.observed_tokens)
    for tokens in given:
        if isinstance(tokens, bool) or not isinstance(tokens, int) or not 0 < tokens < _MOST_TOKENS:
            raise InvalidRequestError(
                what=f"{name} length",
                got=tokens,
                allowed=f"a whole number from 1 to {_MOST_TOKENS - 1:,}",
            )
    if lengths.p95_tokens is not None and lengths.p95_tokens < lengths.median_tokens:
        raise InvalidRequestError(
            what=f"{name} 95th percentile",
            got=lengths.p95_tokens,
            allowed=f"{lengths.median_tokens:,} or more, the median",
        )


def _check_number(name: str, value: float, *, least: float, most: float, unit: str) -> None:
    if isinstance(value, bool) or not isfinite(value) or not least <= value <= most:
        raise InvalidRequestError(what=name, got=value, allowed=f"{least:g} to {most:,.0f} {unit}")
