"""What is measured on a machine: its devices, its threads, models larger than its cache."""

from __future__ import annotations

import pytest

from whatfits.bench.micro import trials
from whatfits.bench.session import cache_bytes, host_threads, targets, versions
from whatfits.probes.report import Evidence, ProbeReport
from whatfits.sizing import load_machine
from whatfits.sizing.units import MIB
from whatfits.sizing.version import VERSION


def report(machine: str = "64gb", **facts: int | str) -> ProbeReport:
    evidence = tuple(
        Evidence(key.replace("__", "."), value, "count", "a file", "reported")
        for key, value in facts.items()
    )
    return ProbeReport(load_machine(machine), evidence)


@pytest.mark.parametrize(
    ("facts", "threads"),
    [
        ({}, 1),  # nothing is known: one thread is never too many
        ({"cpu__physical_cores": 8, "cpu__logical_cores": 16}, 8),
        ({"cpu__performance_cores": 6, "cpu__physical_cores": 14}, 6),
        ({"cpu__physical_cores": 8, "cpu__usable_cores": 3}, 3),
        ({"cpu__logical_cores": 4}, 4),
    ],
)
def test_threads_are_the_cores_that_may_be_used(facts: dict[str, int], threads: int) -> None:
    assert host_threads(report(**facts)) == threads


def test_each_accelerator_that_llama_cpp_can_use_is_measured_and_the_processor_last() -> None:
    machine = report("2x rtx-4090 + 64gb", cpu__physical_cores=8)
    first, second = machine.machine.accelerators
    found = targets(machine, {second.id: "CUDA1", first.id: "CUDA0"})
    assert [(target.device, target.llama_name) for target in found] == [
        (first.id, "CUDA0"),
        (second.id, "CUDA1"),
        ("cpu", None),
    ]
    assert found[0].settings.devices == ("CUDA0",)
    assert found[-1].settings.devices == ()
    assert found[-1].settings.gpu_layers == 0
    assert found[-1].threads == 8


def test_an_accelerator_that_this_build_cannot_use_is_not_measured() -> None:
    assert [target.device for target in targets(report("rtx-4090 + 64gb"), {})] == ["cpu"]


def test_the_cache_of_all_sockets_counts() -> None:
    both = {"cpu__l3_bytes": 32 * MIB, "cpu__l3_total_bytes": 256 * MIB}
    assert cache_bytes(report(**both)) == 256 * MIB
    assert cache_bytes(report(cpu__l3_bytes=32 * MIB)) == 32 * MIB
    assert cache_bytes(report()) is None


@pytest.mark.parametrize("cache", [None, 8 * MIB, 32 * MIB, 96 * MIB, 256 * MIB])
def test_every_model_with_weights_is_at_least_three_times_the_cache(cache: int | None) -> None:
    for trial in trials(threads=4, cache_bytes=cache):
        read = sum(trial.drawn.bytes_by_type.values())
        if trial.drawn.shape.name == "tiny":  # what a token costs beside its weights
            assert read < 2 * MIB
        else:
            assert read >= max(3 * (cache or 0), 100 * MIB)


def test_the_sweep_is_timed_with_one_model_only() -> None:
    found = trials(threads=8, sweep=(1, 2, 4, 8))
    threads = [{step.threads for step in trial.steps} for trial in found]
    assert threads[0] == {1, 2, 4, 8}
    assert all(counts == {8} for counts in threads[1:])


def test_versions_name_the_program_and_the_driver() -> None:
    found = dict(versions(report(nvidia__driver_version="580.1")))
    assert found["whatfits"] == VERSION
    assert found["nvidia.driver_version"] == "580.1"
    assert "numpy" in found
