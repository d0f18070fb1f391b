"""Laws of the placement, by counting: no pool is ever overrun, and nothing better was missed.

Machines are drawn about the size of the model, so that most of them have to cut it. Where the
engine closes in on a number, these tests try every number there is.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from drawn import limit_scopes, model
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from whatfits.sizing import together
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import MIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from whatfits.sizing.search.trial import Trial

pytestmark = pytest.mark.slow

DENSE = ("smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b", "tinyllama-1.1b", "gemma-3-1b")
EXPERTS = ("granite-3.0-1b-a400m", "olmoe-1b-7b")
OTHERS = ("lfm2-350m", "granite-4.0-h-350m", "nomic-embed-text-v1.5", "qwen3-0.6b", "gemma-2b")
SHORT = ("smollm2-135m", "tinyllama-1.1b", "granite-3.0-1b-a400m")  # trained for 8,192 at most
RUNS = frozenset({"fits", "slow"})
BEST_FIRST = ("fits", "slow", "tight", "no")
STEP = 256
CONTEXTS = st.sampled_from([256, 1000, 4096, 8192, 32_768])


@cache
def _replays(name: str) -> Replays:
    """Return what all searches for a model may share, to be quick: its graphs."""
    del name
    return Replays()


def search(
    name: str,
    machine: Machine,
    placement: PlacementRequest | None = None,
    **asked: Any,  # noqa: ANN401 - fields of a Workload
) -> Trials:
    """Return the engine's search for a model on a machine."""
    wanted = placement or PlacementRequest()
    return Trials(model(name), machine, Workload(**asked), wanted, replays=_replays(name))


def tried(
    name: str,
    machine: Machine,
    context: int,
    **placement: Any,  # noqa: ANN401 - fields of a PlacementRequest
) -> Trial:
    """Return one placement as it was asked for, without a search."""
    return search(name, machine, PlacementRequest(**placement), context_tokens=context).first()


