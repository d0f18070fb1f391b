"""A card that is full already is left out by name: layers beside it lie where there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check, together
from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.overhead import device_overhead
from whatfits.sizing.runtimes.ollama import default_context_tokens
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import GIB
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine, Pool

CUDA_MOST_BYTES = device_overhead("cuda").high_bytes


def with_free(expression: str, **free_bytes: int) -> Machine:
    """Return a machine of whose pools so much is free."""
    machine = load_machine(expression)

    def held(pool: Pool) -> Pool:
        used, free = pool.used_bytes, pool.free_low_bytes
        assert used is not None
        assert free is not None
        return replace(pool, used_bytes=used + free - free_bytes.get(pool.id, free))

    return replace(machine, pools=tuple(map(held, machine.pools)))


def test_a_full_card_leaves_everything_on_the_other() -> None:
    one = check("llama-3.1-8b", machine="rtx-3090 + 64gb")
    machine = with_free("2x rtx-3090 + 64gb", vram1=GIB // 4)
    plan = check("llama-3.1-8b", machine=machine)
    assert plan.verdict == "fits"
    assert plan.memory.total_bytes == one.memory.total_bytes
    assert plan.largest_context_tokens == one.largest_context_tokens
    assert "--device CUDA0" in plan.commands["llama.cpp"][0]
    assert any(note.startswith("GeForce RTX 3090 (cuda1) is left out") for note in plan.notes)


@pytest.mark.parametrize("missing_bytes", [0, 1])
def test_a_card_takes_part_from_the_driver_s_part_on(missing_bytes: int) -> None:
    machine = with_free("2x rtx-3090 + 64gb", vram1=CUDA_MOST_BYTES - missing_bytes)
    plan = check("llama-3.1-8b", machine=machine)
    assert plan.verdict == "fits"
    assert ("--device" in plan.commands["llama.cpp"][0]) == bool(missing_bytes)


def test_the_split_over_the_others_stays_open() -> None:
    machine = with_free("3x rtx-3090 + 64gb", vram0=0)
    plan = check("llama-3.3-70b", machine=machine)
    assert plan.verdict == "fits"
    assert "--device CUDA1,CUDA2 -ts 41,40" in plan.commands["llama.cpp"][0]
    longer = check("llama-3.3-70b", machine=machine, workload={"context_tokens": 18_432})
    assert (longer.verdict, plan.largest_context_tokens) == ("fits", 18_432)


def test_what_spills_still_fills_the_card_with_room() -> None:
    one = check("llama-3.3-70b", machine="rtx-4090 + 64gb")
    plan = check("llama-3.3-70b", machine=with_free("rtx-4090 + rtx-3060 12gb + 64gb", vram1=0))
    assert plan.verdict == one.verdict == "slow"
    assert plan.placement.gpu_layers == one.placement.gpu_layers


def test_full_cards_alone_leave_the_host() -> None:
    plan = check("llama-3.1-8b", machine=with_free("2x rtx-3090 + 64gb", vram0=0, vram1=0))
    assert "--device none" in plan.commands["llama.cpp"][0]


def test_nothing_is_left_out_where_every_card_has_to_take_part() -> None:
    machine = with_free("2x rtx-3090 + 64gb", vram1=0)
    spec, workload = load_model("llama-3.1-8b"), Workload()
    for may_leave_out, cards in ((True, ["cuda0"]), (False, ["cuda0", "cuda1"])):
        first = Trials(
            spec, machine, workload, PlacementRequest(), may_leave_out=may_leave_out
        ).first()
        assert [device.id for device in first.placement.accelerators] == cards


def test_a_card_that_is_named_takes_part_however_full() -> None:
    machine = with_free("2x rtx-3090 + 64gb", vram1=0)
    plan = check("llama-3.1-8b", machine=machine, placement={"devices": ("cuda0", "cuda1")})
    assert {row.device for row in plan.memory.devices} != {"cuda0", "cpu"}


def test_the_next_model_comes_to_the_card_that_the_others_left() -> None:
    names = ["gemma-3-4b", "bge-m3", "falcon-h1-7b", "llama-3.2-1b"]
    verdicts = [
        together(
            names, machine="rtx-4090 + rtx-3060 12gb + 64gb", workload={"context_tokens": tokens}
        ).verdict
        for tokens in (8192, 4096, 2048)
    ]
    assert verdicts == ["fits", "fits", "fits"]


def test_closing_what_fills_a_card_is_still_offered() -> None:
    machine = with_free("2x rtx-3090 + 64gb", vram1=0)
    plan = check("llama-3.3-70b", machine=machine)
    assert plan.verdict == "slow"
    (close,) = (remedy for remedy in plan.remedies if remedy.key == "close")
    assert close.verdict == "fits"


def cut_up(machine: Machine) -> Machine:
    slices = tuple(
        replace(device, features=(*device.features, "mig")) if device.kind == "cuda" else device
        for device in machine.devices
    )
    return replace(machine, devices=slices)


@pytest.mark.parametrize("runtime", ["jan", "lm-studio", "ollama"])
def test_other_programs_see_one_slice_too(runtime: str) -> None:
    machine = with_free("2x rtx-3090 + 64gb", vram0=9 * GIB)
    plan = check("llama-3.3-70b", machine=cut_up(machine), runtime=runtime)
    assert [row.device for row in plan.memory.devices] == ["cuda1", "cpu"]


def test_ollama_takes_its_context_by_the_slice_that_it_sees() -> None:
    spec = load_model("llama-3.1-8b")
    one, two = load_machine("rtx-3090 + 64gb"), load_machine("2x rtx-3090 + 64gb")
    assert default_context_tokens(spec, two) > default_context_tokens(spec, one)
    assert default_context_tokens(spec, cut_up(two)) == default_context_tokens(spec, one)


@pytest.mark.parametrize("roomiest", [0, 1])
def test_of_cards_that_are_cut_up_one_slice_takes_part(roomiest: int) -> None:
    # CUDA: a process sees one MIG instance, whichever its environment names
    machine = with_free("2x rtx-3090 + 64gb", **{f"vram{1 - roomiest}": 9 * GIB})
    plan = check("llama-3.3-70b", machine=cut_up(machine))
    assert plan.verdict == "slow"
    assert {row.device for row in plan.memory.devices} == {f"cuda{roomiest}", "cpu"}
    (command,) = plan.commands["llama.cpp"]
    assert "-ts" not in command
    assert "--device" not in command  # the one it sees is its first
    assert any(f"(cuda{roomiest}), as nvidia-smi -L lists it" in note for note in plan.notes)
