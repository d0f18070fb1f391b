"""A limit of the GPU binds what it takes; all devices together may fill what is installed."""

from __future__ import annotations

from typing import Any

import pytest

from whatfits.sizing.api import check, load_model, together
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.json_values import to_json_value
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.machine_changes import idle_machine
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import GIB
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest, Workload

MAC = "m4-pro-24gb"
MODEL = "qwen3-30b-a3b"  # 18.1 GiB in Q4_K_M; macOS keeps 3 of 24 GiB, the GPU gets 16.0 to 17.8


def _remedies(plan: Any) -> dict[str, str]:  # noqa: ANN401 - a Plan
    return {remedy.key: remedy.verdict for remedy in plan.remedies}


def test_on_the_gpu_the_limit_binds_and_raising_it_helps() -> None:
    plan = check(MODEL, machine=MAC)
    assert plan.verdict == "no"
    assert plan.verdict_reason.startswith("the GPU's part of unified needs ")
    assert _remedies(plan)["raise_limit"] == "fits"


@pytest.mark.parametrize(
    ("machine", "how"),
    [
        (MAC, ": sudo sysctl iogpu.wired_limit_mb=20480"),
        ("strix halo 32gb", ": kernel parameter ttm.pages_limit=6815744 (Linux), a restart"),
        # neither Intel's driver nor Windows has a command for it
        ("arc 140v 32gb", ", if the settings of its driver or of the firmware offer that"),
    ],
)
def test_how_a_limit_is_raised_is_said_or_that_it_may_not_be_possible(
    machine: str, how: str
) -> None:
    plan = check(MODEL, machine=machine, workload={"context_tokens": 16_384})
    (found,) = [remedy for remedy in plan.remedies if remedy.key == "raise_limit"]
    assert found.text.endswith(how)


def test_the_command_of_linux_is_not_given_to_windows() -> None:
    machine = replace(machine_expression("strix halo 32gb"), os="windows")
    plan = check(MODEL, machine=machine, workload={"context_tokens": 16_384})
    (found,) = [remedy for remedy in plan.remedies if remedy.key == "raise_limit"]
    assert "ttm" not in found.text


def test_the_cpu_alone_is_offered_and_does_what_is_said_of_it() -> None:
    plan = check(MODEL, machine=MAC)
    (found,) = [remedy for remedy in plan.remedies if remedy.key == "cpu"]
    assert found.verdict == "fits"
    applied = check(MODEL, machine=MAC, **found.change)
    assert (applied.verdict, applied.memory.total_bytes) == (found.verdict, found.needs_bytes)
    assert "--device none" in str(applied.commands)
    already = check("llama-3.3-70b", machine=MAC, placement={"devices": ()})
    assert "cpu" not in _remedies(already)
    apart = check("llama-3.3-70b", machine="rtx-3060 12gb + 16gb")
    assert "cpu" not in _remedies(apart)
    assert "cpu" not in _remedies(check(MODEL, machine=MAC, runtime="ollama"))


@pytest.mark.parametrize("placement", [{"devices": ()}, {"gpu_layers": 30, "mmap": False}])
def test_what_the_cpu_holds_is_bound_by_what_is_installed(placement: dict[str, Any]) -> None:
    plan = check(MODEL, machine=MAC, placement=placement)
    assert plan.verdict == "fits"
    room = 24 * GIB - 3 * GIB
    assert plan.verdict_reason.startswith("unified: up to ")
    assert f"of {room / GIB:.1f} GiB free" in plan.verdict_reason
    host = plan.memory.devices[-1]
    assert (host.limit_bytes, host.free_bytes) == (24 * GIB, room)
    if "gpu_layers" in placement:
        gpu = plan.memory.devices[0]
        assert gpu.limit_bytes == gpu.free_bytes == plan.machine.pools[0].limit_bytes


def test_weights_of_the_cpu_may_lie_in_the_part_of_the_file_that_metal_wraps() -> None:
    """From the output matrix, which is the first of the file, to the last layer."""
    plan = check(MODEL, machine=MAC, placement={"gpu_layers": 30})
    gpu, host = plan.memory.devices
    assert gpu.high_bytes < 16 * GIB < gpu.high_bytes + host.weights_bytes
    assert plan.verdict == "tight"
    assert f"up to {(gpu.high_bytes + host.weights_bytes) / GIB:.1f} GiB" in plan.verdict_reason


def test_without_a_layer_on_the_gpu_metal_wraps_nothing() -> None:
    assert check(MODEL, machine=MAC, placement={"gpu_layers": 0}).verdict == "fits"


def test_all_together_may_be_too_much_though_each_part_has_room() -> None:
    """Q5_K_M is 20.7 GiB: half of it is under the limit, all of it over 21 GiB with its cache."""
    plan = check(MODEL, machine=MAC, file_type="Q5_K_M", placement={"gpu_layers": 24})
    gpu, _ = plan.memory.devices
    assert gpu.high_bytes < 16 * GIB
    assert plan.verdict == "no"
    assert plan.verdict_reason.startswith("unified needs ")
    assert "raise_limit" not in _remedies(plan)
    assert plan.memory.total_bytes > 21 * GIB


def test_the_shortfall_of_two_bounds_is_counted_once() -> None:
    machine = machine_expression(MAC)
    trial = Trials(load_model("llama-3.3-70b"), machine, Workload(), PlacementRequest()).first()
    whole = trial.memory.high_bytes - 21 * GIB
    gpu, host = trial.memory.devices
    of_gpu = gpu.high_bytes + host.weights_bytes - 16 * GIB
    assert trial.judgement.shortfall_bytes == max(whole, of_gpu)


