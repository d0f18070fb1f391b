"""What a server tells is held against the right part of a plan, and settings are put together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing.api import check, load_machine, load_model
from whatfits.sizing.overhead import overhead_of
from whatfits.sizing.servers.figures import (
    file_value,
    ollama_values,
    resident_value,
    settings_values,
    taken_value,
    tensor_value,
    told_permille,
)
from whatfits.sizing.servers.settings import completed, filled, is_llama_server, machine_before
from whatfits.sizing.servers.verification import ComparedValue, verdict_of
from whatfits.sizing.workload import PlacementRequest, Workload

CARD = "rtx 3060 12gb + 32gb"


def test_buffers_leave_out_what_drivers_hold() -> None:
    plan = check("llama-3.1-8b", machine=CARD, runtime="ollama")
    card, host = plan.memory.devices
    parts = ("weights_bytes", "kv_cache_bytes", "compute_bytes", "output_bytes")
    on_card, on_host = (sum(getattr(row, part) for part in parts) for row in (card, host))
    held, taken = ollama_values(plan, held_bytes=on_card + on_host, accelerator_bytes=on_card)
    assert (held.predicted, taken.predicted) == (on_card + on_host, on_card)
    assert held.inside
    assert taken.inside
    driver = overhead_of(plan.machine, plan.machine.devices[0], is_server=True)
    assert driver.mid_bytes > 0
    _, wrong = ollama_values(plan, held_bytes=on_card, accelerator_bytes=on_card + driver.mid_bytes)
    assert not wrong.inside


def test_a_model_wholly_on_gpus_is_told_without_the_hosts_buffers() -> None:
    plan = check("llama-3.1-8b", machine=CARD, runtime="ollama")
    card, host = plan.memory.devices
    on_card = card.total_bytes - card.overhead_bytes
    (held, taken) = ollama_values(plan, held_bytes=on_card, accelerator_bytes=on_card)
    assert held.predicted == taken.predicted == on_card
    assert host.total_bytes - host.overhead_bytes > held.high - held.predicted  # type: ignore[operator]


def test_sizes_of_tensors_are_exact_and_sizes_on_disk_may_have_more_beside_them() -> None:
    spec = load_model("llama-3.1-8b", file_type="Q4_K_M")
    assert tensor_value(spec, spec.tensor_bytes).inside
    assert not tensor_value(spec, spec.tensor_bytes + 1).inside
    known = spec.file_bytes
    assert known is not None
    assert file_value(spec, known).miss == 0
    assert file_value(spec, known + 10**9).inside
    assert not file_value(spec, known - 1).inside


def test_only_what_was_not_taken_from_the_server_is_compared() -> None:
    nothing = settings_values(sequence_tokens=None, told_tokens=1, slots=None, told_slots=2)
    assert nothing == ()
    context, slots = settings_values(sequence_tokens=8, told_tokens=9, slots=2, told_slots=2)
    assert (context.miss, context.inside, slots.inside) == (1, False, True)
    assert settings_values(sequence_tokens=8, told_tokens=None, slots=1, told_slots=None) == ()


def test_mapped_weights_may_be_taken_back_and_read_ones_may_not() -> None:
    read = check("llama-3.1-8b", machine="64gb", placement={"mmap": False})
    mapped = check("llama-3.1-8b", machine="64gb", placement={"mmap": True})
    host = read.memory.devices[-1]
    cache = host.kv_cache_bytes + host.output_bytes
    assert not resident_value(read, cache).inside
    assert resident_value(mapped, cache).inside
    for plan in (read, mapped):
        assert resident_value(plan, host.weights_bytes + cache).inside
        assert not resident_value(plan, cache // 2).inside


def test_what_a_process_takes_of_a_card_has_the_drivers_share_in_it() -> None:
    plan = check("llama-3.1-8b", machine=CARD)
    card = plan.memory.devices[0]
    assert taken_value(plan, card.total_bytes).miss == 0
    assert taken_value(plan, card.high_bytes).inside
    assert not taken_value(plan, card.high_bytes + 1).inside
    assert not taken_value(plan, card.low_bytes - 1).inside


def value(told: int, *, high: int | None = 12) -> ComparedValue:
    return ComparedValue("slots", "count", 10, 8, high, told, "a test")


def test_the_verdict_is_that_of_the_worst_figure() -> None:
    assert verdict_of((value(10), value(10))) == "equal"
    assert verdict_of((value(10), value(8), value(12))) == "inside"
    assert verdict_of((value(10), value(13))) == "outside"
    assert verdict_of((value(7),)) == "outside"
    assert verdict_of((value(10**6, high=None),)) == "inside"


@pytest.mark.parametrize(
    ("share", "permille"),
    [
        ("0.92", 920),
        (".9", 900),
        ("0.8531", 853),
        ("1.0", 1000),
        ("1", 1000),
        ("", None),
        ("None", None),
        ("1.2", None),
        ("-0.5", None),
        ("nan", None),
        ("9" * 50, None),
    ],
)
def test_a_share_is_read_or_unknown(share: str, permille: int | None) -> None:
    assert told_permille({"gpu_memory_utilization": share}) == permille
    assert told_permille({}) is None


def test_what_is_typed_comes_before_what_is_told() -> None:
    told = Workload(context_tokens=4096, parallel=2, kv_type_k="q8_0")
    typed = Workload(parallel=4)
    both = filled(told, typed)
    assert (both.context_tokens, both.parallel, both.kv_type_k) == (4096, 4, "q8_0")
    assert filled(told, Workload()) == told
    layers = filled(PlacementRequest(gpu_layers=3), PlacementRequest(mmap=False))
    assert (layers.gpu_layers, layers.mmap) == (3, False)


@pytest.mark.parametrize(
    ("asked", "slots", "context", "unified"),
    [
        (Workload(), 1, 4096, None),
        (Workload(), 4, 4096, True),  # slots of its own choice share one cache
        (Workload(parallel=4), 4, 16_384, None),
        (Workload(parallel=4, kv_unified=True), 4, 4096, True),
        (Workload(kv_unified=False), 4, 16_384, False),
        (Workload(context_tokens=512), 4, 512, True),
    ],
)
def test_the_cache_of_a_server_is_that_of_all_its_slots(
    asked: Workload, slots: int, context: int, unified: bool | None
) -> None:
    found = completed(asked, 4096, slots)
    assert (found.context_tokens, found.parallel, found.kv_unified) == (context, slots, unified)


def test_what_says_nothing_is_left_open() -> None:
    assert completed(Workload(), None, None) == Workload()


def test_a_server_gives_back_what_it_took() -> None:
    machine = load_machine("2x rtx 3090 + 64gb")
    used = replace(
        machine, pools=tuple(replace(pool, used_bytes=10 * 2**30) for pool in machine.pools)
    )
    before = machine_before(used, host_bytes=2**30, accelerator_bytes=5 * 2**30)
    by_kind = {pool.kind: pool.used_bytes for pool in before.pools}
    assert by_kind == {"vram": 0, "ram": 9 * 2**30}  # which of two cards it was is not told
    one = replace(used, pools=used.pools[:1] + used.pools[-1:], devices=used.devices[:1])
    before = machine_before(one, host_bytes=20 * 2**30, accelerator_bytes=4 * 2**30)
    assert {pool.kind: pool.used_bytes for pool in before.pools} == {"vram": 6 * 2**30, "ram": 0}


@pytest.mark.parametrize(
    ("command", "is_it"),
    [
        (("llama-server", "-m", "a"), True),
        (("/usr/bin/llama-server",), True),
        (("C:\\bin\\llama-server.exe",), True),
        (("python3", "llama-server"), False),
        (("my-llama-server",), False),
        ((), False),
    ],
)
def test_a_llama_server_is_known_by_its_program(command: tuple[str, ...], is_it: bool) -> None:
    assert is_llama_server(command) is is_it
