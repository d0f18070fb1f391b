"""The cache of every model that vLLM's own classes could be asked for, against the planner here.

`tests/recorded/vllm/caches.json` says how they were asked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from whatfits.sizing.runtimes.vllm_kv_plan import plan_cache
from whatfits.sizing.runtimes.vllm_layers import CacheRules, cache_layers
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.units import GIB

PATH: Final = Path(__file__).parents[1] / "recorded" / "vllm" / "caches.json"
ROWS: Final[list[dict[str, Any]]] = json.loads(PATH.read_text("utf-8"))["rows"]
REQUEST_TOKENS: Final = 4096


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model']}-{row['ranks']}")
def test_the_cache_is_vllms_own(row: dict[str, Any]) -> None:
    spec = load_published(row["model"], file_type="bf16")
    assert spec.checkpoint is not None
    rules = CacheRules(
        row["ranks"],
        2,
        states_in_f32=spec.checkpoint.states_in_f32,
    )
    plan = plan_cache(cache_layers(spec, spec.layers, rules), in_flight_tokens=2 * REQUEST_TOKENS)
    blocks = plan.n_blocks(40 * GIB)
    assert blocks == row["blocks"]
    found = plan.concurrency(blocks, request_tokens=REQUEST_TOKENS)
    assert found == pytest.approx(row["concurrency"], rel=1e-12)
    assert [
        [g.spec.kind, len(g.layers), None if g.spec.kind == "state" else g.spec.block_tokens]
        for g in plan.groups
    ] == row["groups"]


def test_they_are_many_and_of_every_kind() -> None:
    assert len({row["model"] for row in ROWS}) >= 140
    assert {group[0] for row in ROWS for group in row["groups"]} >= {
        *("full", "window", "state", "latent")
    }