@st.composite
def _pools(draw: DrawFn, pool_id: str, kind: str, whole_bytes: int) -> Pool:
    """Draw a pool of up to twice a model's size and what a driver takes."""
    room = draw(st.integers(0, 2 * whole_bytes)) + draw(st.integers(0, 1200)) * MIB
    used, reserve = (draw(st.just(0) | st.integers(0, 600 * MIB)) for _ in range(2))
    total = room + used + reserve
    return Pool(
        id=pool_id,
        kind=kind,  # type: ignore[arg-type]
        total_bytes=total,
        limit_bytes=draw(st.none() | st.integers(total // 2, total)),
        used_bytes=used,
        reserve_bytes=reserve,
        total_low_bytes=draw(st.none() | st.integers(total - total // 20, total)),
        limit_scope=draw(limit_scopes(kind)),
    )


@st.composite
def machines(draw: DrawFn, name: str, *, cards: int | None = None) -> Machine:
    """Draw a machine for a model: one to four unequal cards, unified memory, or RAM alone.

    Six: a card beside unified memory.
    """
    whole = model(name).tensor_bytes
    count = draw(st.integers(0, 6)) if cards is None else cards
    if count == 6:
        pools = (draw(_pools("vram0", "vram", whole)), draw(_pools("unified", "unified", whole)))
        both = (
            Device("rocm0", "rocm", "a card", "vram0"),
            Device("rocm1", "rocm", "an APU", "unified"),
        )
        return Machine(pools=pools, devices=(*both, Device("cpu", "cpu", "a CPU", "unified")))
    if count == 5:
        pools = (draw(_pools("unified", "unified", whole)),)
        gpu = Device("metal", "metal", "an Apple GPU", "unified", 10**11)
        return Machine(pools=pools, devices=(gpu, Device("cpu", "cpu", "a CPU", "unified")))
    kind = draw(st.sampled_from(["cuda", "rocm", "vulkan"]))
    vram = tuple(draw(_pools(f"vram{i}", "vram", whole // max(1, count))) for i in range(count))
    gpus = tuple(
        Device(f"{kind}{i}", kind, "a card", pool.id, 5 * 10**11) for i, pool in enumerate(vram)
    )
    cpu = Device("cpu", "cpu", "a CPU", "ram", 5 * 10**10, features=("avx2",))
    return Machine(pools=(*vram, draw(_pools("ram", "ram", whole))), devices=(*gpus, cpu))


def _surely_free_bytes(pool: Pool, *, of_gpu: bool = False) -> int:
    """Return what all devices may take of a pool, or what GPUs may where a limit is theirs."""
    total = pool.total_bytes if pool.total_low_bytes is None else pool.total_low_bytes
    assert total is not None
    assert pool.used_bytes is not None
    limit = total if pool.limit_bytes is None else pool.limit_bytes
    if pool.limit_scope == "pool":
        return max(0, min(total, limit) - pool.used_bytes - pool.reserve_bytes)
    left = max(0, total - pool.used_bytes - pool.reserve_bytes)
    return min(limit, left) if of_gpu else left


def _is_within(trial: Trial, machine: Machine) -> bool:
    """Whether the upper ends of the rows of every pool add up to no more than is surely free."""
    rows = trial.memory.devices
    return all(
        sum(row.high_bytes for row in rows if row.pool == pool.id and row.device != "cpu")
        <= _surely_free_bytes(pool, of_gpu=True)
        and sum(row.high_bytes for row in rows if row.pool == pool.id) <= _surely_free_bytes(pool)
        for pool in machine.pools
        if pool.id in {row.pool for row in rows}
    )


@pytest.mark.parametrize("name", [*DENSE, *EXPERTS, *OTHERS])
@settings(max_examples=60)
@given(data=st.data(), context=CONTEXTS, parallel=st.sampled_from([1, 2, 4]))
def test_a_plan_never_overruns_a_pool(
    name: str, data: st.DataObject, context: int, parallel: int
) -> None:
    machine = data.draw(machines(name))
    found = search(name, machine, context_tokens=context, parallel=parallel)
    best = found.best()
    assert best.runs == _is_within(best, machine)
    largest = found.largest_context(best)
    if largest is not None:
        assert _is_within(found.best(largest), machine)


@pytest.mark.parametrize("name", SHORT)
@settings(max_examples=12)
@given(data=st.data(), parallel=st.integers(1, 2))
def test_the_largest_context_is_what_counting_finds(
    name: str, data: st.DataObject, parallel: int
) -> None:
    machine = data.draw(machines(name))
    found = search(name, machine, context_tokens=STEP * parallel, parallel=parallel)
    first = found.best()
    good = {"fits"} if first.judgement.verdict == "fits" else RUNS
    trained = model(name).hparams.context_train_tokens
    assert trained is not None
    running = [
        tokens
        for tokens in range(STEP * parallel, trained * parallel + 1, STEP * parallel)
        if found.best(tokens).judgement.verdict in good
    ]
    assert found.largest_context(first) == max(running, default=None)


@pytest.mark.parametrize("name", DENSE)
@settings(max_examples=25)
@given(data=st.data(), context=CONTEXTS)
def test_no_more_layers_would_have_stayed_on_the_cards(
    name: str, data: st.DataObject, context: int
) -> None:
    machine = data.draw(machines(name, cards=data.draw(st.integers(1, 4))))
    best = search(name, machine, context_tokens=context).best()
    assume(best.judgement.verdict != "fits")
    kept = best.placement.gpu_layers if best.runs else -1
    for more in range(kept + 1, model(name).n_layers + 2):
        assert not tried(name, machine, context, gpu_layers=more).runs, (kept, more)


def test_a_number_of_layers_may_leave_room_where_fewer_do_not() -> None:
    # the output layer alone goes to the first card, with two layers before it to another
    sizes = (965_700_097, 1_013_010_604, 1_049_480_258, 998_320_636)
    vram = [Pool(f"vram{i}", "vram", size) for i, size in enumerate(sizes)]
    gpus = [Device(f"cuda{i}", "cuda", "a card", f"vram{i}") for i in range(len(sizes))]
    machine = Machine(
        pools=(*vram, Pool("ram", "ram", 2**36)),
        devices=(*gpus, Device("cpu", "cpu", "a CPU", "ram")),
    )
    one, three = (tried("llama-3.2-1b", machine, 4096, gpu_layers=n) for n in (1, 3))
    assert (one.runs, three.runs) == (False, True)
    asked = Workload(context_tokens=4096)
    own = Trials(model("llama-3.2-1b"), machine, asked, PlacementRequest(), splits_move=False)
    assert own.best().placement == three.placement
    # another split holds more of them
    moved = search("llama-3.2-1b", machine, context_tokens=4096).best()
    assert moved.runs
    assert moved.placement.gpu_layers > three.placement.gpu_layers


@pytest.mark.parametrize("name", EXPERTS)
@settings(max_examples=6)
@given(data=st.data(), context=CONTEXTS)
def test_no_more_experts_would_have_stayed_on_the_cards(
    name: str, data: st.DataObject, context: int
) -> None:
    machine = data.draw(machines(name, cards=data.draw(st.integers(1, 4))))
    best = search(name, machine, context_tokens=context).best()
    assume(best.judgement.verdict != "fits")
    n_layers = model(name).n_layers
    moved = best.placement.cpu_moe_layers if best.runs else 0
    for fewer in range(moved or n_layers + 1):
        assert not tried(name, machine, context, cpu_moe_layers=fewer).runs, (moved, fewer)
    kept = best.placement.gpu_layers if best.runs else -1
    for more in range(kept + 1, n_layers + 2):
        assert not tried(name, machine, context, gpu_layers=more).runs, (kept, more)


@pytest.mark.parametrize("name", [*DENSE, *EXPERTS])
@settings(max_examples=30)
@given(data=st.data(), context=CONTEXTS)
def test_more_memory_never_makes_a_verdict_worse(
    name: str, data: st.DataObject, context: int
) -> None:
    machine = data.draw(machines(name, cards=data.draw(st.sampled_from([0, 1, 5]))))
    added = data.draw(st.lists(st.integers(0, 2 * model(name).tensor_bytes), min_size=2))
    larger = replace(
        machine,
        pools=tuple(
            replace(pool, **_grown(pool, more))
            for pool, more in zip(machine.pools, added, strict=False)
        ),
    )
    before, after = (
        search(name, one, context_tokens=context).best().judgement.verdict
        for one in (machine, larger)
    )
    assert BEST_FIRST.index(after) <= BEST_FIRST.index(before)


def _grown(pool: Pool, more_bytes: int) -> dict[str, int | None]:
    values = {key: getattr(pool, key) for key in ("total_bytes", "limit_bytes", "total_low_bytes")}
    return {key: None if value is None else value + more_bytes for key, value in values.items()}


@pytest.mark.parametrize("name", [*EXPERTS, "gpt-oss-20b"])
@given(data=st.data())
def test_experts_on_the_host_lie_where_their_names_would_put_them(
    name: str, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, model(name).n_layers))
    machine = data.draw(machines(name, cards=data.draw(st.integers(1, 4))))
    layers = "|".join(map(str, range(count)))
    pattern = rf"^blk\.({layers})\.ffn_.*_exps"
    by_count, by_name = (
        Trials(
            model(name),
            machine,
            Workload(context_tokens=4096),
            PlacementRequest(**placement),
            replays=_replays(name),
            may_leave_out=False,  # where names say what lies where, no full card is left out
        ).first()
        for placement in ({"cpu_moe_layers": count}, {"overrides": ((pattern, "CPU"),)})
    )
    assert by_count.memory == by_name.memory


@settings(max_examples=60)
@given(data=st.data(), context=st.sampled_from([512, 4096, 16_384]))
def test_models_that_run_together_never_overrun_a_pool(data: st.DataObject, context: int) -> None:
    names = data.draw(st.lists(st.sampled_from(DENSE[:3]), min_size=1, max_size=3))
    machine = data.draw(machines(data.draw(st.sampled_from(DENSE))))
    plan = together(
        [model(name) for name in names], machine=machine, workload={"context_tokens": context}
    )
    verdicts = [one.verdict for one in plan.models]
    assert plan.verdict == max(verdicts, key=BEST_FIRST.index)
    if plan.verdict not in RUNS:
        return
    for pool, share in zip(machine.pools, plan.pools, strict=True):
        assert sum(share.high_bytes) <= _surely_free_bytes(pool) == share.free_bytes
        rows = [row for one in plan.models for row in one.memory.devices if row.pool == pool.id]
        assert sum(share.high_bytes) == sum(row.high_bytes for row in rows)
