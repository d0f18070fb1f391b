from __future__ import annotations

import pytest

from whatfits.sizing import check
from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.curves import ContextCurve, context_curves, fast_free_bytes
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

CONTEXTS = [2048, 8192, 32_768, 131_072, 1_048_576]


def curves(model: str, machine: str, **workload: int) -> tuple[ContextCurve, ...]:
    return context_curves(
        load_model(model),
        load_machine(machine),
        Workload(**workload),
        PlacementRequest(),
        kv_types=["f16", "q8_0"],
        contexts=CONTEXTS,
    )


@pytest.mark.parametrize("machine", ["rtx-4090 + 64gb", "m4-max-40-core-gpu 64gb", "64gb"])
def test_every_point_that_fits_is_the_answer_to_that_context(machine: str) -> None:
    for curve in curves("llama-3.1-8b", machine):
        for point in curve.points:
            if point.verdict != "fits":
                continue
            plan = check(
                "llama-3.1-8b",
                machine=machine,
                workload={
                    "context_tokens": point.context_tokens,
                    "kv_type_k": curve.kv_type,
                    "kv_type_v": curve.kv_type,
                },
            )
            rows = plan.memory.devices
            is_gpu = [row.device != "cpu" or len(rows) == 1 for row in rows]
            fast = [row.high_bytes for row, counts in zip(rows, is_gpu, strict=True) if counts]
            if plan.machine.os == "macos":  # of the mapped file Metal may wrap these too
                fast.append(rows[-1].weights_bytes)
            assert point.high_bytes == sum(fast)
            assert curve.largest_context_tokens == plan.largest_context_tokens


def test_no_context_goes_beyond_what_the_model_was_trained_for() -> None:
    for curve in curves("llama-3.1-8b", "rtx-4090 + 64gb"):
        assert [point.context_tokens for point in curve.points] == CONTEXTS[:4]


def test_a_request_that_nothing_can_carry_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        curves("llama-3.1-8b", "rtx-4090 + 64gb", parallel=0)


def test_what_is_free_is_that_of_the_fastest_memory() -> None:
    two = fast_free_bytes(load_machine("2x rtx-3090 + 64gb"))
    assert two is not None
    assert 46 * GIB < two < 48 * GIB
    assert fast_free_bytes(load_machine("m4-max-40-core-gpu 64gb")) == 48 * GIB
    assert fast_free_bytes(load_machine("64gb")) == 62 * GIB
