"""What reading a weight of 16 bits costs vLLM: fitted on single answers of measured servers.

The public tables of speeds hold such models under vLLM on one kind of card only, held at 220 of
350 W, and those are left out. The servers of tests/recorded/serving are of many cards; what is
fitted here is the median over those of the half that does not judge.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Final

from serving_rows import Row, load_of, rows

from whatfits.sizing import load_machine, load_model
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.runtimes.vllm_speed import vllm_placement, vllm_step_settings
from whatfits.sizing.serving.vllm_host import host_work
from whatfits.sizing.speed.costs import read_costs
from whatfits.sizing.speed.rates import peak_rates
from whatfits.sizing.speed.terms import decode_terms
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FLOATS", "FLOAT_NAMES", "fitted_on", "weights_cost"]

FLOATS: Final = ("weights.float", "weights.bf16")
FLOAT_NAMES: Final = ("weights.F32", "weights.F16", "weights.BF16", *FLOATS)
_LARGE: Final = ("7b", "8b")  # of smaller models the host takes longer than the weights


def fitted_on() -> list[Row]:
    """Return single answers of large models, of the half that does not judge."""
    return [
        row
        for row in rows()
        if row.users == 1
        and row.answer_tokens_per_s is not None
        and not row.judges
        and _is_large(row.model)
    ]


def _is_large(model: str) -> bool:
    return any(size in model.split("-") for size in _LARGE)


def weights_cost(tables: Mapping[str, Any]) -> float:
    """Return the inverse of the share of the bandwidth: the median, all other costs as they are."""
    return round(median(_cost(row, tables) for row in fitted_on()), 3)


def _cost(row: Row, tables: Mapping[str, Any]) -> float:
    assert row.answer_tokens_per_s is not None
    spec = load_model(row.model, file_type=row.file_type, runtime="vllm")
    machine = load_machine(f"{row.device} + 64gb")
    asked = Workload(context_tokens=row.context_tokens)
    settings = resolve_vllm(spec, machine, asked, PlacementRequest())
    placement = vllm_placement(spec, machine, settings)
    devices = (*placement.accelerators, placement.host)
    terms = decode_terms(
        spec,
        vllm_step_settings(spec, settings),
        placement,
        peak_rates(devices, machine, "vllm"),
        depth=load_of(row).prompt.median_tokens + row.output_tokens // 2,
    )
    costs = [read_costs(tables, device, "vllm") for device in devices]
    read = [term for term in terms if term.costs[0] in FLOAT_NAMES]
    read_s = sum(term.amount for term in read)
    other_s = sum(t.amount * costs[t.device].of(t.costs) for t in terms if t not in read)
    host_s = host_work(row.engine_version).step_s[1]
    return (1 / row.answer_tokens_per_s - other_s - host_s) / read_s
