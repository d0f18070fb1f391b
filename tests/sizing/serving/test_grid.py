"""A cell of users against contexts is the point that `serve` gives for the same request."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import serve
from whatfits.sizing.api import answer, load_machine, load_model
from whatfits.sizing.serving.grid import GridCell, serving_grid
from whatfits.sizing.serving.profile import Lengths, Limits, LoadProfile
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

LOAD = LoadProfile(prompt=Lengths(1024), output=Lengths(128))
LIMITS = Limits(ttft_p95_s=3, tokens_per_s=20)


def grid(
    machine: str, users: Sequence[int], contexts: Sequence[int], runtime: str = "llama.cpp"
) -> tuple[GridCell, ...]:
    return serving_grid(
        answer,
        load_model("llama-3.1-8b", runtime=runtime),
        runtime=runtime,
        machine=load_machine(machine),
        workload=Workload(),
        request=PlacementRequest(),
        users=users,
        contexts=contexts,
        load=LOAD,
        limits=LIMITS,
    )


@pytest.mark.parametrize(
    ("machine", "runtime"),
    [("rtx-3060-12-gb + 32gb", "llama.cpp"), ("rtx-4090 + 64gb", "vllm"), ("4gb", "ollama")],
)
def test_a_cell_is_the_point_of_serve(machine: str, runtime: str) -> None:
    users, contexts = (1, 8), (4096, 32_768)
    cells = grid(machine, users, contexts, runtime)
    assert [(cell.context_tokens, cell.users) for cell in cells] == [*product(contexts, users)]
    for cell in cells:
        found = serve(
            "llama-3.1-8b",
            users=cell.users,
            runtime=runtime,
            machine=machine,
            workload={"context_tokens": cell.context_tokens},
            load=LOAD,
            limits=LIMITS,
        )
        assert cell.memory == found.plan.verdict
        assert cell.point == found.at_users


def test_contexts_that_hold_no_request_or_were_not_trained_for_are_left_out() -> None:
    cells = grid("rtx-4090 + 64gb", (1,), (1024, 2048, 131_072, 262_144))
    assert [cell.context_tokens for cell in cells] == [2048, 131_072]
