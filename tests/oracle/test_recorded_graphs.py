"""A fixed part of the recorded graphs, asked of llama.cpp again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from record_graphs import GraphOracle, digests, graphs
from recorded_graphs import GRIDS, NAMES, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from comparison import Box

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

AGAIN = NAMES[::15]


@pytest.fixture(scope="module")
def oracles() -> Iterator[dict[Box, GraphOracle]]:
    made = {box: GraphOracle(box) for box, _ in GRIDS}
    yield made
    for oracle in made.values():
        oracle.__exit__(None, None, None)


@pytest.mark.parametrize("name", AGAIN)
def test_llama_cpp_makes_the_graph_that_is_recorded(
    name: str, oracles: dict[Box, GraphOracle], tmp_path: Path
) -> None:
    assert digests(graphs(name, oracles, tmp_path)) == read()[name]
