"""What a plan chooses: the file types there are, the context, and what is fast enough."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_plans import CARD, LARGE, LONG, SMALL, chosen

from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.api.answering import answer
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.model import ByteRange
from whatfits.sizing.planning import choose_plan
from whatfits.sizing.quants.default_type import LADDER, UNASKED
from whatfits.sizing.workload import PlacementRequest, Workload

# file types


def test_a_model_of_the_catalog_is_tried_in_every_file_type_of_the_ladder() -> None:
    free = choose_plan(
        answer,
        load_model(SMALL, file_type="Q4_0"),
        machine=CARD,
        workload=Workload(),
        request=PlacementRequest(),
    )
    names = [one.file_type for one in free.tried]
    assert sorted(names) == sorted([*LADDER, "Q4_0"])
    sizes = [one.trial.memory.weights_bytes for one in free.tried]
    assert sizes == sorted(sizes, reverse=True)
    assert free.plan.model.file_type == free.model.file_type == names[0] == "Q8_0"
    assert free.rules == (
        f"File type: the best of {', '.join(names)} with the best verdict.",
        "Context: the longest that runs, at most 32,768 tokens.",
    )


def test_of_types_of_one_size_the_published_one_comes_first() -> None:
    # llama-quantize leaves the experts of gpt-oss in MXFP4: the published file is as large as Q8_0
    free = chosen("gpt-oss-20b", LARGE, fixed=False)
    first, second = free.tried[:2]
    assert (first.file_type, second.file_type) == ("MXFP4_MOE", "Q8_0")
    assert first.trial.memory.weights_bytes == second.trial.memory.weights_bytes
    assert free.model.file_type == "MXFP4_MOE"
    assert "the best of MXFP4_MOE, Q8_0" in free.rules[0]


def test_a_file_type_of_the_ladder_is_there_once() -> None:
    free = chosen(load_model(SMALL, file_type="Q6_K"), fixed=False)
    assert [one.file_type for one in free.tried] == list(LADDER)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, len(LADDER)),
        ({"source": "/models/a.gguf"}, 1),
        ({"source": "/models/config.json", "planned": True}, len(LADDER)),
        ({"planned": True}, len(LADDER)),
        ({"tensors": (), "weights": ByteRange(10**8, 2 * 10**8, 3 * 10**8, "unread")}, 1),
    ],
)
def test_a_file_has_its_type_and_what_is_made_can_have_any(
    changes: dict[str, object], count: int
) -> None:
    spec = replace(load_model(SMALL), **changes)  # type: ignore[arg-type]
    found = chosen(spec, fixed=False)
    assert len(found.tried) == count
    assert found.rules[0].startswith("File type: the best" if count > 1 else "File type: as given")
    assert len(chosen(spec, fixed=True).tried) == 1


def test_a_file_that_does_not_say_its_type_is_planned_for() -> None:
    spec = replace(load_model(SMALL), source="/models/a.gguf", file_type=None)
    found = chosen(spec, fixed=False)
    assert [one.file_type for one in found.tried] == [""]
    assert found.model is spec
    made = chosen(replace(spec, source="catalog"), fixed=False)
    assert sorted(one.file_type for one in made.tried) == sorted(["", *LADDER])


def test_that_nobody_asked_for_a_file_type_is_not_told_where_one_is_chosen() -> None:
    spec = replace(load_model(SMALL), notes=(f"{UNASKED}: Q4_K_M, the usual balance.", "Kept."))
    assert chosen(spec, fixed=False).model.notes == ("Kept.",)
    assert chosen(spec, fixed=True).model.notes == spec.notes


# context


def test_the_context_is_the_usual_one_or_the_longest_or_as_asked_for() -> None:
    spec = load_model(LONG)
    asked = {"machine": LARGE, "request": PlacementRequest(), "fixed_file_type": True}
    usual = choose_plan(answer, spec, workload=Workload(), **asked)  # type: ignore[arg-type]
    longest = choose_plan(answer, spec, workload=Workload(), longest=True, **asked)  # type: ignore[arg-type]
    given = choose_plan(answer, spec, workload=Workload(context_tokens=999), **asked)  # type: ignore[arg-type]
    contexts = [one.plan.workload.context_tokens for one in (usual, longest, given)]
    assert contexts == [32_768, 131_072, 999]
    assert [one.workload.context_tokens for one in (usual, longest, given)] == contexts
    assert longest.rules[1] == "Context: the longest that runs."
    assert given.rules[1] == "Context: as asked for."


def test_a_shorter_training_bounds_the_usual_context() -> None:
    assert chosen(SMALL).plan.workload.context_tokens == 8192


def test_where_no_context_runs_the_runtimes_default_is_told() -> None:
    found = chosen(
        LONG, load_machine("8gb + rtx 3060 12gb"), request=PlacementRequest(gpu_layers=9)
    )
    assert found.plan.workload.context_tokens == 32_768
    none = chosen("llama-3.1-405b", load_machine("8gb"))
    assert none.workload.context_tokens is None
    assert none.plan.verdict == "no"
    assert none.plan.workload.context_tokens == 8192


def test_the_longest_context_and_a_context_are_not_both_asked_for() -> None:
    with pytest.raises(InvalidRequestError, match=r"longest context and.*4096.*one of them"):
        choose_plan(
            answer,
            load_model(SMALL),
            machine=CARD,
            workload=Workload(context_tokens=4096),
            request=PlacementRequest(),
            longest=True,
        )


# speed


def test_where_nothing_is_fast_enough_the_rules_say_so() -> None:
    found = choose_plan(
        answer,
        load_model(SMALL),
        machine=CARD,
        workload=Workload(context_tokens=4096),
        request=PlacementRequest(),
        least_tokens_per_s=1e9,
    )
    assert found.rules[2:] == ("Nothing writes 1e+09 tokens/s here: this is the fastest.",)
    assert found.plan.model.file_type == "Q2_K"


def test_a_command_is_given_where_it_fits_or_where_it_is_forced() -> None:
    asked = {"workload": Workload(context_tokens=4096), "request": PlacementRequest()}
    spec, machine = load_model("llama-3.1-405b"), load_machine("8gb")
    free, forced = (
        choose_plan(answer, spec, machine=machine, fixed_file_type=True, force=force, **asked)  # type: ignore[arg-type]
        for force in (False, True)
    )
    left = choose_plan(answer, spec, machine=machine, fixed_file_type=True, **asked)  # type: ignore[arg-type]
    assert free.plan.commands == left.plan.commands == {}
    assert forced.plan.commands["llama.cpp"]


def test_that_none_runs_is_said_where_there_was_more_than_one_to_try() -> None:
    tiny = load_machine("2gb")
    said = [rule for rule in chosen("llama-3.1-8b", tiny, fixed=False).rules if "None of" in rule]
    assert said == ["None of them runs here: this is Q4_K_M, the usual one."]
    alone = chosen("llama-3.1-8b", tiny, fixed=True)
    assert len(alone.tried) == 1
    assert not [rule for rule in alone.rules if "None of" in rule]


def test_that_none_runs_is_not_said_where_one_does() -> None:
    found = chosen("smollm2-135m", fixed=False)
    assert len(found.tried) > 1
    assert not [rule for rule in found.rules if "None of" in rule]


def test_what_else_many_would_choose_is_among_the_rules() -> None:
    found = chosen("qwen3-14b", load_machine("rtx 3060 12gb + 32gb"), fixed=False)
    said = [rule for rule in found.rules if "--file-type" in rule]
    assert len(said) == 1
    assert "loses less quality and runs too" in said[0]
