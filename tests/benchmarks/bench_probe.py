"""Reading this machine: the whole probe, and the processor beside py-cpuinfo.

    python tests/benchmarks/bench_all.py --only P16,P17

py-cpuinfo starts processes of its own, so that both are timed by the clock on the wall, in turns.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from harness import CONTROL, VOID_SPREAD, Row, control, quartiles, take_turns, wall_seconds

from whatfits.probes import cpu, detect
from whatfits.probes.live import LiveSystem

if TYPE_CHECKING:
    from pathlib import Path

    from peers import Peers


def rows(_: Path, peers: Peers, rounds: int) -> list[Row]:
    """Return P16 and P17."""
    calls = {
        CONTROL: lambda: wall_seconds(control),
        "probe": lambda: wall_seconds(detect),
        "processor": lambda: wall_seconds(lambda: cpu.probe(LiveSystem())),
    }
    with closing(peers.reader()) as reader:
        if peers.version("py-cpuinfo"):
            calls["py-cpuinfo"] = reader.task("cpuinfo")
        found = {label: quartiles(times) for label, times in take_turns(calls, rounds).items()}
    is_void = found[CONTROL].spread > VOID_SPREAD
    own, peer = found["processor"], found.get("py-cpuinfo")
    probe = found["probe"]
    return [
        Row(
            "P16",
            "the whole probe, in process",
            probe.shown(),
            "",
            1e3 * probe.middle,
            most=60,
            unit="ms",
            is_void=is_void,
        ),
        Row(
            "P17",
            "identifying the processor, times as fast",
            own.shown(),
            "absent" if peer is None else f"py-cpuinfo: {peer.shown()}",
            None if peer is None else peer.middle / own.middle,
            least=200,
            is_void=is_void,
        ),
    ]
