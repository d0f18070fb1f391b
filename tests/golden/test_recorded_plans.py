"""What the accuracy record must show: dry runs on the CPU and beside pretend GPUs.

Its cases are held against this engine in tests/accuracy, its truths against llama.cpp in
tests/oracle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cases import load
from tables import errors_of

if TYPE_CHECKING:
    from cases import CaseGroup, Compared

GROUPS = load()
EXACT = {"suite": 0.95, "offload": 0.85}  # share of compute buffers equal to the byte
BELOW = 0.005  # no total is further below the truth
P95 = 0.003
# The cache of its predicting block is counted with the last layer's: on CUDA devices two quantised
# tensors are padded, one is counted (512 bytes).
CACHE_OFF = {"bailingmoe3"}


def compared(kind: str) -> list[tuple[CaseGroup, Compared]]:
    return [(group, case) for group in GROUPS[kind] for case in group.compared]


def test_the_record_is_wide() -> None:
    shapes = {group.shape for group in GROUPS["suite"]}
    assert len(shapes) >= 60
    assert len({shape.architecture for shape in shapes}) >= 35
    assert len({shape.file_type for shape in shapes}) >= 8
    for group in GROUPS["offload"]:
        assert group.box.gpus, group
    assert {group.box.gpus for group in GROUPS["offload"]} == {1, 2}


def test_every_architecture_of_the_catalog_is_in_it() -> None:
    from whatfits.bench.suite import suite_shapes

    wanted = {shape.architecture for shape in suite_shapes()}
    for kind, groups in GROUPS.items():
        assert wanted <= {group.shape.architecture for group in groups}, (
            f"make accuracy, or: python tests/oracle/record_plans.py {kind} ARCHITECTURE…"
        )


@pytest.mark.parametrize("kind", GROUPS)
def test_weights_and_cache_are_equal_to_the_byte_in_every_case(kind: str) -> None:
    for group, case in compared(kind):
        assert case.weights, group
        assert case.cache or group.shape.architecture in CACHE_OFF, group


@pytest.mark.parametrize("kind", GROUPS)
def test_compute_buffers_are_equal_to_the_byte_or_in_their_intervals(kind: str) -> None:
    cases = compared(kind)
    assert sum(case.compute for _, case in cases) >= EXACT[kind] * len(cases)
    assert [group for group, case in cases if not case.inside] == []


@pytest.mark.parametrize("kind", GROUPS)
def test_totals_are_near_and_none_is_far_below(kind: str) -> None:
    cases = compared(kind)
    assert [group for group, case in cases if case.error < -BELOW] == []
    assert errors_of([case.error for _, case in cases]).p95 <= P95


@pytest.mark.parametrize("kind", GROUPS)
def test_both_refuse_the_same_settings(kind: str) -> None:
    alone = [
        group.shape.architecture
        for group in GROUPS[kind]
        for case in group.cases
        if case in {"llama.cpp", "whatfits"}
    ]
    assert alone == []
