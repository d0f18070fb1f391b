"""`whatfits need`: the inverse of `check`, with the same engine and the same figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = ("qwen3-8b", "--machine", "rtx 3060 12gb + 16gb")


def needed(say: Callable[..., Any], *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = say("need", *arguments, "--json").json
    return answer


def verdict(say: Callable[..., Any], machine: str, *more: str) -> dict[str, Any]:
    answer: dict[str, Any] = say("check", "qwen3-8b", "--machine", machine, *more, "--json").json
    return answer


def test_every_machine_that_is_named_runs_it_by_check(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    answer = needed(say, *MODEL)
    is_valid("need", answer)
    assert answer["runs_here"]
    rows = [*answer["cards"][::25], *answer["shared"][::8], answer["ram"]]
    assert len(rows) > 8
    for row in rows:
        checked = verdict(say, row["machine"], "--context", "8192")
        assert checked["verdict"] == "fits", row["machine"]
        assert checked["memory"]["high_bytes"] == row["high_bytes"]


def test_one_device_less_does_not_hold_it(say: Callable[..., Any]) -> None:
    answer = needed(say, "llama-3.3-70b", "--machine", "64gb")
    several = [row for row in answer["cards"] if row["devices"] > 2][::20]
    assert len(several) > 2
    for row in several:
        fewer = row["machine"].replace(f"{row['devices']}x", f"{row['devices'] - 1}x")
        checked = say("check", "llama-3.3-70b", "--machine", fewer, "--json").json
        assert checked["verdict"] != "fits", fewer


def test_the_cheapest_comes_first_and_the_unknown_last(say: Callable[..., Any]) -> None:
    prices = [row["launch_price_usd"] for row in needed(say, *MODEL)["cards"]]
    known = [price for price in prices if price is not None]
    assert known == sorted(known)
    assert prices == known + [None] * (len(prices) - len(known))


def test_users_have_a_context_each_and_a_floor_leaves_slow_machines_out(
    say: Callable[..., Any],
) -> None:
    alone = needed(say, *MODEL, "--context", "8k")
    many = needed(say, *MODEL, "--context", "8k", "--users", "8", "--min-speed", "50")
    assert many["workload"]["parallel"] == 8
    assert many["workload"]["context_tokens"] == 8 * 8192
    assert not many["runs_here"]
    assert {row["machine"] for row in many["cards"]} < {
        row["machine"] for row in alone["cards"]
    } | {row["machine"] for row in many["cards"]}
    assert all(row["decode_tokens_per_s"]["mid"] >= 50 for row in many["cards"])
    assert len(many["cards"]) < len(alone["cards"])


def test_an_addition_is_of_the_same_maker_and_makes_it_run(say: Callable[..., Any]) -> None:
    answer = needed(say, "llama-3.3-70b", "--machine", "rtx-3090 + 64gb")
    assert not answer["runs_here"]
    assert answer["additions"]
    assert all(row["machine"].split("x ")[-1].startswith("nvidia-") for row in answer["additions"])
    one_more = next(
        row for row in answer["additions"] if row["machine"] == "nvidia-geforce-rtx-3090"
    )
    checked = say("check", "llama-3.3-70b", "--machine", "2x rtx-3090 + 64gb", "--json").json
    assert checked["verdict"] == "fits"
    assert one_more["devices"] == 1


def test_every_rented_machine_runs_it_by_check_at_a_price_with_a_day_and_a_source(
    say: Callable[..., Any],
) -> None:
    rows = needed(say, "qwen3-8b", "--machine", "64gb")["rented"]
    assert [row["usd_per_hour"] for row in rows] == sorted(row["usd_per_hour"] for row in rows)
    assert {"RunPod", "Lambda", "Nebius", "GCP", "AWS", "Azure"} <= {
        row["provider"] for row in rows
    }
    for row in rows[::12]:
        assert row["as_of"] <= row["checked"]
        assert row["source"]
        checked = verdict(say, row["machine"], "--context", "8192")
        assert checked["verdict"] == "fits", row["machine"]
        assert checked["memory"]["high_bytes"] == row["high_bytes"]


def test_rents_say_their_day_and_their_provider(say: Callable[..., Any]) -> None:
    out = say("need", "llama-3.3-70b", "--machine", "64gb", "--plain").out
    assert "Rented by the hour" in out
    assert "an hour: $0.36; on: 2026-09-20; from: OpenRelay; terms: on-demand" in out


def test_a_floor_holds_for_rented_machines_too(say: Callable[..., Any]) -> None:
    rows = needed(say, "qwen3-8b", "--machine", "64gb", "--min-speed", "150")["rented"]
    assert rows
    assert all(row["decode_tokens_per_s"]["mid"] >= 150 for row in rows)


@pytest.mark.parametrize(
    "machine", ["nvidia-dgx-spark-gb10", "amd-radeon-8060s-ryzen-ai-max-395", "apple-m3-ultra"]
)
def test_machines_of_one_memory_come_out(say: Callable[..., Any], machine: str) -> None:
    rows = needed(say, "llama-3.3-70b", "--machine", "64gb")["shared"]
    assert any(row["machine"].startswith(machine) for row in rows)


@pytest.mark.parametrize(
    ("runtime", "kinds", "machine"),
    [
        ("vllm", ("cards", "shared", "rented"), "rtx-4090 + 64gb"),
        ("mlx", ("shared",), "m4 max 64gb"),
    ],
)
def test_another_runtime_has_its_own_rules_and_machines(
    say: Callable[..., Any],
    is_valid: Callable[[str, object], None],
    runtime: str,
    kinds: tuple[str, ...],
    machine: str,
) -> None:
    asked = ("--runtime", runtime, "--context", "4k")
    answer = needed(say, "qwen3-8b", "--machine", machine, *asked)
    is_valid("need", answer)
    assert (answer["runtime"], answer["runs_here"]) == (runtime, True)
    for kind in ("cards", "shared", "rented"):
        assert bool(answer[kind]) == (kind in kinds), kind
    for row in [row for kind in kinds for row in answer[kind]][::9]:
        checked = verdict(say, row["machine"], *asked)
        assert checked["verdict"] == "fits", row["machine"]
        assert checked["memory"]["high_bytes"] == row["high_bytes"]
        speed = checked["speed"]["decode_tokens_per_s"]
        assert row["decode_tokens_per_s"] == speed


def test_users_under_vllm_have_a_cache_that_holds_them_all(say: Callable[..., Any]) -> None:
    asked = ("qwen3-8b", "--machine", "64gb", "--runtime", "vllm", "--context", "32k")
    alone, many = needed(say, *asked), needed(say, *asked, "--users", "16")
    assert many["workload"]["context_tokens"] == 32768
    counts = {row["name"].split(" × ")[-1]: row["devices"] for row in alone["cards"]}
    more = [row for row in many["cards"] if row["devices"] > counts[row["name"].split(" × ")[-1]]]
    assert len(more) > 10
    # 16 contexts of 32,768 tokens, in each of 36 layers keys and values of 8 heads of 128
    cache_bytes = 16 * 32768 * 36 * 2 * 8 * 128 * 2
    assert all(row["memory_gib"] * 2**30 > cache_bytes for row in many["cards"])


def test_a_request_that_no_machine_takes_is_refused_with_the_reason(
    say: Callable[..., Any],
) -> None:
    said = say("need", "qwen3-8b", "--runtime", "vllm", "--kv-type", "q8_0", "--machine", "64gb")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "kv_type for vllm" in said.err


def test_what_starts_llama_cpp_has_no_machines_of_its_own(say: Callable[..., Any]) -> None:
    said = say("need", "qwen3-8b", "--runtime", "ollama", "--machine", "64gb")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "allowed: llama.cpp, vllm, mlx" in said.err


def test_a_mac_takes_no_cards(say: Callable[..., Any]) -> None:
    assert needed(say, "llama-3.3-70b", "--machine", "m4 16gb")["additions"] == []


def test_ram_is_added_to_a_machine_without_a_card(say: Callable[..., Any]) -> None:
    answer = needed(say, "llama-3.3-70b", "--machine", "16gb")
    (ram,) = [row for row in answer["additions"] if row["devices"] == 0]
    assert (ram["machine"], ram["name"]) == ("32gb", "32 GiB more RAM")
    assert answer["ram"]["machine"] == "48gb"
    assert ram["high_bytes"] == answer["ram"]["high_bytes"]
    with_card = needed(say, "llama-3.3-70b", "--machine", "rtx 3060 12gb + 16gb")
    assert all(row["devices"] for row in with_card["additions"])


def test_what_runs_nowhere_ends_with_one(say: Callable[..., Any]) -> None:
    said = say("need", "kimi-k2", "--min-speed", "100000", "--machine", "64gb")
    assert said.code == 1
    assert "No machine of the catalog runs it at 100,000 tokens/s or more" in said.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("qwen3-8b", "--users", "0"),
        ("qwen3-8b", "--users", "2", "--parallel", "2"),
        ("qwen3-8b", "--min-speed", "0"),
        ("no-such-model",),
    ],
)
def test_bad_input_is_one_line(say: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    said = say("need", *arguments, "--machine", "64gb")
    assert said.code == 2
    assert said.err.count("\n") == 1


def test_a_context_beyond_training_is_said_to_be_so(say: Callable[..., Any]) -> None:
    sentence = "The model was trained for 131,072 tokens"
    assert sentence in say("need", "llama-3.1-8b", "-c", "200k").out
    warnings = say("need", "llama-3.1-8b", "-c", "200k", "--json").json["warnings"]
    assert any(sentence in warning for warning in warnings)
    assert sentence not in say("need", "llama-3.1-8b", "-c", "128k").out
    assert sentence not in say("need", "llama-3.1-8b", "-c", "128k", "--users", "4").out
