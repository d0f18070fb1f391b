"""Why the figures of `serve` are what they are."""

from __future__ import annotations

from whatfits.sizing.estimate import Basis
from whatfits.sizing.serving.batching import MID
from whatfits.sizing.serving.curve import KNEE_SHARE
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.serving.deployment import Deployment
    from whatfits.sizing.serving.profile import LoadProfile
    from whatfits.sizing.serving.step_costs import StepCosts

__all__ = ["serving_basis"]


def serving_basis(
    deployment: Deployment, costs: StepCosts, profile: LoadProfile, *, seed: int
) -> tuple[Basis, ...]:
    """Return the reasons behind the curve, in the order of the answer's fields."""
    server = deployment.servers[MID]
    arrivals = (
        "each user's requests come at random moments (Poisson)"
        if profile.is_open
        else "each user asks again when the answer is there and the pause is over"
    )
    inputs: dict[str, object] = {
        "slots": server.slots,
        "step_tokens": server.step_tokens,
        "write_one_s": costs.write_s[1],
        "write_all_s": costs.write_s[server.slots],
        "cache_token_s": costs.depth_s,
        "prompt_token_s": costs.ride_s,
        "seed": seed,
    }
    if deployment.least_ttft_s[MID]:
        inputs["least_first_token_s"] = deployment.least_ttft_s[MID]
        inputs["host_sequence_s"] = costs.host_s
        inputs["host_works_beside"] = costs.overlaps
        inputs["web_front_request_s"] = deployment.front_s[MID]
    if server.room is not None:
        inputs["blocks"] = server.room.blocks
    return (
        Basis(
            key="curve",
            formula=(
                f"{arrivals}; a step takes weights once + arithmetic and cache of each sequence + "
                "what it reads of prompts + the host's work for each sequence, or where that goes "
                "on beside the card's the longer of both; requests are let in first come first "
                "served"
            ),
            inputs=inputs,
            source="the scheduler simulated over the terms of the speed model (sizing/serving)",
            error=(
                "the ends are whole simulations at the ends of the speed's interval; tokens are "
                "drawn by seed, and `sampling` says what other seeds give; under vLLM they hold "
                "four in five of the figures of measured servers, wider for what was not measured "
                "(docs/accuracy.md); the network, and the web front of other programs, are not in "
                "the time to the first token"
            ),
        ),
        Basis(
            key="knee_users",
            formula=f"the fewest users with {KNEE_SHARE:.0%} of the most throughput on the curve",
            inputs={},
            source="stated rule",
            error="as coarse as the steps of the curve",
        ),
        Basis(
            key="balanced_batch",
            formula="the fewest sequences whose arithmetic takes as long as what a step reads",
            inputs={"depth_tokens": profile.prompt.median_tokens},
            source="roofline (Williams, Waterman, Patterson 2009) over the terms of speed.terms",
            error="as wide as the speed's interval",
        ),
    )
