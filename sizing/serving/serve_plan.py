"""The answer of `serve` as a value: what comes as JSON, and what words are made of."""

from __future__ import annotations

# read by pydantic: all of them are fields of the answer
from whatfits.sizing.estimate import Basis, Plan, Verdict  # noqa: TC001
from whatfits.sizing.serving.curve import CurvePoint, UserRange  # noqa: TC001
from whatfits.sizing.serving.profile import Limits, LoadProfile  # noqa: TC001
from whatfits.sizing.serving.sampling import Sampling  # noqa: TC001
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from typing import ClassVar

__all__ = ["ServePlan"]


@dataclass(frozen=True, slots=True)
class ServePlan:
    """The whole answer; its fields are the JSON contract.

    Attributes:
        users: asked for.
        load: what they do.
        limits: what they put up with.
        verdict: whether so many are served within the limits.
        verdict_reason: one sentence with its numbers.
        most_users: how many are, at the slow end of the speed's interval, its middle, its fast end.
        binds: what holds back at the users asked for; `memory` where it does not run at all; None
            where that cannot be told.
        slots: sequences at once (`-np`, OLLAMA_NUM_PARALLEL, `--max-num-seqs`).
        step_tokens: tokens of one step at most.
        cache_tokens: what vLLM prints as `GPU KV cache size`; None without a paged cache.
        longest_requests: requests of the whole context that the cache holds, as vLLM prints it.
        at_users: the curve's point at the users asked for; None where speed is not known.
        curve: from one user on.
        knee_users: beyond them more users bring hardly more throughput; None where the curve does
            not flatten, or there is none.
        balanced_batch: sequences from which arithmetic outlasts reading; None: none of `slots`.
        sampling: what other seeds give at the users asked for.
        plan: the server's memory and single-user speed, as `check` gives them.
        commands: what starts it.
        notes: what else to know, one sentence each.
        basis: why the figures are what they are.
        engine_version: of vLLM, as it was told; None: today's, which the commands are for.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    schema_version: str
    users: int
    load: LoadProfile
    limits: Limits
    seed: int
    verdict: Verdict
    verdict_reason: str
    most_users: UserRange | None
    binds: str | None
    slots: int
    step_tokens: int
    cache_tokens: int | None
    longest_requests: float | None
    at_users: CurvePoint | None
    curve: tuple[CurvePoint, ...]
    knee_users: int | None
    balanced_batch: int | None
    sampling: Sampling | None
    plan: Plan
    commands: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    basis: tuple[Basis, ...]
    engine_version: str | None = None
