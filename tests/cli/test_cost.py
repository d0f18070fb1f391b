"""`whatfits cost`: the library's answer, in JSON and in words."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import cost
from whatfits.sizing.costing.ownership import Ownership
from whatfits.sizing.json_values import dump_json, to_json_value

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CARDS = ("llama-3.3-70b", "--machine", "2x rtx-3090 + 64gb")
AGAINST = ("--against", "claude-haiku-4-5")
ASKED = (*CARDS, "--region", "germany", *AGAINST, "--tokens-out", "600k")


def told(say: Callable[..., Any], *arguments: str) -> dict[str, Any]:
    answer: dict[str, Any] = say("cost", *arguments, "--json").json
    return answer


def offer_of(answer: dict[str, Any], model: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in answer["offers"] if row["model"] == model)
    return found


def test_the_command_says_what_the_library_says(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    answer = told(say, *ASKED)
    is_valid("cost", answer)
    whole = cost(
        "llama-3.3-70b",
        machine="2x rtx-3090 + 64gb",
        today=dt.date.fromisoformat(answer["today"]),
        usage={"output_tokens_per_day": 600_000},
        region="germany",
        against=["claude-haiku-4-5"],
    )
    assert answer == to_json_value(whole)


def test_a_number_has_one_form_however_it_was_given() -> None:
    def written(hours: float, years: float, share: float) -> str:
        whole = cost(
            "llama-3.1-8b",
            machine="rtx-4090 + 64gb",
            today=dt.date(2026, 11, 27),
            usage={"hours_on_per_day": hours},
            ownership=Ownership(life_years=years, resale_share=share),
            spreads={"use": share},
        )
        return dump_json(whole)

    as_whole = written(12, 3, 0)
    assert as_whole == written(12.0, 3.0, 0.0)
    assert '"hours_on_per_day": 12.0' in as_whole
    assert '"input_tokens_per_day": 1000000.0' in as_whole


def test_a_named_api_is_worked_out_to_the_cent(say: Callable[..., Any]) -> None:
    row = offer_of(told(say, *ASKED), "claude-haiku-4-5")
    # 1 million in at $1 and 0.6 million out at $5
    assert row["cloud"]["usd_per_day"] == pytest.approx(4.00)
    assert row["relation"] == "named"
    assert row["source"]
    assert row["age_days"] >= 97


def test_an_offer_of_the_same_model_is_compared_with_and_not_the_cheapest(
    say: Callable[..., Any],
) -> None:
    asked = (*CARDS, "--region", "germany", "--against", "groq/llama-3.3-70b-versatile")
    answer = told(say, *asked)
    assert [row["model"] for row in answer["offers"] if row["is_named"]] == [
        "llama-3.3-70b-versatile"
    ]
    assert answer["offers"][0]["provider"] == "OpenRouter"  # cheaper, and not what was asked
    lines = say("cost", *asked, "--plain").out.splitlines()
    compared = [line for line in lines if line.startswith("Against ")]
    assert len(compared) == 1
    assert compared[0].startswith("Against Groq llama-3.3-70b-versatile")


def test_the_machine_at_work_is_worked_out_from_its_speeds(say: Callable[..., Any]) -> None:
    answer = told(say, *ASKED)
    speed, local = answer["speed"], answer["local"]
    owned = local["ownership"]
    read_s = 1_000_000 / speed["prefill_tokens_per_s"]["mid"]
    write_s = 600_000 / speed["decode_tokens_per_s"]["mid"]
    hours = (read_s + write_s) / 3600
    assert local["middle"]["busy_hours"] == pytest.approx(hours)
    kwh = (50 * 24 + owned["load_watts"] * hours) / 1000
    assert local["middle"]["running_usd_per_day"] == pytest.approx(kwh * 0.434)
    # two cards at $1,499 over 1,461 days
    whole = kwh * 0.434 + 2 * 1499 / 1461
    assert local["middle"]["usd_per_day"] == pytest.approx(whole)
    assert local["slow"]["usd_per_day"] > whole > local["fast"]["usd_per_day"]


def test_every_value_it_rests_on_is_told_with_where_it_comes_from(say: Callable[..., Any]) -> None:
    rows = {row["key"]: row for row in told(say, *ASKED)["assumptions"]}
    assert rows["usage.output_tokens_per_day"]["source"] == "given"
    assert "yours to set" in rows["usage.input_tokens_per_day"]["source"]
    assert "yours to set" in rows["ownership.idle_watts"]["source"]
    assert rows["ownership.usd_per_kwh"]["as_of"] == "2025-12-31"
    assert "launch price" in rows["ownership.purchase_usd"]["source"]
    assert all(row["source"] for row in rows.values())


def test_what_a_person_gives_is_called_given_though_it_is_the_default(
    say: Callable[..., Any],
) -> None:
    asked = ("--hours-on", "24", "--idle-watts", "50", "--use-spread", "0.5", "--tokens-in", "1M")
    rows = {row["key"]: row["source"] for row in told(say, *CARDS, *asked)["assumptions"]}
    given = {key for key, source in rows.items() if source == "given"}
    assert given == {
        *("usage.hours_on_per_day", "usage.input_tokens_per_day"),
        *("ownership.idle_watts", "spreads.use"),
    }


def test_a_line_of_a_batch_tells_what_it_gave_from_defaults(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    asked = {"usage": {"hours_on_per_day": 24}, "spreads": {"price": 0.2}}
    line = {"model": CARDS[0], "machine": CARDS[2], "question": "cost", "cost": asked}
    lines = tmp_path / "lines.jsonl"
    lines.write_text(json.dumps(line))
    rows = json.loads(say("batch", str(lines)).out)["assumptions"]
    given = {row["key"] for row in rows if row["source"] == "given"}
    assert given == {"usage.hours_on_per_day", "spreads.price"}


def test_old_prices_are_warned_of_and_read_ones_are_not(say: Callable[..., Any]) -> None:
    warnings = told(say, *ASKED)["warnings"]
    assert any(text.startswith("Prices move:") for text in warnings)
    assert not any("not read at a source" in text for text in warnings)


def test_unread_prices_are_warned_of_in_words(say: Callable[..., Any]) -> None:
    answer = told(
        say, "llama-3.1-8b", "--machine", "rx 7900 gre + 32gb", "--region", "india", *AGAINST
    )
    unread = "was not read at a source"
    card = "Radeon RX 7900 GRE, without the PC around it: unverified launch price"
    assert [text for text in answer["warnings"] if unread in text] == [
        f"The price of the machine {unread}: {card}.",
        f"The price of a kWh {unread}: India, household, 2024: rounded from memory.",
    ]
    keys = {row["key"] for row in answer["assumptions"]}
    assert {"ownership.purchase_usd", "ownership.usd_per_kwh"} <= keys


def test_an_unknown_price_of_electricity_is_unknown_to_the_end(say: Callable[..., Any]) -> None:
    answer = told(say, *CARDS)
    assert answer["local"]["ownership"]["usd_per_kwh"] is None
    assert answer["local"]["middle"]["usd_per_day"] is None
    for row in answer["offers"]:
        assert row["comparison"]["cheaper"] == "unknown"
        assert row["comparison"]["break_even"] is None
        assert row["hybrid"] is None
        assert "price of electricity" in row["comparison"]["reason"]
    out = say("cost", *CARDS, "--plain").out
    assert "electricity: unknown a day" not in out
    assert "electricity: unknown" in out


def test_sensitivity_and_what_money_does_not_cover_are_shown(say: Callable[..., Any]) -> None:
    out = say("cost", *ASKED, "--plain").out
    for text in (
        "Break-even day, moved",
        "the API's prices, by 20% either way",
        "the price of electricity, by 20% either way",
        "tokens a day, by 50% either way",
        "the machine's speed, to either end of its interval",
        "What money does not cover",
        "privacy",
        "What routing gave others, at its best",
        "same model",
        "30.4 times (average), unverified",
    ):
        assert text in out


def test_it_is_said_plainly_that_the_cloud_stays_cheaper(say: Callable[..., Any]) -> None:
    out = say("cost", *CARDS, "--kwh-price", "0.4", "--plain").out
    assert "the cloud stays cheaper" in out
    assert "never breaks even" in out


def test_a_model_that_does_not_fit_ends_with_one_and_the_clouds_price(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    asked = ("deepseek-r1", "--machine", "64gb", "--region", "france")
    said = say("cost", *asked, "--json")
    assert said.code == 1
    is_valid("cost", said.json)
    assert said.json["verdict"] == "no"
    assert said.json["local"] is None
    assert said.json["rented"]
    assert all(row["cloud"]["usd_per_day"] > 0 for row in said.json["offers"])
    text = say("cost", *asked, "--plain")
    assert text.code == 1
    assert "It does not run on this machine: ram needs" in text.out


def test_more_than_the_machine_can_write_is_said(say: Callable[..., Any]) -> None:
    answer = told(say, *ASKED[:-1], "60M")
    assert answer["local"]["can_do_it"] == "no"
    assert answer["local"]["most_tokens_per_day"] < 61_000_000
    assert all(row["comparison"]["cheaper"] == "unknown" for row in answer["offers"])
    out = say("cost", *ASKED[:-1], "60M", "--plain").out
    assert "can it do that: no" in out
    assert "it cannot take the place of the API" in out


def test_hours_that_a_day_has_not_got_have_no_price(say: Callable[..., Any]) -> None:
    text = say("cost", *CARDS, *AGAINST, "--tokens-out", "600M", "--kwh-price", "0.3").out
    assert "hours for a day's tokens" in text
    assert "kWh a day" not in text
    assert "electricity: $" not in text


def test_rents_cost_their_hours(say: Callable[..., Any]) -> None:
    for row in told(say, *ASKED, "--hours-on", "10", "--days-a-week", "3.5")["rented"]:
        assert row["usd_per_day"] == pytest.approx(row["usd_per_hour"] * 10 / 2)
        assert row["source"]


def test_own_prices_take_the_place_of_the_catalogs(say: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        '[[offers]]\nprovider = "Anthropic"\nprovider_id = "anthropic"\nkind = "first-party"\n'
        'model = "claude-haiku-4-5"\nusd_per_mtok = { input = 10, output = 50 }\n'
        'as_of = 2026-11-26\nsource = "a contract"\nchecked = 2026-11-26\n'
        '[[electricity]]\nid = "home"\nregion = "Home"\nkind = "household"\nusd_per_kwh = 0.2\n'
        'period = "2026"\nas_of = 2026-11-26\nsource = "a bill"\nchecked = 2026-11-26\n'
    )
    asked = ("--prices", str(path), "--region", "home", "--against", "claude-haiku-4-5")
    answer = told(say, *CARDS, *asked, "--tokens-out", "600k")
    row = offer_of(answer, "claude-haiku-4-5")
    assert row["cloud"]["usd_per_day"] == pytest.approx(40.00)
    assert row["source"] == "a contract"
    assert row["comparison"]["cheaper"] == "local"
    assert answer["local"]["ownership"]["usd_per_kwh"] == 0.2


def test_a_malformed_price_file_is_one_line(say: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[[offers]]\nprovider = "X"\n')
    said = say("cost", *CARDS, "--prices", str(path))
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert "field 'offers.0.as_of' of the price file is missing" in said.err


def test_the_router_is_a_file_on_standard_output(say: Callable[..., Any]) -> None:
    asked = (*CARDS, "--against", "claude-haiku-4-5", "--router", "litellm")
    said = say("cost", *asked)
    assert said.code == 0
    assert said.out.startswith("# litellm --config FILE\n")
    assert '      model: "openai/llama-3.3-70b"\n' in said.out
    assert '      model: "anthropic/claude-haiku-4-5"\n' in said.out
    assert told(say, *asked)["router"] == said.out


@pytest.mark.parametrize(
    ("runtime", "port"), [("llama.cpp", 8080), ("ollama", 11434), ("lm-studio", 1234)]
)
def test_the_router_finds_the_runtimes_server_at_its_usual_address(
    say: Callable[..., Any], runtime: str, port: int
) -> None:
    asked = ("--against", "claude-haiku-4-5", "--router", "litellm", "--runtime", runtime)
    said = say("cost", *CARDS, *asked)
    assert said.code == 0, said.err
    assert f'api_base: "http://127.0.0.1:{port}/v1"\n' in said.out


def test_k_and_m_are_a_bills_thousands(say: Callable[..., Any]) -> None:
    for given, tokens in (("2M", 2e6), ("500k", 5e5), ("1,500", 1500), ("0.5m", 5e5)):
        usage = told(say, *CARDS, "--tokens-in", given)["usage"]
        assert usage["input_tokens_per_day"] == tokens


def test_what_is_missing_for_costs_here_is_told_with_the_option_that_gives_it(
    say: Callable[..., Any],
) -> None:
    asked = ("cost", "llama-3.1-8b", "--machine", "64gb", "--plain")
    said = say(*asked).out
    for option in ("--buy-price", "--kwh-price", "--region", "--load-watts", "'whatfits bench'"):
        assert option in said
    given = ("--buy-price", "0", "--kwh-price", "0.2", "--load-watts", "90")
    assert "--load-watts" not in say(*asked, *given).out
    assert "'whatfits bench' measures it" in say(*asked, *given).out
    assert "To know what it costs here" not in say("cost", *CARDS, "--kwh-price", "0.2").out


def test_rented_gpus_that_do_not_keep_up_come_last_and_without_a_price_a_token(
    say: Callable[..., Any],
) -> None:
    asked = ("cost", "qwen3-8b", "--machine", "rtx 4060 + 16gb", "--tokens-out", "8M")
    days = say(*asked, "--json").json["rented"]
    slow = [day["can_write_it"] is False for day in days]
    assert slow == sorted(slow)
    assert {True, False} == set(slow)
    for group in (False, True):
        prices = [d["usd_per_hour"] for d, late in zip(days, slow, strict=True) if late is group]
        assert prices == sorted(prices)
    told = say("cost", "qwen3-8b", *asked[2:4], "--tokens-out", "500M", "--plain").lines
    rows = [line for line in told if line.startswith("--machine: ")]
    assert rows
    assert all("1M tokens: -; " in row and " h, too slow; " in row for row in rows)
