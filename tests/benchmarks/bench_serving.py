"""Requests a second that the simulation of a server gets through, by CPU time.

    python tests/benchmarks/bench_serving.py [--requests N]

llama-3.1-8b on a catalog card, prompts and answers of lognormal length: slots that are always
full, and vLLM's paged cache under requests at random moments.
"""

from __future__ import annotations

import argparse
import time

from harness import say

from whatfits.sizing import load_machine, load_model
from whatfits.sizing.runtimes import find_runtime
from whatfits.sizing.serving.arrivals import arrivals_of
from whatfits.sizing.serving.draws import draw
from whatfits.sizing.serving.llama_deployment import LlamaDeployments
from whatfits.sizing.serving.profile import Lengths, LoadProfile
from whatfits.sizing.serving.server import PagedRoom
from whatfits.sizing.serving.simulation import simulate
from whatfits.sizing.workload import PlacementRequest, Workload

LENGTHS = (Lengths(512, 2000), Lengths(256, 1000))
CASES = {
    "32 slots, always full": (32, None, 64, LoadProfile(*LENGTHS)),
    "paged, at random moments": (
        256,
        PagedRoom(blocks=40_000, request_blocks=0.9, token_blocks=1 / 16),
        100,
        LoadProfile(*LENGTHS, requests_per_hour=60.0),
    ),
}


def main() -> None:
    """Time every case and print a line each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=1_000_000)
    count = parser.parse_args().requests
    deployment = LlamaDeployments(
        find_runtime("llama.cpp"),
        load_model("llama-3.1-8b"),
        load_machine("rtx-4090 + 64gb"),
        Workload(context_tokens=4096),
        PlacementRequest(),
    ).with_slots_for(8)
    for name, (slots, room, users, load) in CASES.items():
        server = deployment.servers[1]._replace(slots=slots, room=room)
        costs = deployment.model.costs(
            "mid", slots=slots, step_tokens=2048, prompt_tokens=512, longest_tokens=768
        )
        start = time.process_time()
        draws = draw(load, count, seed=0, context_tokens=4096)
        log = simulate(server, costs, draws, arrivals_of(load, draws, users=users))
        seconds = time.process_time() - start
        say(
            f"{name}: {count:,} requests in {seconds:.1f} s of CPU, {count / seconds:,.0f} a "
            f"second; {log.end_s / 3600:,.0f} h served, {log.batch_s / log.busy_s:.1f} at once"
        )


if __name__ == "__main__":
    main()
