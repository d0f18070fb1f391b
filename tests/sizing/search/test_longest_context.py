"""The longest context that runs is what trying every one of them finds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from small_boxes import DENSE, EXPERTS, PLENTY, box, judged, model, needs, search, tried, unified

from whatfits.sizing.model import ByteRange
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trials import Trials

STEP = 256
TRAINED = 8192  # of the dense model
HUGE = 2**50
MIB = 2**20


def counted(found: Trials, context: int, parallel: int = 1) -> int | None:
    """Return the longest context with as good a verdict as the first, by trying all."""
    first = found.best(context)
    good = {"fits"} if first.judgement.verdict == "fits" else {"fits", "slow"}
    step = STEP * parallel
    running = [
        tokens
        for tokens in range(step, TRAINED * parallel + 1, step)
        if found.best(tokens).judgement.verdict in good
    ]
    return max(running, default=None)


def agrees(machine: Machine, context: int = STEP, parallel: int = 1, **placement: Any) -> None:  # noqa: ANN401
    """Counting and closing in find the same number."""
    asked = {"context_tokens": context, "parallel": parallel}
    request = PlacementRequest(**placement)
    found = search(DENSE, machine, request, **asked)
    expected = counted(search(DENSE, machine, request, **asked), context, parallel)
    assert found.largest_context(found.best()) == expected


@pytest.mark.parametrize("tokens", [256, 512, 4096, 8192])
@pytest.mark.parametrize("short", [0, 1])
@pytest.mark.parametrize("kind", ["card", "unified", "ram"])
def test_memory_of_exactly_the_bytes_of_a_context_runs_it_and_no_more(
    tokens: int, short: int, kind: str
) -> None:
    plenty = {"card": box(PLENTY), "unified": unified(PLENTY), "ram": box()}[kind]
    pool = {"card": "vram0", "unified": "unified", "ram": "ram"}[kind]
    size = needs(tried(DENSE, plenty, tokens))[pool] - short
    machine = {"card": lambda: box(size), "unified": lambda: unified(size)}.get(
        kind, lambda: box(ram=size)
    )()
    found = search(DENSE, machine, context_tokens=STEP)
    first = found.best()
    whole = tokens - STEP * short or None
    if kind == "card" and whole is None:  # not even the shortest fits: then what spills counts
        whole = TRAINED
    assert found.largest_context(first) == whole


@pytest.mark.parametrize("parallel", [1, 2, 3])
@pytest.mark.parametrize("kv_unified", [False, True])
def test_steps_are_as_many_as_there_are_caches(parallel: int, kv_unified: bool) -> None:
    asked = {"parallel": parallel, "kv_unified": kv_unified}
    step = STEP if kv_unified else STEP * parallel
    size = needs(search(DENSE, box(PLENTY), context_tokens=9 * step, **asked).first())["vram0"]
    for room, steps in ((size, 9), (size - 1, 8)):
        found = search(DENSE, box(room), context_tokens=step, **asked)
        assert found.largest_context(found.best()) == steps * step


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("ram", [200, 500])
@pytest.mark.parametrize("card", [0, 830, 900])
def test_what_spills_may_spill_more_at_longer_contexts(card: int, ram: int, parallel: int) -> None:
    machine = box(card * MIB, ram=ram * MIB)
    agrees(machine, 2048 * parallel, parallel)


@pytest.mark.parametrize("card", [920, 1000, 1100])
@pytest.mark.parametrize("ram", [100, 140, 180])
def test_a_tight_host_ends_the_context_before_the_card_does(card: int, ram: int) -> None:
    agrees(box(card * MIB, ram=ram * MIB), 2048)


def test_what_stays_on_the_card_and_no_longer_fits_there_does_not_run() -> None:
    """Longer contexts leave room on the host only while nothing has to go there."""
    found = search(DENSE, box(900 * MIB, ram=140 * MIB), context_tokens=2048)
    longest = found.largest_context(found.best())
    assert longest is not None
    assert found.best(longest).runs
    beyond = found.best(longest + 1024)
    assert (beyond.request, beyond.runs) == (PlacementRequest(), False)
    assert needs(beyond)["ram"] < 140 * MIB


@pytest.mark.parametrize("placement", [{"gpu_layers": 20}, {"overrides": (("ffn_up", "CPU"),)}])
@pytest.mark.parametrize("card", [850, 920, 1000])
@pytest.mark.parametrize("ram", [200, 400])
def test_a_fixed_placement_stays_as_it_is_at_every_context(
    card: int, ram: int, placement: dict[str, Any]
) -> None:
    agrees(box(card * MIB, ram=ram * MIB), **placement)


def test_ram_of_unknown_size_is_left_out_where_nothing_spills() -> None:
    size = needs(tried(DENSE, box(PLENTY), 2048))["vram0"]
    found = search(DENSE, box(size, ram=None), context_tokens=STEP)
    assert found.largest_context(found.best()) == 2048
    alone = search(DENSE, box(ram=None), context_tokens=STEP)
    assert alone.largest_context(alone.best()) is None
    fixed = search(DENSE, box(PLENTY, ram=None), PlacementRequest(gpu_layers=5))
    assert fixed.largest_context(fixed.best()) is None


def test_ram_of_known_size_counts_where_nothing_spills() -> None:
    whole = tried(DENSE, box(PLENTY), 2048)
    short = box(PLENTY, ram=needs(whole)["ram"])
    longer = needs(tried(DENSE, box(PLENTY), 4096))["ram"]
    found = search(DENSE, short, context_tokens=STEP)
    assert longer > needs(whole)["ram"]
    assert found.largest_context(found.best()) == counted(found, STEP)


def test_what_does_not_run_as_asked_may_run_shorter() -> None:
    size = needs(tried(DENSE, unified(PLENTY), 1024))["unified"]
    found = search(DENSE, unified(size), context_tokens=TRAINED)
    first = found.best()
    assert not first.runs
    assert found.largest_context(first) == 1024


def trained_for(tokens: int | None, *, causal: bool = True) -> ModelSpec:
    hparams = replace(model(DENSE).hparams, context_train_tokens=tokens, causal=causal)
    return replace(model(DENSE), name=f"{tokens} {causal}", hparams=hparams)


@pytest.mark.parametrize(
    ("trained", "causal", "parallel", "longest"),
    [
        (100, True, 1, 100),  # shorter than a step
        (256, True, 1, 256),
        (256, True, 2, 512),
        (1000, True, 1, 1000),  # not a whole number of steps
        (1000, True, 3, 3000),
        (1024, True, 2, 2048),
        (None, True, 1, 2**20),
        (2**21, True, 1, 2**21),
        (2**21, False, 1, 2**20),
        (2048, False, 1, 2048),
    ],
)
def test_nothing_is_longer_than_what_a_model_was_trained_for(
    trained: int | None, causal: bool, parallel: int, longest: int
) -> None:
    spec = trained_for(trained, causal=causal)
    found = search(spec, box(HUGE, ram=HUGE), parallel=parallel, context_tokens=STEP * parallel)
    assert found.largest_context(found.best()) == longest


def test_a_context_that_is_no_whole_number_of_steps_is_the_last_one() -> None:
    spec = trained_for(1000)
    size = needs(tried(spec, box(PLENTY), 1000))["vram0"]
    for room, longest in ((size, 1000), (size - 1, 768)):
        found = search(spec, box(room), context_tokens=STEP)
        assert found.largest_context(found.best()) == longest


def test_a_straight_line_is_crossed_in_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    made = judged(monkeypatch)
    for tokens in range(512, TRAINED, 512):
        size = needs(tried(DENSE, box(PLENTY), tokens))["vram0"]
        found = search(DENSE, box(size), context_tokens=STEP)
        first = found.best()
        made.clear()
        assert found.largest_context(first) == tokens
        assert len(made) <= 6


WEIGHTS = round(0.98 * search(DENSE, box()).weights(tried(DENSE, box())).host.total_bytes)


@pytest.mark.parametrize(("less", "is_too_large"), [(0, False), (1, True)])
def test_weights_beyond_all_memory_are_too_large_by_a_margin_of_a_fiftieth(
    less: int, is_too_large: bool
) -> None:
    for machine in (box(ram=WEIGHTS - less), box(WEIGHTS - less - 10**7, ram=10**7)):
        assert search(DENSE, machine).is_too_large() is is_too_large


def test_what_is_too_large_has_no_longest_context() -> None:
    found = search(DENSE, box(WEIGHTS // 3, ram=WEIGHTS // 3))
    assert found.is_too_large()
    assert found.largest_context(found.best()) is None


def test_weights_that_are_not_known_are_never_surely_too_large() -> None:
    unsure = ByteRange(1, 10**8, 10**9, "nobody knows")
    spec = replace(model(DENSE), name="unsure", weights=unsure)
    assert not search(spec, box(ram=10**6)).is_too_large()


def test_where_devices_are_named_all_memory_is_looked_at() -> None:
    request = PlacementRequest(devices=("cuda0",), tensor_split=(1.0,), overrides=(("x", "cuda0"),))
    assert search(DENSE, box(WEIGHTS - 10**8 - 1, ram=10**8), request).is_too_large()
    assert not search(DENSE, box(WEIGHTS, ram=10**8), request).is_too_large()


@pytest.mark.parametrize("tokens", [4096, TRAINED - STEP, TRAINED])
@pytest.mark.parametrize("layers", [12, 19])
def test_the_longest_context_is_one_that_only_another_split_holds(layers: int, tokens: int) -> None:
    """Two cards of exactly what that split takes; llama.cpp's own split overfills one of them."""
    split = (float(layers), 31.0 - layers)
    need = needs(tried(DENSE, box(PLENTY, PLENTY), tokens, tensor_split=split))
    found = search(DENSE, box(need["vram0"], need["vram1"]), context_tokens=STEP)
    assert found.first().judgement.verdict == "fits"
    assert found.first(tokens).judgement.verdict == "tight"
    assert found.entirely(tokens).judgement.verdict == "fits"
    assert found.largest_context(found.entirely()) == tokens
    assert found.entirely(tokens + STEP).judgement.verdict != "fits"


def test_experts_spill_more_at_longer_contexts() -> None:
    whole = needs(tried(EXPERTS, box(PLENTY), 1024))["vram0"]
    found = search(EXPERTS, box(whole), context_tokens=2048)
    first = found.best()
    assert first.judgement.verdict == "slow"
    assert found.largest_context(first) == model(EXPERTS).hparams.context_train_tokens
