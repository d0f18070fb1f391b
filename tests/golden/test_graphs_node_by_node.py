"""Every node of every architecture's graph is the one that llama.cpp makes.

Operation, type, shape, strides, back end and sources of all nodes, layer by layer, under settings
that take other ways through the graphs; digests of llama.cpp's own are in the record.
`python tests/oracle/record_graphs.py show NAME` prints where a graph parts from llama.cpp's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from graph_nodes import digest, own_graph
from recorded_graphs import NAMES, model, read, runs

if TYPE_CHECKING:
    from pathlib import Path

RECORDED: Final = read()


@pytest.mark.parametrize("name", NAMES)
def test_every_node_is_llama_cpps(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = model(name, tmp_path)
    for (box, settings), planned in zip(runs(spec), RECORDED[name], strict=True):
        if planned is not None:
            assert digest(own_graph(spec, box, settings, monkeypatch)) == planned, settings
