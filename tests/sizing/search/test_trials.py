"""One placement by itself: its settings, what is beside it, and how fast it is."""

from __future__ import annotations

from dataclasses import replace

from small_boxes import DENSE, PLENTY, box, model, needs, search, tried

from whatfits.sizing.extras import Extras
from whatfits.sizing.graph.index import Replays
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.workload import PlacementRequest, Workload

MACHINE = box(PLENTY)
HALF = box(needs(tried(DENSE, MACHINE, gpu_layers=15))["vram0"])


def trials(workload: Workload, **request: object) -> Trials:
    """Return a search with a model that drafts beside it, whatever the workload says."""
    return Trials(
        model(DENSE),
        MACHINE,
        workload,
        PlacementRequest(**request),  # type: ignore[arg-type]
        Extras(draft=model("qwen2.5-0.5b")),
        replays=Replays(),
    )


def test_a_model_that_does_not_draft_is_never_too_large() -> None:
    small = Trials(
        model(DENSE),
        box(ram=300 * 2**20),
        Workload(),
        PlacementRequest(),
        Extras(draft=model("llama-3.1-8b")),
        replays=Replays(),
    )
    assert not small.draft_is_too_large()
    drafting = Trials(
        model(DENSE),
        box(ram=300 * 2**20),
        Workload(model_draft="llama-3.1-8b"),
        PlacementRequest(),
        Extras(draft=model("llama-3.1-8b")),
        replays=Replays(),
    )
    assert drafting.draft_is_too_large()


def test_a_request_is_tried_once() -> None:
    found = search(DENSE, MACHINE, context_tokens=4096)
    assert found.first() is found.first() is found.best() is found.first(4096)
    assert found.first(8192) is not found.first()
    assert found.first(8192).settings.context_tokens == 8192
    assert found.first(8192).judgement.verdict == "fits"


def test_a_server_takes_more_than_the_library() -> None:
    server, library = (
        search(DENSE, MACHINE, program=program, context_tokens=4096).first()
        for program in ("server", "api")
    )
    assert server.memory.overhead_bytes > library.memory.overhead_bytes
    assert server.growth.limit_bytes > 0 == library.growth.limit_bytes
    assert server.memory.growth_limit_bytes == server.growth.limit_bytes


def test_attention_is_fused_where_every_layer_lies_on_a_device_that_can() -> None:
    cannot = replace(MACHINE.devices[0], features=("no_flash_attention",))
    machine = replace(MACHINE, devices=(cannot, *MACHINE.devices[1:]))
    for context in (1000, 4096):
        on_card = tried(DENSE, machine, context)
        on_host = tried(DENSE, machine, context, devices=())
        assert not on_card.settings.flash_attention
        assert on_host.settings.flash_attention
        assert tried(DENSE, MACHINE, context).settings.flash_attention
        asked = {on_card.settings.requested_context_tokens}
        assert asked == {on_host.settings.requested_context_tokens} == {context}


def test_where_fusing_is_not_possible_the_search_still_ends_at_its_best() -> None:
    cannot = replace(MACHINE.devices[0], features=("no_flash_attention",))
    plenty = replace(MACHINE, devices=(cannot, *MACHINE.devices[1:]))
    kept = [needs(tried(DENSE, plenty, gpu_layers=n))["vram0"] for n in range(1, 31)]
    small = replace(MACHINE.pools[0], total_bytes=kept[14])
    machine = replace(plenty, pools=(small, MACHINE.pools[1]))
    found = search(DENSE, machine, context_tokens=4096).best()
    assert found.placement.gpu_layers == sum(need <= kept[14] for need in kept) >= 15
    assert not found.settings.flash_attention


def test_what_lies_where_is_told_by_weights() -> None:
    found = search(DENSE, MACHINE, PlacementRequest(devices=()))
    on_host = found.weights(found.first()).host.total_bytes
    assert on_host == found.first().memory.weights_bytes > 0


def test_the_speed_of_the_request_and_of_all_of_it_on_the_card_need_no_bill() -> None:
    spilled = search(DENSE, HALF, context_tokens=4096)
    best = spilled.speed(spilled.best()).decode_tokens_per_s
    entire, first = (
        one.decode_tokens_per_s for one in (spilled.entire_speed(), spilled.first_speed())
    )
    assert best is not None
    assert first is not None
    assert (
        entire
        == first
        == search(DENSE, MACHINE, context_tokens=4096).first_speed().decode_tokens_per_s
    )
    assert first.mid > best.mid
    fixed = search(
        DENSE, MACHINE, PlacementRequest(gpu_layers=5, kv_offload=False), context_tokens=4096
    )
    assert fixed.entire_speed().decode_tokens_per_s == entire
    assert fixed.first_speed() == fixed.speed(fixed.first())
    slow = fixed.first_speed().decode_tokens_per_s
    assert slow is not None
    assert slow.mid < entire.mid


def test_drafts_are_counted_where_a_model_makes_them() -> None:
    drafted = trials(Workload(context_tokens=4096, model_draft="qwen2.5-0.5b"))
    speed = drafted.speed(drafted.first())
    assert speed.speculative_tokens_per_s is not None
    assert drafted.first().extras.draft == model("qwen2.5-0.5b")
    assert drafted.first().memory.total_bytes > tried(DENSE, MACHINE).memory.total_bytes
    plain = search(DENSE, MACHINE, context_tokens=4096).first_speed()
    assert plain.speculative_tokens_per_s is None
    assert speed.decode_tokens_per_s == plain.decode_tokens_per_s


def test_a_model_that_is_there_and_does_not_draft_changes_no_speed() -> None:
    idle = trials(Workload(context_tokens=4096))
    assert idle.first_speed() == search(DENSE, MACHINE, context_tokens=4096).first_speed()


def test_only_what_fits_or_is_slow_runs() -> None:
    whole = needs(tried(DENSE, MACHINE))["vram0"]
    request = PlacementRequest(gpu_layers=31)
    verdicts = {
        (trial.judgement.verdict, trial.runs)
        for size in (whole, whole - 1, 0)
        if (trial := search(DENSE, box(size), request, context_tokens=4096).first())
    }
    assert verdicts == {("fits", True), ("tight", False), ("no", False)}
    assert tried(DENSE, MACHINE, gpu_layers=3).runs


def test_a_draft_that_was_named_and_not_read_changes_no_speed() -> None:
    named = search(DENSE, MACHINE, context_tokens=4096, model_draft="qwen2.5-0.5b")
    assert named.first_speed() == search(DENSE, MACHINE, context_tokens=4096).first_speed()
