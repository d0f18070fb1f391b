"""What a model comes with is loaded beside it, unless the request names something else there."""

from __future__ import annotations

from dataclasses import replace

from whatfits.sizing.companions import with_companions
from whatfits.sizing.extras import NO_EXTRAS, Adapter, Companion, Extras, Projector
from whatfits.sizing.sources import load
from whatfits.sizing.workload import SpecType, Workload

NOT_BY_A_MODEL: tuple[SpecType, ...] = ("none", "draft-mtp")
TOWER = Projector("own", {"vision": "mlp"}, ())
OTHER = Projector("other", {"vision": "mlp"}, ())
DRAFT = load("smollm2-135m", file_type="Q8_0")
ALL = (
    Companion("p.gguf", TOWER),
    Companion("a.gguf", Adapter("a", ())),
    Companion("d.gguf", DRAFT),
)


def test_a_request_that_names_nothing_gets_everything() -> None:
    workload, extras = with_companions(Workload(), NO_EXTRAS, ALL)
    assert (workload.mmproj, workload.lora, workload.model_draft) == (
        "p.gguf",
        ("a.gguf",),
        "d.gguf",
    )
    assert extras == Extras(DRAFT, TOWER, (Adapter("a", ()),))


def test_without_companions_nothing_changes() -> None:
    asked = Workload(mmproj="x.gguf", lora=("y.gguf",))
    read = Extras(None, OTHER, (Adapter("y", ()),))
    assert with_companions(asked, read, ()) == (asked, read)


def test_what_is_asked_for_takes_the_place_of_projector_and_draft() -> None:
    asked = Workload(mmproj="x.gguf", model_draft="z.gguf")
    other = replace(DRAFT, name="other")
    workload, extras = with_companions(asked, Extras(other, OTHER), ALL)
    assert (workload.mmproj, workload.model_draft) == ("x.gguf", "z.gguf")
    assert (extras.projector, extras.draft) == (OTHER, other)


def test_adapters_that_are_asked_for_come_after_the_models_own() -> None:
    read = Extras(adapters=(Adapter("y", ()),))
    workload, extras = with_companions(Workload(lora=("y.gguf",)), read, ALL)
    assert workload.lora == ("a.gguf", "y.gguf")
    assert [adapter.name for adapter in extras.adapters] == ["a", "y"]


def test_no_drafting_means_none() -> None:
    for kind in NOT_BY_A_MODEL:
        workload, extras = with_companions(Workload(spec_type=kind), NO_EXTRAS, ALL)
        assert workload.model_draft is None
        assert extras.draft is None
        assert extras.projector == TOWER