def test_models_together_share_the_limit_and_what_is_installed() -> None:
    plan = together(["llama-3.1-8b", "qwen3-4b"], machine=MAC)
    first, second = plan.models
    gpu = first.memory.devices[0].high_bytes + first.memory.devices[1].weights_bytes
    before, after = (model.machine.pools[0] for model in plan.models)
    assert before.limit_bytes is not None
    assert after.limit_bytes == before.limit_bytes - gpu
    assert after.whole.free_bytes == 21 * GIB - first.memory.high_bytes
    (share,) = plan.pools
    taken = first.memory.high_bytes + second.memory.high_bytes
    assert (share.free_bytes, share.left_bytes) == (21 * GIB, 21 * GIB - taken)


def test_the_gtt_limit_of_a_strix_halo_binds_its_gpu_alone() -> None:
    on_gpu = check("qwen3-235b-a22b", machine="strix-halo 128gb", file_type="Q3_K_M")
    on_cpu = check(
        "qwen3-235b-a22b",
        machine="strix-halo 128gb",
        file_type="Q3_K_M",
        placement={"devices": ()},
    )
    assert (on_gpu.verdict, on_cpu.verdict) == ("no", "fits")


def test_a_limit_that_binds_the_pool_binds_the_cpu_too() -> None:
    """As of a control group, and of machine files that do not say whom their limit binds."""
    value = to_json_value(machine_expression(MAC))
    del value["pools"][0]["limit_scope"]
    plan = check(MODEL, machine=value, placement={"devices": ()})
    assert plan.verdict == "no"
    assert "14.8 GiB" in plan.verdict_reason  # 17.8 less the reserve


def test_only_a_limit_of_the_gpu_is_said_to_be_raised() -> None:
    value = to_json_value(machine_expression(MAC))
    value["pools"][0] |= {"reserve_bytes": 0, "limit_scope": "pool"}
    assert "raise_limit" not in _remedies(check(MODEL, machine=value))
    value["pools"][0]["limit_scope"] = "accelerators"
    assert "raise_limit" in _remedies(check(MODEL, machine=value))


def _unified(**changes: Any) -> Pool:  # noqa: ANN401 - fields of a pool
    fields: dict[str, Any] = {
        "limit_bytes": 16 * GIB,
        "limit_low_bytes": 12 * GIB,
        "used_bytes": 5 * GIB,
        "reserve_bytes": GIB,
        "limit_scope": "accelerators",
    }
    return Pool("unified", "unified", 24 * GIB, **{**fields, **changes})


def test_what_others_hold_beside_the_limit_takes_nothing_from_the_gpu() -> None:
    pool = _unified()
    assert (pool.free_bytes, pool.free_low_bytes) == (16 * GIB, 12 * GIB)
    assert pool.whole.free_bytes == pool.whole.free_low_bytes == 18 * GIB
    full = _unified(used_bytes=15 * GIB)
    assert full.free_bytes == full.free_low_bytes == full.whole.free_bytes == 8 * GIB
    assert (full.free_when_idle_bytes, full.whole.free_when_idle_bytes) == (16 * GIB, 23 * GIB)
    assert _unified(used_bytes=None).free_bytes is None
    marketed = _unified(total_low_bytes=20 * GIB, used_bytes=8 * GIB)
    assert (marketed.free_low_bytes, marketed.whole.free_low_bytes) == (11 * GIB, 11 * GIB)


def test_each_device_sees_what_it_may_fill() -> None:
    pool = _unified()
    gpu, cpu = Device("metal", "metal", "a GPU", "unified"), Device("cpu", "cpu", "CPU", "unified")
    assert pool.of(gpu) == pool
    assert pool.of(cpu) == pool.whole
    idle = idle_machine(Machine(pools=(pool,), devices=(gpu, cpu), os="macos"))
    assert idle.pools[0].whole.free_bytes == 21 * GIB


def test_how_to_raise_the_limit_of_an_apu_is_said() -> None:
    plan = check("qwen3-235b-a22b", file_type="Q3_K_M", machine="strix halo 128gb")
    (raised,) = [remedy for remedy in plan.remedies if remedy.key == "raise_limit"]
    # 120 GiB in pages of 4 KiB, as probes/amd.py says it of a machine that was read
    assert "120.0 GiB: kernel parameter ttm.pages_limit=31457280 " in raised.text


def test_what_spills_from_a_card_fills_what_the_limit_keeps_from_the_other_gpu() -> None:
    halo = to_json_value(machine_expression("strix-halo 128gb"))
    card = to_json_value(machine_expression("rtx-4090 + 64gb"))
    machine = {
        **halo,
        "pools": [*halo["pools"], card["pools"][0]],
        "devices": [card["devices"][0], *halo["devices"]],
    }
    plan = check("llama-3.3-70b", machine=machine, placement={"devices": ("cuda0",)})
    assert plan.verdict == "fits"  # the memory that it spills to is as fast as it gets there
    assert plan.placement.devices == ("cuda0",)
    layers = plan.placement.gpu_layers
    assert layers is not None
    assert 0 < layers < 81
    more = check(
        "llama-3.3-70b",
        machine=machine,
        placement={"devices": ("cuda0",), "gpu_layers": layers + 1},
    )
    assert more.verdict != "fits"
