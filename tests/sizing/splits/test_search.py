"""Splits over accelerators that hold what llama.cpp's own split does not."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

import pytest
from every_split import elsewhere, every_split

from whatfits.sizing.api import check, load_machine, load_model, plan
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.catalog.shares import stored_model
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.needing.trials import LlamaMachines
from whatfits.sizing.placement import Placement, resolve_placement
from whatfits.sizing.ranking.ranker import Ranker
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.search.split_search import split_counts
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_entry
from whatfits.sizing.units import GIB
from whatfits.sizing.values import replace
from whatfits.sizing.verdict import VERDICT_ORDER, judge
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

NEMOTRON = "nemotron-super-49b-v1"
TWO_3090 = "2x rtx-3090 + 64gb"
LONG = {"context_tokens": 32_768}
CONTEXT = Workload(context_tokens=8192)
# of unequal layers: a dense one before experts, convolutions between attention
UNEQUAL = ["ling-mini-2.0", "lfm2-8b-a1b", "deepseek-v2-lite"]


@cache
def model(name: str) -> ModelSpec:
    return load_model(name, file_type="Q4_K_M")


def box(*cards_bytes: int, ram_bytes: int = 256 * GIB) -> Machine:
    cards = [Pool(f"vram{i}", "vram", size) for i, size in enumerate(cards_bytes)]
    devices = [Device(f"cuda{i}", "cuda", "a card", pool.id) for i, pool in enumerate(cards)]
    return Machine(
        pools=(*cards, Pool("ram", "ram", ram_bytes)),
        devices=(*devices, Device("cpu", "cpu", "a CPU", "ram")),
    )


class EverySplit:
    """The verdicts on every split of a model, bill by bill."""

    def __init__(self, name: str) -> None:
        self._model = model(name)
        self._bill = Bill(self._model)
        self._settings = resolve_settings(self._model, CONTEXT)

    def need_bytes(self, n_cards: int) -> int:
        """Return what all accelerators hold together where there is room."""
        machine = box(*[999 * GIB] * n_cards)
        return sum(row.high_bytes for row in self._of(machine, PlacementRequest())[1].devices[:-1])

    def _of(self, machine: Machine, request: PlacementRequest) -> tuple[Placement, object]:
        placement = resolve_placement(self._model, request, machine)
        memory = self._bill.memory(self._settings, placement, machine, is_server=True)
        return placement, memory

    def fitting(self, machine: Machine) -> dict[tuple[int, ...], int]:
        """Return the splits under which everything fits, each with the layers it moves."""
        own, _ = self._of(machine, PlacementRequest())
        n_layers = len(own.layer_device) + 1
        found = {}
        for split in every_split(n_layers, len(own.accelerators)):
            request = PlacementRequest(tensor_split=tuple(map(float, split)))
            placement, memory = self._of(machine, request)
            assert split_counts(placement) == split
            if judge(memory, placement, machine).verdict == "fits":
                found[split] = elsewhere(split, split_counts(own))
        return found


def tight_boxes(name: str, n_cards: int, count: int) -> list[Machine]:
    """Return cards of unequal size that together have about what a model needs."""
    draw = random.Random(f"{name} {n_cards}")  # noqa: S311 - cases, no secrets
    need = EverySplit(name).need_bytes(n_cards)
    found = []
    for _ in range(count):
        shares = [draw.uniform(0.3, 1) for _ in range(n_cards)]
        total = need * draw.uniform(1, 1.15)
        found.append(box(*(int(total * share / sum(shares)) for share in shares)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n_cards"), [*((n, 2) for n in UNEQUAL), (UNEQUAL[0], 3)])
def test_the_split_found_is_the_nearest_of_all_that_fit(name: str, n_cards: int) -> None:
    every = EverySplit(name)
    answers = set()
    for machine in tight_boxes(name, n_cards, 24 if n_cards == 2 else 8):
        fitting = every.fitting(machine)
        trial = Trials(model(name), machine, CONTEXT, PlacementRequest()).entirely()
        split = split_counts(trial.placement)
        assert (trial.judgement.verdict == "fits") == bool(fitting)
        if fitting:
            assert fitting[split] == min(fitting.values())
        answers.add((bool(fitting), trial.request.tensor_split is not None))
    assert answers == {(False, False), (True, False), (True, True)}


def test_nemotron_fits_two_cards_under_another_split() -> None:
    found = check(NEMOTRON, file_type="Q4_K_M", machine=TWO_3090, workload=LONG)
    assert found.verdict == "fits"
    assert found.placement.tensor_split == (38.0, 43.0)
    (line,) = found.commands["llama.cpp"]
    assert line.endswith("-ngl 81 -ts 38,43")
    assert (
        "llama.cpp's own split would put 41 layers on cuda0 and 40 on cuda1, and cuda0 overflows "
        "by up to 1.4 GiB: -ts 38,43 holds them."
    ) in found.notes
    (basis,) = (basis for basis in found.basis if basis.key == "placement.tensor_split")
    assert basis.inputs["own_layers"] == {"cuda0": 41, "cuda1": 40}
    assert basis.inputs["layers"] == {"cuda0": 38, "cuda1": 43}
    assert list(basis.inputs["own_overflow_bytes"]) == ["cuda0"]
    # nearer splits do not fit, and the command's gives the same bill
    for shares in ((39.0, 42.0), (38.0, 43.0)):
        asked = check(
            NEMOTRON,
            file_type="Q4_K_M",
            machine=TWO_3090,
            workload=LONG,
            placement={"gpu_layers": 81, "tensor_split": shares},
        )
        assert (asked.verdict == "fits") == (shares[0] == 38)
    assert asked.memory == found.memory


def test_layers_weigh_on_the_speed_of_the_device_that_has_them() -> None:
    machine = load_machine("rtx-4090 + rtx-3060-12-gb + 64gb")
    trials = Trials(model(NEMOTRON), machine, Workload(), PlacementRequest())
    slow = Trials(model(NEMOTRON), machine, Workload(), PlacementRequest(tensor_split=(1.0, 3.0)))
    rates = [t.speed(t.first()).decode_tokens_per_s for t in (trials, slow)]
    assert rates[0] is not None
    assert rates[1] is not None
    assert rates[1].mid < rates[0].mid


def test_a_card_whose_display_takes_memory_gets_a_layer_less() -> None:
    """The share of free memory does not count what a card loses to working memory."""
    spec = model("llama-3.1-8b")
    machine = box(int(1.7 * GIB), 12 * GIB)
    trials = Trials(spec, machine, CONTEXT, PlacementRequest())
    assert trials.first().judgement.verdict == "tight"
    assert split_counts(trials.first().placement) == (5, 28)
    found = trials.best()
    assert found.judgement.verdict == "fits"
    assert split_counts(found.placement) == (4, 29)


def test_the_last_of_two_unequal_cards_has_no_room_for_a_large_output_layer() -> None:
    machine = load_machine("rtx-3060-12-gb + rtx-4060-ti-8-gb + 64gb")
    trials = Trials(model("gemma-3-27b"), machine, CONTEXT, PlacementRequest())
    assert split_counts(trials.first().placement) == (38, 25)
    assert not trials.first().runs
    assert trials.best().judgement.verdict == "fits"
    assert split_counts(trials.best().placement) == (40, 23)


def test_a_card_too_small_for_any_layer_is_left_empty() -> None:
    machine = box(int(0.9 * GIB), 12 * GIB)
    found = Trials(model("llama-3.1-8b"), machine, CONTEXT, PlacementRequest()).best()
    assert found.judgement.verdict == "fits"
    assert split_counts(found.placement) == (0, 33)


def test_what_spills_spills_less_under_another_split() -> None:
    """Experts of the first layers leave the first card alone: it is given more layers."""
    spec = load_model("gpt-oss-120b")
    machine = load_machine("2x rtx-3090 + 128gb")
    bound = Trials(spec, machine, CONTEXT, PlacementRequest(), splits_move=False).best()
    free = Trials(spec, machine, CONTEXT, PlacementRequest()).best()
    assert bound.judgement.verdict == free.judgement.verdict == "slow"
    assert free.placement.cpu_moe_layers < bound.placement.cpu_moe_layers
    first, last = split_counts(free.placement)
    assert first > last


def test_more_layers_of_a_dense_model_stay_on_cards() -> None:
    machine = box(20 * GIB, 10 * GIB)
    both = [
        Trials(model(NEMOTRON), machine, CONTEXT, PlacementRequest(), splits_move=moves).best()
        for moves in (False, True)
    ]
    bound, free = (trial.placement.gpu_layers for trial in both)
    assert {trial.judgement.verdict for trial in both} == {"slow"}
    assert free > bound


@pytest.mark.parametrize(
    ("name", "n_cards"),
    [
        ("ling-mini-2.0", 2),
        ("smollm2-135m", 2),
        *(
            pytest.param(name, 3, marks=pytest.mark.slow)
            for name in ("ling-mini-2.0", "smollm2-135m", "nemotron-h-8b")
        ),
    ],
)
def test_the_verdict_is_never_worse_than_under_llama_cpps_own_split(
    name: str, n_cards: int
) -> None:
    spec = model(name)
    better = 0
    for machine in tight_boxes(name, n_cards, 12):
        for ram_bytes in (machine.pool("ram").total_bytes or 0, GIB // 4):
            less = replace(machine, pools=(*machine.pools[:-1], Pool("ram", "ram", ram_bytes)))
            bound, free = (
                Trials(spec, less, CONTEXT, PlacementRequest(), splits_move=moves).best()
                for moves in (False, True)
            )
            order, own_order = (VERDICT_ORDER[trial.judgement.verdict] for trial in (free, bound))
            assert order <= own_order
            better += order < own_order
            if order == own_order == VERDICT_ORDER["slow"]:
                spilled = free.placement.cpu_moe_layers, -free.placement.gpu_layers
                assert spilled <= (bound.placement.cpu_moe_layers, -bound.placement.gpu_layers)
    assert better


@pytest.mark.parametrize("name", ["ling-mini-2.0", "nemotron-h-8b", "smollm2-135m"])
def test_twice_the_memory_never_makes_it_worse(name: str) -> None:
    spec = model(name)
    for machine in tight_boxes(name, 2, 12):
        doubled = replace(
            machine,
            pools=tuple(replace(p, total_bytes=2 * (p.total_bytes or 0)) for p in machine.pools),
        )
        orders = [
            VERDICT_ORDER[Trials(spec, one, CONTEXT, PlacementRequest()).best().judgement.verdict]
            for one in (machine, doubled)
        ]
        assert orders[1] <= orders[0]


def test_the_longest_context_is_that_of_any_split_and_the_command_says_it() -> None:
    found = check("llama-3.3-70b", machine=TWO_3090)
    longest = found.largest_context_tokens
    assert longest == 16_384
    (line,) = found.commands["llama.cpp"]
    assert line.endswith("-ts 41,40")
    assert "The longest context, 16,384 tokens, takes -ts 40,41." in found.notes
    there = check("llama-3.3-70b", machine=TWO_3090, workload={"context_tokens": longest})
    assert there.verdict == "fits"
    assert there.commands["llama.cpp"][0].endswith("-ts 40,41")
    more = check("llama-3.3-70b", machine=TWO_3090, workload={"context_tokens": longest + 256})
    assert more.verdict != "fits"


@pytest.mark.parametrize(
    ("asked", "flag"),
    [
        ({"tensor_split": (1.0, 1.0)}, "-ts 38,43"),
        ({"split_mode": "none"}, "-sm layer -ts 38,43"),
        ({"devices": ("cuda0", "cuda1")}, "-ts 38,43"),
        ({"devices": ("cuda1", "cuda0")}, "-ts 39,42"),
    ],
)
def test_what_was_asked_for_stays_and_the_better_split_is_a_remedy(
    asked: dict[str, object], flag: str
) -> None:
    found = check(NEMOTRON, file_type="Q4_K_M", machine=TWO_3090, workload=LONG, placement=asked)
    assert found.verdict == "slow"
    for name, value in asked.items():
        assert getattr(found.placement, name) == value or name == "tensor_split"
    remedy = found.remedies[0]
    assert (remedy.key, remedy.verdict) == ("tensor_split", "fits")
    assert remedy.text == f"share the layers out otherwise: {flag}"
    again = check(
        NEMOTRON,
        file_type="Q4_K_M",
        machine=TWO_3090,
        workload=LONG,
        placement={**asked, **remedy.change["placement"]},
    )
    assert again.verdict == "fits"
    assert again.memory.total_bytes == remedy.needs_bytes


def test_no_split_is_a_remedy_where_it_was_left_open_or_nothing_better_is_there() -> None:
    keys = [
        {remedy.key for remedy in check("llama-3.3-70b", machine=machine, placement=asked).remedies}
        for machine, asked in (
            ("2x rtx-3060-12-gb + 64gb", {}),
            ("2x rtx-3060-12-gb + 64gb", {"tensor_split": (1.0, 1.0)}),
            ("rtx-3060-12-gb + 64gb", {"split_mode": "none"}),
        )
    ]
    assert not any("tensor_split" in found for found in keys)
    assert keys[0]


@pytest.mark.parametrize("runtime", ["ollama", "lm-studio", "jan"])
def test_a_program_that_cannot_be_told_of_a_split_gets_llama_cpps_own(runtime: str) -> None:
    found = check(
        "qwen3-30b-a3b", machine="rtx-3060-12-gb + rtx-4060-ti-8-gb + 64gb", runtime=runtime
    )
    assert "placement.tensor_split" not in {basis.key for basis in found.basis}
    assert not any("-ts" in note for note in found.notes)
    assert not any("-ts" in line for line in found.commands[runtime])
    nemotron = check(NEMOTRON, file_type="Q4_K_M", machine=TWO_3090, workload=LONG, runtime=runtime)
    if runtime != "ollama":  # there llama.cpp's own fitting step chooses, a split of its own
        assert nemotron.verdict == "slow"


def test_a_plan_says_how_llama_cpps_own_fitting_would_share_layers_out() -> None:
    found = plan(NEMOTRON, file_type="Q4_K_M", machine=TWO_3090, workload=LONG)
    (note,) = found.runtimes[0].notes
    assert note.startswith(
        "Without -ngl and -ts llama.cpp's own fitting would keep 81 of 81 layers on devices, "
        "shared out "
    )


def test_a_machine_is_named_that_runs_it_under_another_split() -> None:
    tried = LlamaMachines(model(NEMOTRON), Workload(context_tokens=32_768))
    assert tried.on(load_machine(TWO_3090)) is not None


def test_a_ranking_counts_what_fits_under_another_split() -> None:
    """What is stored is for llama.cpp's own split: it does not decide where another may hold."""
    (entry,) = (entry for entry in model_entries() if entry.id == "llama-3.3-70b")
    ranker = Ranker(
        load_machine(TWO_3090),
        load_entry,
        workload=Workload(context_tokens=16_384),
        file_type="Q4_K_M",
        stored=stored_model,
    )
    assert not ranker.is_known_to_spill(entry)
    row = ranker.row_if_entirely(entry)
    assert row is not None
    assert row.verdict == "fits"


def test_one_card_is_tried_once() -> None:
    machine = load_machine("rtx-4090 + 64gb")
    trials = Trials(model("llama-3.1-8b"), machine, CONTEXT, PlacementRequest())
    assert trials.entirely() is trials.first()
    spilled = Trials(model(NEMOTRON), machine, CONTEXT, PlacementRequest())
    assert spilled.entirely() is spilled.first()
