"""`whatfits together`: several models at once, each on what the ones before it leave."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check, load_machine, together
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.json_values import to_json_value

if TYPE_CHECKING:
    from collections.abc import Callable

CHAT, EMBEDDING, SMALL = "llama-3.1-8b", "nomic-embed-text-v1.5:F16", "qwen2.5-0.5b"
CARD = ("--machine", "rtx 3060 12gb + 32gb")
NARROW = ("--machine", "rtx 3060 8gb + 16gb")


def told(say: Callable[..., Any], *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = say("together", *arguments, "--json").json
    return answer


def lines(answer: dict[str, Any]) -> list[str]:
    return [line for model in answer["models"] for line in model["commands"].get("llama.cpp", [])]


def test_models_that_fit_have_a_port_each(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    answer = told(say, CHAT, EMBEDDING, SMALL, *CARD)
    is_valid("together", answer)
    assert answer["verdict"] == "fits"
    assert [line.rpartition(" --port ")[2] for line in lines(answer)] == ["8080", "8081", "8082"]
    assert [model["model"]["file_type"] for model in answer["models"]][1] == "F16"


def test_the_first_is_placed_as_alone_and_the_next_on_what_it_leaves() -> None:
    machine = load_machine(CARD[1])
    answer = together([CHAT, SMALL], machine=machine)
    alone = check(CHAT, machine=machine)
    assert answer.models[0].memory == alone.memory
    left = {row.pool: row.high_bytes for row in alone.memory.devices}
    for pool in answer.models[1].machine.pools:
        before = machine.pool(pool.id).free_low_bytes
        assert before is not None
        assert pool.free_low_bytes == before - left[pool.id]


def test_what_the_models_take_of_a_pool_is_there(say: Callable[..., Any]) -> None:
    answer = told(say, CHAT, "qwen3-8b", SMALL, *NARROW)
    assert answer["verdict"] == "slow"
    for share in answer["pools"]:
        assert share["left_bytes"] == share["free_bytes"] - sum(share["high_bytes"]) >= 0


def test_memory_of_another_model_is_not_held_by_programs_that_could_be_closed() -> None:
    machine = load_machine("rtx 3060 8gb + 8gb")
    answer = together(["qwen3-8b", "gemma-2-9b"], machine=machine)
    assert [plan.verdict for plan in answer.models] == ["fits", "no"]
    assert answer.verdict_reason.startswith("gemma-2-9b: ")


def test_caches_of_all_servers_together_fit_into_what_is_left(say: Callable[..., Any]) -> None:
    answer = told(say, CHAT, "qwen3-8b", SMALL, *NARROW)
    limits = [int(found[1]) for line in lines(answer) if (found := re.search(r"-ram (\d+)", line))]
    assert len(limits) == 3
    (left,) = (share["left_bytes"] for share in answer["pools"] if share["pool"] == "ram")
    assert 0.9 * left < sum(limits) * 2**20 <= left


def test_every_remedy_does_what_it_promises(say: Callable[..., Any]) -> None:
    eight = ("--machine", "rtx 3060 8gb + 32gb")
    kinds: set[str] = set()
    for models, context in ((["qwen3-8b", SMALL], "32k"), ([CHAT, SMALL], "8k")):
        asked = told(say, *models, *eight, "-c", context)
        assert asked["verdict"] == "slow"
        for remedy in asked["remedies"]:
            kinds.add(remedy["key"])
            again = told(say, *_changed(models, context, remedy), *eight)
            assert again["verdict"] == remedy["verdict"] == "fits", remedy
            needed = sum(model["memory"]["total_bytes"] for model in again["models"])
            assert needed == remedy["needs_bytes"], remedy
    assert kinds == {"context", "file_type", "drop"}


def _changed(models: list[str], context: str, remedy: dict[str, Any]) -> list[str]:
    """Return the arguments that a remedy asks for."""
    change = remedy["change"]
    match remedy["key"]:
        case "context":
            return [*models, "-c", str(max(change["context_tokens"]))]
        case "drop":
            return [*models[: change["drop"]], *models[change["drop"] + 1 :], "-c", context]
        case _:
            kind = change["file_type"]
            typed = [f"{name}:{kind}" if name == change["model"] else name for name in models]
            return [*typed, "-c", context]


def test_a_context_for_all_is_cut_to_what_each_was_trained_for(say: Callable[..., Any]) -> None:
    answer = told(say, CHAT, EMBEDDING, *CARD, "--context", "16k")
    assert [model["workload"]["context_tokens"] for model in answer["models"]] == [16_384, 2048]


def test_the_command_and_the_library_give_one_answer(say: Callable[..., Any]) -> None:
    plan = together([CHAT, EMBEDDING], machine=CARD[1], workload={"context_tokens": 4096})
    assert told(say, CHAT, EMBEDDING, *CARD, "-c", "4096") == to_json_value(plan)


def test_the_exit_code_says_whether_all_run(say: Callable[..., Any]) -> None:
    assert say("together", CHAT, SMALL, *CARD).code == 0
    assert say("together", "llama-3.3-70b", CHAT, *NARROW).code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "MODEL"),
        ((CHAT, "--port", "0"), "port"),
        ((CHAT, SMALL, "--port", "65535"), "65,534"),
        (("llama-3.1-8b:Q4_KX",), "Q4_KX"),
        ((CHAT, "--device", "cuda7"), "cuda7"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(
    say: Callable[..., Any], arguments: tuple[str, ...], said: str
) -> None:
    got = say("together", *arguments, *CARD)
    assert got.code == 2
    assert got.out == ""
    assert said in got.err
    assert len(got.err.splitlines()) == 1


def test_no_models_are_bad_input() -> None:
    with pytest.raises(InvalidRequestError, match="one or more"):
        together([], machine=CARD[1])


def test_devices_that_are_left_out_are_not_used(say: Callable[..., Any]) -> None:
    two = ("--machine", "2x rtx-3090 + 64gb")
    used = told(say, CHAT, SMALL, *two, "--device", "cuda1")
    for model in used["models"]:
        assert {row["device"] for row in model["memory"]["devices"]} == {"cuda1", "cpu"}
    plan = say("plan", "llama-3.3-70b", *two, "--device", "cuda0", "--file-type", "Q8_0", "--json")
    rows = {row["device"]: row["weights_bytes"] for row in plan.json["memory"]["devices"]}
    assert set(rows) == {"cuda0", "cpu"}
    assert plan.json["verdict"] == "slow"
    assert rows["cuda0"] > 2**30  # as many layers as it holds, not none
    whole = say("need", "qwen3-14b", *two, "--json").json
    none = say("need", "qwen3-14b", *two, "--device", "none", "--json").json
    assert [row["kind"] for row in none["machine"]["pools"]] == ["ram"]
    assert whole["cards"] == none["cards"]
