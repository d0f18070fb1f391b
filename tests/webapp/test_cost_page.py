"""Local or cloud as it is run: every number is the library's for the same request."""

from __future__ import annotations

import datetime as dt
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("streamlit", reason="needs the extra [web]")

from whatfits.sizing import cost
from whatfits.sizing.costing.headline import cost_headline, days_text
from whatfits.sizing.costing.lines import cost_lines
from whatfits.sizing.costing.moving import Spreads
from whatfits.sizing.costing.ownership import Ownership
from whatfits.sizing.costing.usage import Usage
from whatfits.sizing.costing.words import (
    assumptions_table,
    comparison_lines,
    hybrid_table,
    local_facts,
    offer_name,
    offers_table,
    question_sentence,
    rents_table,
    results_table,
    sensitivity_table,
)
from whatfits.webapp.chart_parts import DARK, LIGHT
from whatfits.webapp.cost_charts import cost_alt, cost_chart, cost_table, usd_range
from whatfits.webapp.cost_engine import api_choices, compared_offer
from whatfits.webapp.cost_state import cost_question_of
from whatfits.webapp.state import question_of
from whatfits.webapp.words import advice, inert, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.costing.answer import ComparedOffer, CostAnswer
    from whatfits.sizing.costing.lines import CostLines
    from whatfits.sizing.document import Table

MODELS = ("llama-3.1-8b", "llama-3.3-70b")
MACHINES = ("rtx-4090 + 32gb", "m4-pro 48gb", "m2 8gb")
ASKED: tuple[dict[str, Any], ...] = (
    {"tokensin": 50_000, "tokensout": 10_000},
    {
        "tokensin": 20_000_000,
        "tokensout": 4_000_000,
        "cached": 40,
        "api": "openai/gpt-5",
        "buy": 2000,
        "life": 5,
        "resale": 25,
        "region": "germany",
        "loadwatts": 300,
        "hours": 20,
        "days": 5,
    },
)
GRID = list(product(MODELS, MACHINES, ASKED))


def today() -> dt.date:
    return dt.datetime.now(tz=dt.UTC).date()


def expected(model: str, machine: str, asked: dict[str, Any]) -> CostAnswer:
    return cost(
        model,
        today=today(),
        machine=machine,
        workload={"context_tokens": 8192},
        # values, as the page has them: of these what is the default counts as one
        usage=Usage(
            input_tokens_per_day=asked["tokensin"],
            output_tokens_per_day=asked["tokensout"],
            cached_share=asked.get("cached", 0) / 100,
            hours_on_per_day=asked.get("hours", 24),
            days_per_week=asked.get("days", 7),
        ),
        ownership=Ownership(
            purchase_usd=asked.get("buy"),
            life_years=asked.get("life", 4),
            resale_share=asked.get("resale", 0) / 100,
            load_watts=asked.get("loadwatts"),
        ),
        region=asked.get("region", "united-states"),
        against=[asked["api"]] if "api" in asked else [],
    )


def told(found: CostAnswer, asked: dict[str, Any]) -> ComparedOffer | None:
    named = [row for row in found.offers if row.model == asked.get("api", "/").split("/")[1]]
    return next(iter(named or found.offers), None)


def drawn(found: CostAnswer, offer: ComparedOffer | None, life: int) -> CostLines:
    rent = next(iter(found.rented), None)
    days = {4: 1461, 5: 1826}[life]
    return cost_lines(found, offer, rent, Spreads(), life_days=days)


