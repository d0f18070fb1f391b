"""A server whose steps cost what can be worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.serving.arrivals import arrivals_of
from whatfits.sizing.serving.draws import draw
from whatfits.sizing.serving.profile import Lengths, LoadProfile
from whatfits.sizing.serving.simulation import simulate
from whatfits.sizing.serving.step_costs import StepCosts

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.serving.draws import Draws
    from whatfits.sizing.serving.log import Log
    from whatfits.sizing.serving.server import Server

VARIED = LoadProfile(Lengths(300, 1500), Lengths(80, 400))


@pytest.fixture
def costs() -> Callable[..., StepCosts]:
    """Return a maker of costs: a step of 20 ms and 0.1 ms a sequence, prompts at 0.1 ms a token."""

    def make(*, slots: int = 256, step_tokens: int = 2048, times: float = 1.0) -> StepCosts:
        return StepCosts(
            write_s=[0.0, *(times * (0.02 + 1e-4 * n) for n in range(1, slots + 1))],
            arithmetic_s=[0.0, *(times * 1e-4 * n for n in range(1, slots + 1))],
            cache_s=times * 1e-5,
            depth_s=times * 1e-7,
            read_s=[0.0, *(times * (0.02 + 1e-4 * n) for n in range(1, step_tokens + 1))],
            read_arithmetic_s=[times * 1e-4 * n for n in range(step_tokens + 1)],
            pair_s=times * 1e-9,
            ride_s=times * 1e-4,
        )

    return make


@pytest.fixture
def played() -> Callable[..., tuple[Log, Draws]]:
    """Return a function that plays a load through a server."""

    def play(
        server: Server,
        costs: StepCosts,
        *,
        users: int,
        load: LoadProfile = VARIED,
        requests: int = 3000,
        seed: int = 1,
    ) -> tuple[Log, Draws]:
        draws = draw(load, requests, seed=seed, context_tokens=8192)
        arrivals = arrivals_of(load, draws, users=users)
        prefix = load.shared_prefix_tokens
        return simulate(server, costs, draws, arrivals, prefix_tokens=prefix), draws

    return play
