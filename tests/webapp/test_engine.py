from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing import check, plan
from whatfits.sizing.errors import BadInputError, UnknownModelError
from whatfits.webapp import mode
from whatfits.webapp.asked import machine_named, machine_of, model_of, name_of
from whatfits.webapp.engine import answered, curves, first_answer
from whatfits.webapp.input_list import input_of
from whatfits.webapp.known_results import BusyError, KnownResults
from whatfits.webapp.ranking_engine import count_sentence, ranked
from whatfits.webapp.state import question_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINE = {"machine": "rtx-4090"}


@pytest.fixture
def public() -> Iterator[None]:
    mode.set_mode(public=True)
    yield
    mode.set_mode(public=False)


def test_the_automatic_answer_is_the_librarys_plan() -> None:
    found = answered(question_of({**MACHINE, "model": "qwen3-8b"}))
    assert found == plan("qwen3-8b", machine="rtx-4090 + 32gb", workload={"context_tokens": 8192})


@pytest.mark.parametrize(
    "asked", [{"model": "llama-3.3-70b"}, {"model": "qwen3-8b", "quant": "Q6_K", "ram": "64gb"}]
)
def test_what_is_shown_first_is_what_the_whole_answer_says(asked: dict[str, str]) -> None:
    question = question_of({**MACHINE, **asked})
    first, whole = first_answer(question), answered(question)
    for field in fields(type(first)):
        if field.name != "commands":
            assert getattr(first, field.name) == getattr(whole, field.name), field.name
    for runtime, lines in first.commands.items():
        assert whole.commands[runtime] == lines


def test_what_is_shown_first_of_another_runtime_is_its_answer() -> None:
    question = question_of({**MACHINE, "model": "llama-3.2-1b", "runtime": "ollama"})
    assert first_answer(question) is answered(question)


@pytest.mark.parametrize("runtime", ["ollama", "vllm"])
def test_another_runtimes_answer_is_the_librarys_check(runtime: str) -> None:
    found = answered(question_of({**MACHINE, "model": "qwen3-8b", "runtime": runtime}))
    assert found == check(
        "qwen3-8b",
        runtime=runtime,
        machine="rtx-4090 + 32gb",
        workload={"context_tokens": 8192},
    )


def test_the_same_question_is_answered_once() -> None:
    question = question_of({**MACHINE, "model": "llama-3.2-1b"})
    assert answered(question) is answered(question)


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../../etc/passwd", "file:///etc/passwd", "x" * 300, "C:\\x", "~/m.json"],
)
def test_a_machine_is_never_read_from_a_file(name: str) -> None:
    with pytest.raises(BadInputError):
        machine_named(name)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "./model.gguf",
        "~/x.gguf",
        "https://evil.example/x.gguf",
        "http://169.254.169.254/latest",
        "ollama:llama3",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_model_is_never_read_from_a_path_or_a_free_address(name: str) -> None:
    with pytest.raises(UnknownModelError):
        name_of(name)


@pytest.mark.parametrize("name", ["", "rtx", "zzz 9000", "999x rtx-3090", "9999tb", "64gb + 32gb"])
def test_a_machine_that_is_unknown_is_not_asked_for_as_a_file_which_is_not_read_here(
    name: str,
) -> None:
    with pytest.raises(BadInputError) as caught:
        machine_named(name)
    assert "file" not in str(caught.value)