def as_chosen(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of inputs: a card of the list has its RAM in another one."""
    machine, _, ram = values.get("machine", "").partition(" + ")
    return {**values, "machine": machine, "ram": ram} if ram else values


def shown(block: Table) -> str:
    return table(block.columns, block.rows, right=block.right)


def said(app: Any) -> str:  # noqa: ANN401 - Streamlit's own
    kinds = ("success", "warning", "error", "info", "markdown", "caption", "code")
    return "\n".join(element.value for kind in kinds for element in getattr(app, kind))


@pytest.fixture
def cloud(page: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that opens the page with values chosen, as an address gives them."""

    def opened(**values: Any) -> Any:  # noqa: ANN401 - Streamlit's own
        app = page("cloud")
        for key, value in as_chosen(values).items():
            app.session_state[key] = value
        app.run()
        assert [error.message for error in app.exception] == []
        return app

    return opened


@pytest.mark.parametrize(("model", "machine", "asked"), GRID)
def test_every_number_of_the_page_is_the_librarys(
    cloud: Callable[..., Any], model: str, machine: str, asked: dict[str, Any]
) -> None:
    text = said(cloud(model=model, machine=machine, **asked))
    found = expected(model, machine, asked)
    offer = told(found, asked)
    assert f"**{inert(cost_headline(found, offer))}**" in text
    assert inert(question_sentence(found)) in text
    tables = [results_table(found.routing_results)] if offer else []
    tables += [assumptions_table(found.assumptions), rents_table(found.rented[:5], title="")]
    if found.offers:
        tables.append(offers_table(found.offers, title=""))
    if found.local is not None and offer is not None:
        for line in comparison_lines(offer).lines:
            assert inert(line) in text
        moved = sensitivity_table(offer)
        tables += [] if moved is None else [moved]
        if offer.hybrid is not None:
            tables.append(hybrid_table(offer.hybrid, offer_name(offer)))
    if found.local is not None:
        for label, value in local_facts(found.local, machine="").rows:
            assert f"- **{inert(label)}**: {inert(value)}" in text
    for block in tables:
        assert shown(block) in text
    lines = drawn(found, offer, asked.get("life", 4))
    columns, rows = cost_table(lines)
    assert table(columns, rows, right=columns[1:]) in text
    assert inert(cost_alt(lines)) in text
    for warning in found.warnings:
        assert advice(warning) in text
    for uncovered in found.not_covered:
        assert f"- {inert(uncovered)}" in text


def test_a_rented_gpu_is_drawn_when_it_is_chosen(cloud: Callable[..., Any]) -> None:
    found = expected("llama-3.1-8b", "rtx-4090 + 32gb", ASKED[0])
    other = found.rented[2]
    app = cloud(machine="rtx-4090 + 32gb", rent=other.machine, **ASKED[0])
    lines = cost_lines(found, told(found, {}), other, Spreads(), life_days=1461)
    assert inert(cost_alt(lines)) in said(app)
    app.session_state["model"] = "llama-3.3-70b"  # too large for that GPU
    app.run()
    assert not app.exception
    assert app.selectbox(key="rent").value == "cheapest"


def test_the_start_configuration_is_the_one_of_cost(cloud: Callable[..., Any]) -> None:
    asked = {"machine": "rtx-4090 + 32gb", "api": "groq/llama-3.1-8b-instant"}
    assert not any("model_list:" in code.value for code in cloud(**asked).code)
    text = cost(
        "llama-3.1-8b",
        today=today(),
        machine=asked["machine"],
        against=[asked["api"]],
        router="litellm",
    ).router
    assert text is not None
    assert text.strip() in [code.value for code in cloud(**asked, router=True).code]


def test_what_is_missing_is_asked_for_by_the_name_of_its_field(cloud: Callable[..., Any]) -> None:
    text = said(cloud(model="qwen3-8b", machine="m4-pro 48gb"))
    assert "what it costs to buy: Price of the machine \\(USD\\)" in text
    assert "Cannot be told" in text


def test_a_speed_that_is_missing_is_told_where_to_get(cloud: Callable[..., Any]) -> None:
    text = said(cloud(model="llama-3.2-1b", machine="arc-a310 + 32gb", buy=100))
    assert "To know what it costs here, give" in text
    assert inert("'whatfits bench' measures it") in text


def test_nothing_is_asked_for_where_the_model_does_not_run(cloud: Callable[..., Any]) -> None:
    text = said(cloud(model="deepseek-v3", machine="rtx-4090 + 32gb"))
    assert "The model does not run on this machine" in text
    assert "To know what it costs here" not in text


def test_an_api_that_is_named_is_the_one_compared_with() -> None:
    found = expected("llama-3.1-8b", "rtx-4090 + 32gb", ASKED[0])
    asked = cost_question_of(question_of({}), {"api": "groq/llama-3.1-8b-instant"})
    row = compared_offer(found, asked)
    assert row is not None
    assert (row.provider, row.model) == ("Groq", "llama-3.1-8b-instant")
    assert compared_offer(found, cost_question_of(question_of({}), {})) == found.offers[0]
    assert "groq/llama-3.1-8b-instant" in api_choices()


@pytest.mark.parametrize("ink", [LIGHT, DARK])
def test_the_chart_has_every_point_and_a_dot_at_each_crossing(ink: Any) -> None:  # noqa: ANN401 - either
    found = expected("llama-3.1-8b", "rtx-4090 + 32gb", ASKED[1])
    lines = drawn(found, told(found, ASKED[1]), 5)
    spec = cost_chart(lines, ink).to_dict()
    points = spec["layer"][1]["data"]["values"]
    assert [(row["way"], row["usd"]) for row in points] == [
        (name, point.usd)
        for line, name in zip(
            lines.lines, ("this machine", "the API", "the rented GPU"), strict=True
        )
        for point in (*line.points, *([line.sold] if line.sold else []))
    ]
    dots = spec["layer"][2]["data"]["values"]
    assert [row["usd"] for row in dots] == [crossing.usd for crossing in lines.crossings]
    for row, crossing in zip(dots, lines.crossings, strict=True):
        assert row["early"] <= row["months"] <= row["late"]
        assert crossing.even.day is not None
        assert row["months"] == pytest.approx(crossing.even.day / 30.4375)
    labels = [layer["data"]["values"][0]["label"] for layer in spec["layer"][4:]]
    assert labels == [days_text(day) for day in sorted(c.even.day or 0 for c in lines.crossings)]
    # a layer without a legend would take it from all
    assert all(layer["encoding"]["color"]["legend"] for layer in spec["layer"][:2])
    assert usd_range(lines.lines[0].points[0]) == "$2,000"


def test_a_chart_without_a_crossing_has_no_dot() -> None:
    found = expected("llama-3.1-8b", "m2 8gb", ASKED[0])
    lines = drawn(found, told(found, ASKED[0]), 4)
    assert len(cost_chart(lines, LIGHT).to_dict()["layer"]) == 2


def test_a_price_of_power_that_nobody_pays_is_not_taken(page: Callable[..., Any]) -> None:
    app = page("cloud", machine="rtx-4090")
    field = app.number_input(key="kwh")
    assert (field.min, field.max) == (0, 100)
