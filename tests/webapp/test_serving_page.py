"""Serving as it is run: every number is that of `serve` for the same request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("streamlit", reason="needs the extra [web]")

from whatfits.sizing import serve
from whatfits.sizing.explain import short_rate
from whatfits.sizing.serving.words import curve_readings, curve_table, server_facts, verdict_line
from whatfits.webapp.asked import machine_of, model_of
from whatfits.webapp.chart_parts import LIGHT
from whatfits.webapp.serving_charts import (
    CELL_COLOURS,
    grid_alt,
    grid_chart,
    speed_chart,
    wait_alt,
    wait_chart,
)
from whatfits.webapp.serving_engine import worked_grid
from whatfits.webapp.serving_state import serving_question_of
from whatfits.webapp.state import question_of
from whatfits.webapp.words import advice, inert, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.serving.serve_plan import ServePlan
    from whatfits.webapp.serving_state import ServingQuestion

BUSY = {"clients": 32, "prompt": 2000, "output": 100, "ttft": 2, "minspeed": 20, "prefix": 500}
GRID = [
    ("llama-3.1-8b", "rtx-4090 + 64gb", "llama.cpp", {}),
    ("llama-3.1-8b", "rtx-4090 + 64gb", "vllm", BUSY),
    ("qwen3-30b-a3b", "m4-pro 48gb", "ollama", {"clients": 4, "think": 5}),
    ("llama-3.1-8b", "rtx-3090 + 64gb", "llama.cpp", {"clients": 4, "rate": 60}),
    ("llama-3.3-70b", "m2 8gb", "llama.cpp", {}),
]


def expected(model: str, machine: str, server: str, asked: dict[str, int]) -> ServePlan:
    limits = {"ttft_p95_s": asked.get("ttft", 10)}
    if "minspeed" in asked:
        limits["tokens_per_s"] = asked["minspeed"]
    return serve(
        model,
        users=asked.get("clients", 8),
        runtime=server,
        machine=machine,
        workload={"context_tokens": 8192},
        load={
            "prompt": {"median_tokens": asked.get("prompt", 512)},
            "output": {"median_tokens": asked.get("output", 256)},
            "shared_prefix_tokens": asked.get("prefix", 0),
            "requests_per_hour": asked.get("rate"),
            "think_s": asked.get("think", 0),
        },
        limits=limits,
    )


def asks(machine: str, **asked: Any) -> ServingQuestion:  # noqa: ANN401 - as declared
    return serving_question_of(question_of({"machine": machine}), asked)


def said(app: Any) -> str:  # noqa: ANN401 - Streamlit's own
    kinds = ("success", "warning", "error", "info", "markdown", "caption", "code")
    return "\n".join(element.value for kind in kinds for element in getattr(app, kind))


@pytest.fixture
def serving(page: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that opens the view with values chosen, as an address gives them."""

    def opened(**values: Any) -> Any:  # noqa: ANN401 - Streamlit's own
        app = page("explore")
        machine, _, ram = values["machine"].partition(" + ")
        if ram:  # a card of the list has its RAM in another input
            values |= {"machine": machine, "ram": ram}
        app.session_state["view"] = "Serving"
        app.run()  # its fields are there from now on
        for key, value in values.items():
            app.session_state[key] = value
        app.run()
        assert [error.message for error in app.exception] == []
        return app

    return opened


@pytest.mark.parametrize(("model", "machine", "server", "asked"), GRID)
def test_every_number_of_the_view_is_the_librarys(
    serving: Callable[..., Any], model: str, machine: str, server: str, asked: dict[str, int]
) -> None:
    app = serving(model=model, machine=machine, server=server, **asked)
    found = expected(model, machine, server, asked)
    text = said(app)
    assert f"**{inert(verdict_line(found))}**" in text
    for label, value in server_facts(found).rows:
        assert f"- **{inert(label)}**: {inert(value)}" in text
    if found.curve:
        block = curve_table(found.curve)
        assert table(block.columns, block.rows, right=block.right) in text
        for sentence in curve_readings(found):
            assert inert(sentence) in text
    for lines in found.commands.values():
        assert "\n".join(lines) in [code.value for code in app.code]
    for note in found.notes:
        assert advice(note) in text


def test_the_curves_have_every_point_of_serve() -> None:
    found = expected("llama-3.1-8b", "rtx-4090 + 64gb", "llama.cpp", {})
    for chart, name in ((wait_chart, "ttft_p95_s"), (speed_chart, "tokens_per_s")):
        spec = chart(found, LIGHT).to_dict()
        rates = [getattr(point, name) for point in found.curve]
        assert spec["layer"][0]["data"]["values"] == [
            {"users": point.users, "low": rate.low, "mid": rate.mid, "high": rate.high}
            for point, rate in zip(found.curve, rates, strict=True)
        ]
        (asked,) = spec["layer"][-1]["data"]["values"]
        assert asked["users"] == 8
    assert "8 at once" in wait_alt(found)


def test_the_map_is_worked_out_when_it_is_asked_for(
    serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whatfits.webapp.serving_engine.GRID_USERS", (1, 8))
    monkeypatch.setattr("whatfits.webapp.serving_engine.GRID_CONTEXTS", (8192, 131_072))
    app = serving(machine="rtx-3060-12-gb + 32gb", quant="Q4_K_M")
    assert "tokens each" not in said(app)
    (button,) = [one for one in app.button if one.label.startswith("Work it out")]
    button.click().run()
    assert not app.exception
    cells = worked_grid(serving_question(app))
    assert inert(grid_alt(cells)) in said(app)
    for cell in cells:
        found = serve(
            model_of(question_of({"quant": "Q4_K_M"})),
            users=cell.users,
            machine=machine_of(question_of({"machine": "rtx-3060-12-gb + 32gb"})),
            workload={"context_tokens": cell.context_tokens},
        )
        assert cell.point == found.at_users
        if cell.point is not None:
            kept = "within limits" if cell.point.keeps_limits else "beyond limits"
            assert inert(f"{short_rate(cell.point.tokens_per_s)}, {kept}") in said(app)
    app.run()  # and stays, once known
    assert inert(grid_alt(cells)) in said(app)
    spec = grid_chart(cells, LIGHT).to_dict()
    rows = spec["data"]["values"]
    assert len(rows) == len(cells)
    assert {row["state"] for row in rows} <= set(CELL_COLOURS)


def serving_question(app: Any) -> ServingQuestion:  # noqa: ANN401 - Streamlit's own
    keys = ("machine", "ram", "quant")
    base = question_of({key: app.session_state[key] for key in keys})
    return serving_question_of(base, {})


def test_the_state_asks_for_the_defaults_of_the_library() -> None:
    usual = expected("llama-3.1-8b", "rtx-4090 + 64gb", "llama.cpp", {})
    asked = asks("rtx-4090 + 64gb")
    assert (asked.load, asked.limits, asked.users) == (usual.load, usual.limits, 8)
    assert asks("64gb", rate=30, think=None).load.requests_per_hour == 30
    cleared = asks("64gb", clients=None, prompt=None, output=None, ttft=None)
    assert cleared == asks("64gb")
