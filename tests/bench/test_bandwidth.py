"""Reading memory: sizes, the sweep, what is flagged; and a load that is there in fact."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from whatfits.bench.bandwidth import (
    KernelRate,
    MachineRates,
    buffer_bytes,
    judged,
    measure_rates,
    thread_counts,
)
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.units import GIB, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator


def rate(threads: int, per_s: float, share: float = 1.0) -> KernelRate:
    return KernelRate(threads, per_s, per_s, 0.0, share, None)


def rates(*reads: KernelRate) -> MachineRates:
    return MachineRates(128 * MIB, reads, rate(1, 1e11), 0.3)


@pytest.mark.parametrize(
    ("cache", "free", "expected"),
    [
        (32 * MIB, 8 * GIB, 128 * MIB),
        (384 * MIB, 64 * GIB, 1536 * MIB),
        (4096 * MIB, 64 * GIB, 2048 * MIB),
        (384 * MIB, 1 * GIB, 256 * MIB),  # a quarter of what is free
        (384 * MIB, None, 128 * MIB),
        (None, 8 * GIB, 128 * MIB),
    ],
)
def test_a_round_reads_four_caches_as_far_as_memory_allows(
    cache: int | None, free: int | None, expected: int
) -> None:
    assert buffer_bytes(cache_bytes=cache, free_bytes=free) == expected


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))],
)
def test_threads_are_doubled_up_to_the_cores(cores: int, counts: tuple[int, ...]) -> None:
    assert thread_counts(cores) == counts


def test_a_round_lasts_as_long_as_its_slowest_thread() -> None:
    found = judged([[(1.0, 1.0), (2.0, 2.0)], [(1.0, 1.0), (1.0, 1.0)]], work_per_round=10.0)
    assert found.threads == 2
    assert found.per_s == 7.5
    assert found.best_per_s == 10.0
    assert found.cpu_share == 1.0
    assert found.is_measured
    assert found.corrected_per_s is None


def test_one_thread_that_got_half_a_processor_is_flagged_and_corrected() -> None:
    found = judged([[(2.0, 1.0)], [(2.2, 1.0)], [(1.8, 1.0)]], work_per_round=10.0)
    assert found.per_s == 5.0
    assert found.cpu_share == pytest.approx(0.5)
    assert not found.is_measured
    assert found.corrected_per_s == 10.0


def test_rounds_that_nobody_disturbed_decide_and_the_others_are_flagged_all_the_same() -> None:
    found = judged([[(4.0, 1.0)], [(1.0, 1.0)], [(1.0, 1.0)]], work_per_round=10.0)
    assert found.per_s == 10.0
    assert found.spread == 0.0
    assert found.cpu_share == 0.5
    assert not found.is_measured


def test_what_is_kept_of_a_disturbed_thread_is_its_rate_by_processor_time() -> None:
    assert judged([[(2.0, 1.0)]], work_per_round=10.0).likeliest_per_s == 10.0
    assert judged([[(1.0, 0.95)]], work_per_round=10.0).likeliest_per_s == 10.0
    assert judged([[(2.0, 1.0), (2.0, 1.0)]], work_per_round=10.0).likeliest_per_s == 5.0


def test_a_clock_too_coarse_to_see_a_round_corrects_nothing() -> None:
    assert judged([[(0.001, 0.0)]], work_per_round=1.0).corrected_per_s is None


def test_the_plateau_is_the_fewest_threads_that_bring_nearly_all() -> None:
    found = rates(rate(1, 10e9), rate(2, 19e9), rate(4, 30e9), rate(8, 30.5e9))
    assert found.plateau.threads == 4


def test_the_share_of_all_is_the_least_of_any() -> None:
    assert rates(rate(1, 1e10, 0.99), rate(2, 2e10, 0.7)).cpu_share == 0.7


def test_a_child_that_answers_with_something_else_is_an_error() -> None:
    for said in ("no JSON", '{"other": 1}', "[]", '{"rounds'):
        command = (sys.executable, "-c", f"input(); print({said!r})")
        with pytest.raises(ProbeError, match="no answer"):
            measure_rates(total_bytes=MIB, cores=1, command=command)


def test_a_child_that_ends_at_once_is_an_error() -> None:
    with pytest.raises(ProbeError):
        measure_rates(total_bytes=MIB, cores=1, command=(sys.executable, "-c", "pass"))


SPIN = "import time\nends_s = time.monotonic() + 60\nwhile time.monotonic() < ends_s: pass"


@contextmanager
def busy_processors(per_core: int) -> Iterator[None]:
    """Keep every processor busy with so many other processes."""
    count = per_core * len(os.sched_getaffinity(0))
    loads = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for load in loads:
            load.kill()
            load.wait()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="affinity masks are Linux's")
@pytest.mark.parametrize("total_bytes", [8 * MIB, 128 * MIB])
def test_a_load_on_every_processor_is_flagged_in_every_case(total_bytes: int) -> None:
    # where a pass takes a millisecond, as on fast memory, a scheduler's turn is many passes long
    cores = len(os.sched_getaffinity(0))
    with busy_processors(1):
        for _ in range(5):
            found = measure_rates(total_bytes=total_bytes, cores=min(cores, 4))
            assert found.cpu_share < 0.9
