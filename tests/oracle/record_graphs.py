"""Records the graphs that llama.cpp reserves memory for, or shows where this engine's differ.

python tests/oracle/record_graphs.py               records them all anew
python tests/oracle/record_graphs.py show NAME     the first nodes of a model that differ
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from graph_nodes import Digest, digest, own_graph, planned_graph
from recorded_graphs import GRIDS, NAMES, SHAPES, model, runs, write

from whatfits.bench.plans import Planner
from whatfits.bench.synthetic import write_catalog_model

if TYPE_CHECKING:
    from comparison import Box

    from whatfits.bench.run_settings import RunSettings
    from whatfits.sizing.model import ModelSpec

_WORKER: Final = Path(__file__).with_name("graph_worker.py")
_SHOWN: Final = 6


class GraphOracle(Planner):
    """llama.cpp in a child process with the GPUs of a box, which answers with graphs."""

    def __init__(self, box: Box) -> None:
        self._has_pins = box.gpus > 0
        sizes = ",".join(map(str, box.sizes))
        flags = [str(int(x)) for x in (box.gpus, box.flash, box.asynchronous)]
        super().__init__([sys.executable, str(_WORKER), *flags, sizes])

    def graph(self, path: Path, settings: RunSettings) -> list[str] | None:
        """Return the lines of llama.cpp's graph; None where it refuses."""
        said = self.ask(path, settings)
        if "graph" not in said:
            return None
        return planned_graph(said["graph"], has_pins=self._has_pins)


def graphs(name: str, oracles: dict[Box, GraphOracle], folder: Path) -> list[list[str] | None]:
    """Return llama.cpp's graphs of a model."""
    spec = written(name, folder)
    return [oracles[box].graph(folder / "model.gguf", settings) for box, settings in runs(spec)]


def digests(found: list[list[str] | None]) -> list[Digest | None]:
    """Return what is recorded of graphs."""
    return [None if lines is None else digest(lines) for lines in found]


def written(name: str, folder: Path) -> ModelSpec:
    """Write a model's file; return its spec."""
    if name in SHAPES:
        return write_catalog_model(folder / "model.gguf", name, file_type=SHAPES[name].file_type)
    return model(name, folder)


def show(name: str, oracles: dict[Box, GraphOracle], folder: Path) -> None:
    """Print where graphs part."""
    planned = graphs(name, oracles, folder)
    spec = model(name, folder)
    for (box, settings), lines in zip(runs(spec), planned, strict=True):
        print(f"{box.gpus} GPUs, {settings}")
        if lines is None:
            print("  llama.cpp refuses")
            continue
        with pytest.MonkeyPatch.context() as patch:
            own = own_graph(spec, box, settings, patch)
        print(f"  {len(lines)} nodes, here {len(own)}")
        pairs = itertools.zip_longest(lines, own)
        parting = [(at, *pair) for at, pair in enumerate(pairs) if pair[0] != pair[1]]
        for at, theirs, ours in parting[:_SHOWN]:
            print(f"  {at}\n    llama.cpp {theirs}\n    here      {ours}")


def main(*arguments: str) -> None:
    """Record, or show."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        oracles = {box: stack.enter_context(GraphOracle(box)) for box, _ in GRIDS}
        if arguments:
            for name in arguments[1:]:
                show(name, oracles, folder)
            return
        found = {}
        for name in NAMES:
            sys.stderr.write(f"{name}\n")
            found[name] = digests(graphs(name, oracles, folder))
        write(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
