"""`whatfits list`: catalog models on a machine, sorted and filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

QWEN = ("list", "--machine", "12gb", "--family", "qwen3")
ORDER = {"fits": 0, "slow": 1, "tight": 2, "no": 3, "unknown": 4}


def test_rows_keep_the_schema_and_come_by_verdict_and_size(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    said = say(*QWEN, "--json")
    assert said.code == 0
    is_valid("list", said.json)
    rows = said.json["models"]
    assert len({row["model"] for row in rows}) == len(rows) > 3
    keys = [(ORDER[row["verdict"]], -row["parameters"]) for row in rows]
    assert keys == sorted(keys)
    assert all(row["family"].startswith("qwen3") for row in rows)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("memory", lambda row: -row["total_bytes"]),
        ("name", lambda row: row["model"]),
        ("released", lambda row: tuple(-int(n) for n in (row["released"] or "0-0").split("-"))),
    ],
)
def test_sorting_is_by_what_was_asked_within_a_verdict(
    say: Callable[..., Any], key: str, value: Callable[[dict[str, Any]], Any]
) -> None:
    rows = say(*QWEN, "--sort", key, "--verdict", "fits", "--json").json["models"]
    values = [value(row) for row in rows]
    assert values == sorted(values)


def test_a_row_agrees_with_check(say: Callable[..., Any]) -> None:
    for row in say(*QWEN, "--json").json["models"][:4]:
        plan = say(
            *("check", row["model"], "--machine", "12gb", "--file-type", row["file_type"]),
            "--json",
        ).json
        assert row["verdict"] == plan["verdict"]
        assert row["total_bytes"] == plan["memory"]["total_bytes"]
        assert row["high_bytes"] == plan["memory"]["high_bytes"]


def test_one_file_type_holds_for_every_row(say: Callable[..., Any]) -> None:
    rows = say(*QWEN, "--file-type", "q8_0", "--json").json["models"]
    assert {row["file_type"] for row in rows} == {"Q8_0"}


def test_limit_cuts_the_rows_and_text_says_how_many_are_left(say: Callable[..., Any]) -> None:
    everything = say(*QWEN, "--limit", "0", "--json").json["models"]
    assert len(say(*QWEN, "--limit", "2", "--json").json["models"]) == 2
    said = say(*QWEN, "--limit", "2")
    assert len([line for line in said.lines if line.startswith("model: ")]) == 2
    assert f"{len(everything) - 2} more rows: --limit 0 shows all." in said.lines


def test_no_match_is_said_in_words(say: Callable[..., Any]) -> None:
    said = say("list", "--machine", "12gb", "--family", "nothing-like-this")
    assert said.code == 0
    assert "No catalog model answers to these filters on this machine." in said.lines


@pytest.mark.parametrize("verdict", [(), ("--verdict", "fits"), ("--verdict", "slow")], ids=str)
@pytest.mark.parametrize("limit", ["1", "3", "500"])
def test_the_first_rows_are_the_first_of_all(
    say: Callable[..., Any], verdict: tuple[str, ...], limit: str
) -> None:
    asked = ("list", "--machine", "rtx-3060-12gb + 32gb", "--family", "gemma", *verdict)
    everything = say(*asked, "--limit", "0", "--json").json["models"]
    few = say(*asked, "--limit", limit, "--json").json["models"]
    assert few == everything[: int(limit)]
    left = len(everything) - len(few)
    said = say(*asked, "--limit", limit)
    assert (f"{left} more rows: --limit 0 shows all." in said.lines) == (left > 0)


def test_models_that_no_memory_here_holds_are_listed_when_asked_for(
    say: Callable[..., Any],
) -> None:
    rows = say("list", "--machine", "8gb", "--verdict", "no", "--family", "deepseek", "--json").json
    names = {row["model"] for row in rows["models"]}
    assert {"deepseek-r1", "deepseek-v3"} <= names
    assert all(row["headroom_bytes"] < 0 for row in rows["models"])
    said = say("list", "--machine", "8gb", "--family", "deepseek")
    left_out = [line for line in said.lines if line.endswith("--verdict no lists them.")]
    assert len(left_out) == 1
    assert int(left_out[0].split()[0]) >= 2
    assert all(row["decode_tokens_per_s"] is None for row in rows["models"])


def test_a_given_file_type_is_the_rule(say: Callable[..., Any]) -> None:
    said = say(*QWEN, "--file-type", "F16", "--limit", "1")
    assert "File type: as given." in said.lines


def test_what_writes_nothing_has_a_dash_for_its_speed(say: Callable[..., Any]) -> None:
    asked = ("list", "--machine", "rtx-4090 + 64gb", "--limit", "0", "--plain")
    encoders = say(*asked, "--kind", "embedding").out.splitlines()
    rows = [line for line in encoders if line.startswith("model: ")]
    assert len(rows) > 5
    assert all(row.endswith("tokens/s: -") for row in rows)


def test_a_file_type_that_nobody_makes_of_these_models_is_refused_in_one_line(
    say: Callable[..., Any],
) -> None:
    said = say("list", "--machine", "8gb", "--file-type", "NVFP4", "--json")
    assert said.code == 2
    assert said.json["error"]["got"] == "NVFP4"
    assert "give the .gguf file itself" in said.json["error"]["next_step"]


def test_models_that_a_setting_is_none_for_are_counted_with_the_reason(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    asked = ("list", "--machine", "rtx-4090 + 64gb", "-ctv", "q8_0")
    answer = say(*asked, "--json").json
    is_valid("list", answer)
    latent, uneven = answer["refused"]
    assert "deepseek-v2-lite" in latent["models"]
    assert latent["what"] == "kv_type_k and kv_type_v 'f16 and q8_0'"
    assert latent["allowed"].startswith("the same type for both")
    # EXAONE 3.5 2.4B and its like have heads of 80 elements: no whole number of blocks of 32
    assert "exaone-3.5-2.4b" in uneven["models"]
    listed = {row["model"] for row in answer["models"]}
    assert not listed & {*latent["models"], *uneven["models"]}
    text = say(*asked, "--plain").out
    assert f"Without a row: {len(latent['models'])} models (deepseek-v2-lite first): " in text
    # each of them, asked for alone, says the same
    alone = say("check", "deepseek-v2-lite", *asked[1:])
    assert alone.code == 2
    assert latent["allowed"] in alone.err


def test_nothing_is_said_of_refusals_where_there_are_none(say: Callable[..., Any]) -> None:
    asked = ("list", "--machine", "rtx-4090 + 64gb")
    assert say(*asked, "--json").json["refused"] == []
    assert "Without a row" not in say(*asked).out


def test_models_trained_for_less_than_was_asked_for_are_named(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    asked = ("list", "--machine", "rtx-4090 + 64gb", "--family", "phi", "--context", "64k")
    answer = say(*asked, "--json").json
    is_valid("list", answer)
    short = [m["model"] for m in answer["models"] if m["context_train_tokens"] < 65_536]
    # published: phi-4 max_position_embeddings 16,384; phi-4-mini 131,072
    assert "phi-4" in short
    assert "phi-4-mini" in {m["model"] for m in answer["models"]} - set(short)
    text = say(*asked, "--limit", "0", "--plain").out
    assert f"{len(short)} of these were trained for fewer tokens than asked for" in text
    assert "trained for fewer" not in say(*asked[:-1], "2k", "--plain").out
    # of several sequences each has its share of the context
    many = say(*asked, "-np", "8", "--limit", "0", "--plain").out
    assert "phi-4," not in many.partition("trained for fewer")[2]