def test_a_name_that_is_also_a_file_here_still_means_the_catalog(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert name_of("meta-llama/Llama-3.1-8B-Instruct") == "llama-3.1-8b"


def test_strangers_cannot_make_it_read_an_address(public: None) -> None:
    assert name_of("llama-3.1-8b") == "llama-3.1-8b"
    with pytest.raises(BadInputError, match="a model of the catalog"):
        name_of("hf:owner/name")


def test_strangers_do_not_see_this_machine(public: None) -> None:
    with pytest.raises(BadInputError, match="not shown"):
        machine_named("this computer")


def test_reserve_and_restart_change_the_machine() -> None:
    host = machine_of(question_of({"machine": "64gb", "reserve": 4096})).host_pool
    assert host is not None
    assert host.reserve_bytes == 4096 * 2**20


def test_rankings_are_filtered_by_licence_and_hold_what_runs() -> None:
    question = question_of({"machine": "16gb", "quant": "Q4_K_M"})
    every = ranked(question, kind="vlm", open_only=False)
    assert every
    assert {row.kind for row in every} == {"vlm"}
    assert {row.verdict for row in every} <= {"fits", "slow", "tight"}
    free = ranked(question, kind="vlm", open_only=True)
    assert set(free) < set(every)


def test_curves_grow_with_the_context_and_shrink_with_the_precision() -> None:
    found = curves(question_of({**MACHINE, "model": "llama-3.1-8b", "quant": "Q4_K_M"}))
    assert [curve.kv_type for curve in found] == ["f16", "q8_0", "q4_0"]
    for curve in found:
        needs = [point.high_bytes for point in curve.points]
        assert needs == sorted(needs)
    for wide, narrow in pairwise(found):
        assert wide.points[-1].high_bytes > narrow.points[-1].high_bytes
        assert (wide.largest_context_tokens or 0) <= (narrow.largest_context_tokens or 0)


def test_results_keep_the_last_and_not_the_errors() -> None:
    known = KnownResults(2)
    for key in "abc":
        assert known.of(key, lambda key=key: key * 2) == key * 2
    assert known.of("c", lambda: "anew") == "cc"
    assert known.of("a", lambda: "anew") == "anew"
    with pytest.raises(ZeroDivisionError):
        known.of("d", lambda: 1 // 0)
    assert known.of("d", lambda: 4) == 4
    known.clear()
    assert known.of("d", lambda: 5) == 5


def test_nobody_waits_for_ever() -> None:
    known, begun, end = KnownResults(2, patience_s=0.05), Event(), Event()

    def slow() -> int:
        begun.set()
        end.wait(10)
        return 1

    worker = Thread(target=known.of, args=("slow", slow))
    worker.start()
    begun.wait(10)
    with pytest.raises(BusyError, match="try again"):
        known.of("other", lambda: 2)
    end.set()
    worker.join()
    assert known.of("slow", lambda: 3) == 1


def test_a_name_that_is_too_long_is_not_said_again_in_full() -> None:
    for ask in (machine_named, name_of):
        with pytest.raises(BadInputError, match="allowed: a shorter name") as caught:
            ask("x" * 5000)
        assert len(str(caught.value)) < 100


@pytest.mark.parametrize("key", ["users", "layers", "experts", "reserve", "prompt"])
def test_the_least_that_a_field_takes_is_answered(key: str) -> None:
    asked = question_of({**MACHINE, key: input_of(key).least})
    assert answered(asked).verdict in ("fits", "slow")


def test_a_dropped_model_can_be_asked_for_in_another_quantisation() -> None:
    from whatfits.sizing import load_model

    dropped = load_model("llama-3.2-1b", file_type="Q8_0")
    asked = question_of({"quant": "Q4_K_M"})
    assert model_of(asked, dropped).file_type == "Q4_K_M"
    assert model_of(question_of({}), dropped) is dropped
    with pytest.raises(BadInputError, match="dropped file"):
        model_of(question_of({"runtime": "vllm"}), dropped)


def test_a_question_whose_answer_is_whole_keeps_no_more_of_it() -> None:
    known = KnownResults(2)
    assert known.known("a") is None
    assert known.of("a", lambda: 1) == 1
    assert known.known("a") == 1
    known.forget("a")
    known.forget("never asked")
    assert known.known("a") is None


def test_models_trained_for_less_are_not_among_those_that_fit_with_the_context() -> None:
    question = question_of({**MACHINE, "context": "64k"})
    rows = ranked(question, kind=None, open_only=False)
    fits = [row for row in rows if row.verdict == "fits"]
    short = [row for row in fits if (row.context_train_tokens or 2**20) < 65_536]
    assert "phi-4" in {row.model for row in short}  # published: 16,384 positions
    assert count_sentence(rows, question.workload) == (
        f"**{len(fits) - len(short)} models fit with 65,536 tokens of context**; {len(short)} more "
        f"would, but were trained for fewer; {len(rows) - len(fits)} more run slowly or tightly."
    )
    usual = question_of(MACHINE)
    assert "trained" not in count_sentence(
        [row for row in rows if row.model == "llama-3.1-8b"], usual.workload
    )
