"""Models that stay loaded together, each on what the ones before it leave, to the byte."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check, together
from whatfits.sizing.api import load_model
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.resident_trials import reserved, without, worst_of
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.residents import TogetherPlan

ONE = load_model("smollm2-135m")
TWO = load_model("qwen2.5-0.5b")
WORKLOAD = Workload(context_tokens=4096)


def pc(card: int, ram: int | None = 64 * GIB) -> Machine:
    """Return a PC with a card of so many bytes, all of them free."""
    return Machine(
        pools=(Pool("vram0", "vram", card), Pool("ram", "ram", ram)),
        devices=(
            Device("cuda0", "cuda", "a card", "vram0", 5 * 10**11),
            Device("cpu", "cpu", "a CPU", "ram", 5 * 10**10),
        ),
    )


PLENTY = pc(64 * GIB)


def taken(plan: Plan, pool: str) -> int:
    """Return the upper end of what a plan takes of a pool, in bytes."""
    return sum(row.high_bytes for row in plan.memory.devices if row.pool == pool)


def loaded(*specs: ModelSpec, machine: Machine = PLENTY, **asked: Any) -> TogetherPlan:  # noqa: ANN401
    return together(list(specs), machine=machine, workload=asked.pop("workload", WORKLOAD), **asked)


def trained_for(tokens: int | None) -> ModelSpec:
    return replace(ONE, hparams=replace(ONE.hparams, context_train_tokens=tokens))


# what is left


def test_a_card_of_exactly_both_needs_holds_both() -> None:
    both = sum(taken(plan, "vram0") for plan in loaded(ONE, TWO).models)
    enough, short = loaded(ONE, TWO, machine=pc(both)), loaded(ONE, TWO, machine=pc(both - 1))
    assert (enough.verdict, short.verdict) == ("fits", "slow")
    assert enough.pools[0].left_bytes == 0
    assert [plan.verdict for plan in short.models] == ["fits", "slow"]
    assert short.pools[0].high_bytes[0] == enough.pools[0].high_bytes[0]


def test_every_pool_says_who_takes_what_and_what_is_left() -> None:
    plan = loaded(ONE, TWO, ONE)
    for share, pool in zip(plan.pools, PLENTY.pools, strict=True):
        assert share.pool == pool.id
        assert share.free_bytes == pool.total_bytes == 64 * GIB
        assert share.high_bytes == tuple(taken(one, pool.id) for one in plan.models)
        assert share.left_bytes == 64 * GIB - sum(share.high_bytes)
    assert plan.machine == PLENTY


def test_what_does_not_run_takes_nothing() -> None:
    (alone,) = loaded(ONE).models
    machine = pc(taken(alone, "vram0"), taken(alone, "ram"))
    plan = loaded(TWO, ONE, machine=machine)
    assert [one.verdict for one in plan.models] == ["no", "fits"]
    assert plan.models[1].machine == machine
    assert plan.verdict == "no"
    assert plan.verdict_reason == f"{TWO.name}: {plan.models[0].verdict_reason}"


def test_of_room_that_is_not_known_nothing_is_said() -> None:
    plan = loaded(ONE, machine=pc(64 * GIB, None))
    assert plan.verdict == "fits"
    assert (plan.pools[1].free_bytes, plan.pools[1].left_bytes) == (None, None)
    alone = check(ONE, machine=pc(64 * GIB, None), workload=WORKLOAD).commands["llama.cpp"]
    assert plan.models[0].commands["llama.cpp"] == tuple(f"{line} --port 8080" for line in alone)


def test_the_worst_verdict_is_that_of_all() -> None:
    in_order = ("fits", "slow", "tight", "unknown", "no")
    for index, worse in enumerate(in_order):
        for better in in_order[: index + 1]:
            assert worst_of([better, worse]) == worst_of([worse, better]) == worse  # type: ignore[list-item]


def test_a_need_becomes_a_reserve_of_its_pool() -> None:
    machine = replace(PLENTY, pools=(replace(PLENTY.pools[0], reserve_bytes=5), PLENTY.pools[1]))
    assert [pool.reserve_bytes for pool in reserved(machine, {"vram0": 7}).pools] == [12, 0]
    plan = check(ONE, machine=machine, workload=WORKLOAD)
    for verdict in ("fits", "slow", "tight"):
        left = without(machine, plan.memory, verdict)  # type: ignore[arg-type]
        reserves = [pool.reserve_bytes for pool in left.pools]
        assert reserves == [5 + taken(plan, "vram0"), taken(plan, "ram")]
    for verdict in ("no", "unknown"):
        assert without(machine, plan.memory, verdict) == machine  # type: ignore[arg-type]


# words


def test_that_they_share_their_speed_is_said_of_several_and_not_of_one() -> None:
    assert loaded(ONE).notes == ()
    (said,) = loaded(ONE, ONE).notes
    assert "at work together they share them" in said


def test_what_is_said_of_one_and_of_several() -> None:
    one, two = loaded(ONE), loaded(ONE, TWO)
    assert one.verdict_reason == two.verdict_reason
    assert "at once" in two.verdict_reason
    assert one.remedies == two.remedies == ()
    slow = loaded(ONE, TWO, machine=pc(taken(one.models[0], "vram0")))
    assert slow.verdict_reason == f"{TWO.name}: {slow.models[1].verdict_reason}"
    assert {remedy.verdict for remedy in slow.remedies} == {"fits"}


def test_what_cannot_be_judged_has_no_remedies() -> None:
    alone = pc(0, None)
    plan = loaded(ONE, machine=replace(alone, devices=alone.devices[1:]))
    assert (plan.verdict, plan.remedies) == ("unknown", ())


# commands


def test_ports_count_up_from_the_first() -> None:
    for asked, first in (({}, 8080), ({"first_port": 1}, 1), ({"first_port": 65_533}, 65_533)):
        plan = loaded(ONE, ONE, TWO, **asked)
        ports = [one.commands["llama.cpp"][0].rpartition(" --port ")[2] for one in plan.models]
        assert ports == [str(first), str(first + 1), str(first + 2)]


@pytest.mark.parametrize(("port", "count"), [(0, 1), (-1, 1), (65_536, 1), (65_534, 3)])
def test_there_is_no_port_below_one_or_above_the_highest(port: int, count: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"from 1 to {65_536 - count:,}"):
        loaded(*[ONE] * count, first_port=port)


def test_without_a_model_there_is_nothing_to_load() -> None:
    with pytest.raises(InvalidRequestError, match="one or more"):
        loaded()


@pytest.mark.parametrize("specs", [(ONE,), (ONE, TWO), (TWO, ONE, ONE)])
@pytest.mark.parametrize("ram_gib", [1, 2, 9])
def test_each_may_grow_to_its_part_of_what_all_of_them_leave(
    specs: tuple[ModelSpec, ...], ram_gib: int
) -> None:
    machine = pc(64 * GIB, ram_gib * GIB)
    plan = loaded(*specs, machine=machine)
    left = ram_gib * GIB - sum(taken(one, "ram") for one in plan.models)
    before = ram_gib * GIB
    for index, (spec, one) in enumerate(zip(specs, plan.models, strict=True)):
        own = taken(one, "ram")
        room = own + left // len(specs)
        alone = reserved(one.machine, {"ram": before - room})
        assert alone.pool("ram").free_low_bytes == room
        lines = check(spec, machine=alone, workload=WORKLOAD).commands["llama.cpp"]
        said = tuple(f"{line} --port {8080 + index}" for line in lines)
        assert one.commands == {"llama.cpp": said}
        before -= own


def test_what_does_not_run_has_a_command_only_where_it_is_forced() -> None:
    machine = pc(0, 2**20)
    assert loaded(ONE, machine=machine).models[0].commands == {}
    forced = loaded(ONE, machine=machine, force=True).models[0]
    alone = check(ONE, machine=machine, workload=WORKLOAD, force=True).commands["llama.cpp"]
    assert forced.commands["llama.cpp"] == tuple(f"{line} --port 8080" for line in alone)


# contexts


@pytest.mark.parametrize(
    ("trained", "asked", "parallel", "context"),
    [
        (2048, 4096, None, 2048),
        (2048, 2048, None, 2048),
        (2048, 1024, None, 1024),
        (2048, 4096, 1, 2048),
        (2048, 8192, 2, 4096),
        (2048, 8192, 4, 8192),
        (None, 65_536, None, 65_536),
        (2048, None, None, 2048),
        (None, None, None, 8192),
    ],
)
def test_a_context_is_cut_to_what_a_model_was_trained_for(
    trained: int | None, asked: int | None, parallel: int | None, context: int
) -> None:
    workload = Workload(context_tokens=asked, parallel=parallel)
    (one,) = loaded(trained_for(trained), workload=workload).models
    assert one.workload.context_tokens == context
