"""What would make all models run: the first change of each kind that does, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import load_model
from whatfits.sizing.catalog.quality import quality_cost
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.requantise import requantised
from whatfits.sizing.resident_trials import Resident, ResidentRemedies, without, worst_of
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.units import GIB, format_bytes
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Remedy, Verdict
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial

SMALL = load_model("smollm2-135m")  # trained for 8,192 tokens
LARGE = load_model("qwen2.5-0.5b", file_type="Q6_K")
HOST = Device("cpu", "cpu", "a CPU", "ram", 5 * 10**10)


def ram(size: int) -> Machine:
    """Return a PC without a card that has so many bytes to give."""
    return Machine(pools=(Pool("ram", "ram", size),), devices=(HOST,))


def pc(card: int) -> Machine:
    """Return a PC with plenty of RAM and a card of so many bytes."""
    card_pool, plain = Pool("vram0", "vram", card), ram(64 * GIB)
    gpu = Device("cuda0", "cuda", "a card", "vram0", 5 * 10**11)
    return Machine(pools=(card_pool, *plain.pools), devices=(gpu, HOST))


def tried(spec: ModelSpec, machine: Machine, context: int | None) -> Trial:
    """Return the best placement of one model."""
    asked = Workload(context_tokens=context)
    return Trials(spec, machine, asked, PlacementRequest(), replays=Replays()).best()


def needed(*specs: ModelSpec, context: int | None, end: str = "high_bytes") -> int:
    """Return one end of what models need of RAM together, each with so much context."""
    trials = [tried(spec, ram(64 * GIB), context) for spec in specs]
    return sum(getattr(trial.memory, end) for trial in trials)


def worst(machine: Machine, *specs: ModelSpec, context: int | None = None) -> Verdict:
    """Return the worst verdict on models, each placed on what the ones before it leave."""
    verdicts = []
    for spec in specs:
        trial = tried(spec, machine, context)
        verdicts.append(trial.judgement.verdict)
        machine = without(machine, trial.memory, verdicts[-1])
    return worst_of(verdicts)


def helps(
    machine: Machine, *specs: ModelSpec, context: int | None = None
) -> tuple[Verdict, dict[str, Remedy]]:
    """Return the verdict on models, and what would help, by its kind."""
    verdict = worst(machine, *specs, context=context)
    remedies = ResidentRemedies(
        residents=tuple(Resident(spec, Workload(context_tokens=context)) for spec in specs),
        machine=machine,
        request=PlacementRequest(),
        verdict=verdict,
        requantised=requantised,
        quality=quality_cost,
    ).remedies()
    found = {remedy.key: remedy for remedy in remedies}
    assert [remedy.key for remedy in remedies] == [
        key for key in ("context", "file_type", "drop") if key in found
    ]
    return verdict, found


# fewer tokens


@pytest.mark.parametrize(("most", "next_"), [(4096, 2048), (2048, None)])
def test_the_longest_context_of_halves_that_runs_is_named(most: int, next_: int | None) -> None:
    size = needed(SMALL, SMALL, context=most)
    remedy = helps(ram(size), SMALL, SMALL, context=8192)[1]["context"]
    assert remedy.change == {"context_tokens": [most, most]}
    assert remedy.verdict == "fits"
    assert remedy.needs_bytes == needed(SMALL, SMALL, context=most, end="total_bytes")
    shorter = helps(ram(size - 1), SMALL, SMALL, context=8192)[1].get("context")
    assert (shorter and shorter.change) == (next_ and {"context_tokens": [next_, next_]})


def test_halves_are_those_of_the_context_that_was_asked_for() -> None:
    size = needed(SMALL, SMALL, context=2048)
    remedy = helps(ram(size), SMALL, SMALL, context=4096)[1]["context"]
    assert remedy.cost == "2,048 tokens less to remember"


def test_only_a_longer_context_is_cut() -> None:
    trained = replace(SMALL, hparams=replace(SMALL.hparams, context_train_tokens=2048))
    unknown = replace(SMALL, hparams=replace(SMALL.hparams, context_train_tokens=None))
    cut = needed(unknown, context=4096) + needed(trained, context=2048)
    for specs, contexts in (((unknown, trained), [4096, 2048]), ((trained, unknown), [2048, 4096])):
        remedy = helps(ram(cut), *specs)[1]["context"]
        assert remedy.change == {"context_tokens": contexts}
        assert "4,096 tokens" in remedy.text
        assert remedy.cost == "4,096 tokens less to remember"


def test_what_is_only_tight_does_not_help() -> None:
    """Half of the context would be tight, a quarter fits."""
    machine = ram(needed(SMALL, context=2048))
    verdict, found = helps(machine, SMALL, context=8192)
    assert (verdict, worst(machine, SMALL, context=4096)) == ("no", "tight")
    assert found["context"].change == {"context_tokens": [2048]}


def test_what_is_as_slow_as_before_does_not_help() -> None:
    """On a card of nothing all of it is slow at any context, and of any file type."""
    verdict, found = helps(pc(0), SMALL, SMALL, context=8192)
    assert (verdict, found) == ("slow", {})


# a smaller file type


@pytest.mark.parametrize("specs", [(SMALL, LARGE), (LARGE, SMALL)])
@pytest.mark.parametrize("name", ["Q5_K_M", "Q4_K_M", "Q3_K_M"])
def test_the_largest_model_is_taken_in_the_best_smaller_type_that_runs(
    specs: tuple[ModelSpec, ...], name: str
) -> None:
    smaller = requantised(LARGE, name)
    changed = [smaller if spec is LARGE else spec for spec in specs]
    size = needed(*changed, context=512)
    remedy = helps(ram(size), *specs, context=512)[1]["file_type"]
    assert remedy.change == {"model": LARGE.name, "file_type": name}
    assert remedy.verdict == "fits"
    assert remedy.needs_bytes == needed(*changed, context=512, end="total_bytes")
    assert remedy.cost == quality_cost(name)
    assert format_bytes(smaller.tensor_bytes) in remedy.text
    assert format_bytes(LARGE.tensor_bytes) in remedy.text


def test_a_model_without_tensors_has_no_other_type() -> None:
    unread = replace(SMALL, tensors=())
    assert "file_type" not in helps(ram(2**20), unread, unread, context=512)[1]


# one less


@pytest.mark.parametrize(
    ("specs", "left_out"), [((SMALL, SMALL), 1), ((SMALL, LARGE), 1), ((LARGE, SMALL, SMALL), 2)]
)
def test_the_last_one_whose_leaving_is_enough_is_left_out(
    specs: tuple[ModelSpec, ...], left_out: int
) -> None:
    rest = [spec for index, spec in enumerate(specs) if index != left_out]
    size = needed(*rest, context=512)
    remedy = helps(ram(size), *specs, context=512)[1]["drop"]
    assert remedy.change == {"drop": left_out}
    assert remedy.needs_bytes == needed(*rest, context=512, end="total_bytes")
    assert remedy.text == f"leave out {specs[left_out].name}"
    assert remedy.verdict == "fits"


def test_where_only_the_first_is_too_much_the_first_is_left_out() -> None:
    size = needed(SMALL, SMALL, context=512)
    for specs, index in (((LARGE, SMALL, SMALL), 0), ((SMALL, LARGE, SMALL), 1)):
        assert needed(LARGE, SMALL, context=512) > size
        assert helps(ram(size), *specs, context=512)[1]["drop"].change == {"drop": index}


def test_one_model_is_not_left_out() -> None:
    size = needed(SMALL, context=512)
    assert "drop" not in helps(ram(size - 1), SMALL, context=512)[1]


# what is not tried


def test_what_lies_before_a_change_is_not_placed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[ModelSpec] = []
    first_try = Trials.__init__

    def noted(self: Trials, model: ModelSpec, *rest: object, **more: object) -> None:
        placed.append(model)
        first_try(self, model, *rest, **more)  # type: ignore[arg-type]

    size = needed(LARGE, context=512)
    models = (LARGE, *[replace(SMALL) for _ in range(20)])
    asked = [Resident(spec, Workload(context_tokens=512)) for spec in models]
    verdict = worst(ram(size), *models, context=512)
    monkeypatch.setattr(Trials, "__init__", noted)
    tries = ResidentRemedies(
        tuple(asked), ram(size), PlacementRequest(), verdict, lambda *_: LARGE, quality_cost
    )
    assert (verdict, tries.remedies()) == ("no", ())
    # the largest once; the first of the small ones without room; and those that come without it
    assert sum(spec is LARGE for spec in placed) == 1
    assert len(placed) <= 1 + 2 + len(models)
