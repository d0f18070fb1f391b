"""Every page as it is run: what it says are the library's numbers for the same request."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check, plan
from whatfits.sizing.api import load_machine
from whatfits.sizing.basis.source_links import source_links
from whatfits.sizing.basis.words import reason
from whatfits.sizing.catalog.lookup import model_entries
from whatfits.sizing.catalog.quality import loss_text
from whatfits.sizing.curves import context_curves
from whatfits.sizing.explain import short_rate, verdict_sentence
from whatfits.sizing.headline import headline, speed_sentences
from whatfits.sizing.json_values import dump_json
from whatfits.sizing.pool_bills import PART_LABELS, pool_bills
from whatfits.sizing.ranking.ranker import rank
from whatfits.sizing.ranking.rows import sort_rows
from whatfits.sizing.runtimes import find_runtime
from whatfits.sizing.sources.catalog_model import spec_of_entry
from whatfits.sizing.units import format_bytes, format_tokens, parse_tokens
from whatfits.sizing.workload import PlacementRequest, Workload
from whatfits.webapp.words import advice, inert

if TYPE_CHECKING:
    from collections.abc import Callable

GRID = list(
    product(
        ("llama-3.1-8b", "qwen3-30b-a3b", "gemma-3-12b"),
        ("8gb", "2x rtx-3090 + 64gb", "m4-pro 24gb"),
        (("auto", "8k"), ("Q6_K", "32k")),
    )
)


def said(app: Any) -> str:  # noqa: ANN401 - Streamlit's own
    kinds = ("success", "warning", "error", "info", "markdown", "caption", "code")
    return "\n".join(element.value for kind in kinds for element in getattr(app, kind))


@pytest.mark.parametrize(("model", "machine", "asked"), GRID)
def test_every_number_of_an_answer_is_the_librarys(
    page: Callable[..., Any], model: str, machine: str, asked: tuple[str, str]
) -> None:
    quant, context = asked
    text = said(page(model=model, machine=machine, quant=quant, context=context, why="1"))
    expected = plan(
        model,
        machine=machine,
        file_type=None if quant == "auto" else quant,
        workload={"context_tokens": parse_tokens(context)},
    )
    assert inert(headline(expected)) in text
    assert inert(verdict_sentence(expected)) in text
    for sentence in speed_sentences(expected):
        assert inert(sentence) in text
    for bill in pool_bills(expected):
        for part, size in bill.parts:
            if size:
                assert inert(PART_LABELS[part]) in text
                assert inert(format_bytes(size)) in text
    for one in expected.runtimes:
        assert advice(one.reason) in text
        if one.commands:
            assert "\n".join(one.commands) in text
    if expected.largest_context_tokens:
        assert f"**{format_tokens(expected.largest_context_tokens)} tokens**" in text


def test_the_reasons_are_shown_when_they_are_asked_for(page: Callable[..., Any]) -> None:
    app = page(machine="rtx-4090", quant="Q4_K_M")
    app.session_state["why"] = True
    app.run()
    text = said(app)
    expected = plan(
        "llama-3.1-8b",
        machine="rtx-4090 + 32gb",
        file_type="Q4_K_M",
        workload={"context_tokens": 8192},
    )
    for basis in expected.basis:
        for name, value in reason(basis, expected).rows:
            assert f"- {name}: {inert(value)}" in text
        for link in source_links(basis.source):
            assert f"[{inert(link.name)}]({link.url})" in text


def test_a_remedy_applies_itself(page: Callable[..., Any]) -> None:
    app = page(model="qwen3-14b", machine="rtx-3060-12-gb", quant="Q4_K_M", context="16k")
    assert app.warning[0].value.startswith("**Fits, but slowly")
    labels = [button.label for button in app.button]
    at = labels.index(inert("Use 8,192 tokens of context"))
    app.button[at].click().run()
    assert app.select_slider(key="context").value == "8k"
    assert app.success[0].value.startswith("**Fits,")


def test_the_answer_can_be_taken_along(
    page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[tuple[str, str]] = []

    def take(label: str, data: Callable[[], str], **_more: object) -> None:
        offered.append((label, data()))

    streamlit = pytest.importorskip("streamlit", reason="needs the extra [web]")
    monkeypatch.setattr(streamlit, "download_button", take)
    page(machine="rtx-4090 + 64gb", quant="Q4_K_M")
    expected = plan(
        "llama-3.1-8b",
        machine="rtx-4090 + 64gb",
        file_type="Q4_K_M",
        workload={"context_tokens": 8192},
    )
    assert offered == [("Answer as JSON", dump_json(expected))]


def test_a_mac_is_told_both_limits_and_the_command(page: Callable[..., Any]) -> None:
    text = said(page(machine="m4-max-40-core-gpu 64gb", quant="Q4_K_M"))
    assert inert("CPU and GPU share 64.0 GiB") in text
    assert "sudo sysctl iogpu.wired_limit_mb=57344" in text


def test_a_macs_table_holds_the_gpus_part_against_the_gpus_limit(page: Callable[..., Any]) -> None:
    machine = "m4-max-40-core-gpu 64gb"
    text = said(page(machine=machine, quant="Q4_K_M", model="llama-3.3-70b"))
    (bill,) = pool_bills(
        plan(
            "llama-3.3-70b",
            machine=machine,
            file_type="Q4_K_M",
            workload={"context_tokens": 8192},
        )
    )
    of_gpu, whole = bill.needs
    assert whole.high_bytes > of_gpu.high_bytes
    assert f"| of it for the GPU, at most | {inert(format_bytes(of_gpu.high_bytes))} |" in text
    assert (
        f"| may be used | {inert(format_bytes(of_gpu.pool.free_low_bytes or 0))} by the GPU |"
        in text
    )
    # what is to spare is what these two leave
    assert inert(f"{format_bytes(bill.spare_bytes or 0)} to spare") in text
    assert "of it for the GPU" not in said(page(machine="rtx-4090"))


def test_the_ranking_is_the_librarys(page: Callable[..., Any]) -> None:
    app = page("runs", machine="m2 8gb", use="embedding", context="1k")
    machine = load_machine("m2 8gb")
    rows = rank(
        (entry for entry in model_entries() if entry.kind == "embedding"),
        machine,
        load=lambda entry, file_type: spec_of_entry(entry, file_type=file_type),
        workload=Workload(context_tokens=1024),
    )
    runs = sort_rows([row for row in rows if row.verdict in ("fits", "slow", "tight")], "size")
    assert runs
    table = next(element.value for element in app.markdown if "| model |" in element.value)
    lines = table.splitlines()[2:]
    assert len(lines) == min(25, len(runs))
    for line, row in zip(lines, runs, strict=False):
        assert f"[{inert(row.model)}](./?" in line
        assert f"model={row.model}&quant={row.file_type}" in line
        for cell in (
            row.file_type,
            row.verdict,
            format_bytes(row.high_bytes),
            short_rate(row.decode_tokens_per_s),
            loss_text(row.file_type),
            format_tokens(longest_context(row.model, row.file_type)),
        ):
            assert f"| {inert(cell)} |" in line


def longest_context(model: str, file_type: str) -> int:
    found = check(
        model, file_type=file_type, machine="m2 8gb", workload={"context_tokens": 1024}
    ).largest_context_tokens
    assert found is not None
    return found


def test_the_curves_are_the_librarys(page: Callable[..., Any]) -> None:
    app = page("explore", machine="rtx-4090", ram="64gb", quant="Q4_K_M")
    (curve,) = context_curves(
        spec_of_entry(
            next(e for e in model_entries() if e.id == "llama-3.1-8b"), file_type="Q4_K_M"
        ),
        load_machine("rtx-4090 + 64gb"),
        Workload(context_tokens=8192),
        PlacementRequest(),
        kv_types=["q8_0"],
        contexts=[parse_tokens("8k"), parse_tokens("128k")],
    )
    text = said(app)
    for point in curve.points:
        assert inert(f"{format_bytes(point.high_bytes)}, {point.verdict}") in text
    assert inert(f"at most {format_tokens(curve.largest_context_tokens or 0)} tokens") in text


@pytest.mark.parametrize("screen", ["learn", "method"])
def test_a_page_opens_without_an_error(page: Callable[..., Any], screen: str) -> None:
    app = page(screen, machine="m4-pro 24gb", model="qwen3-8b")
    assert app.title[0].value == screen.title()
    assert not app.error


def test_the_claim_about_a_small_mac_is_held_against_the_arithmetic(
    page: Callable[..., Any],
) -> None:
    text = said(page("learn", machine="m2 8gb", model="llama-3.2-1b"))
    claims = (
        ("llama-3.1-8b", "llama.cpp", "BF16"),
        ("llama-3.1-8b", "mlx", "bf16"),
        ("qwen3-30b-a3b", "llama.cpp", "Q4_K_M"),
        ("qwen3-30b-a3b", "mlx", "4bit"),
    )
    for model, runtime, file_type in claims:
        expected = check(
            model,
            machine="m4-pro 24gb",
            file_type=file_type,
            runtime=runtime,
            workload={"context_tokens": 8192},
        )
        most = expected.memory.high_bytes
        cells = (
            *(model, find_runtime(runtime).label, file_type, expected.verdict),
            f"{most / 2**30:.1f} GiB = {most / 1e9:.1f} GB",
            "16.0 GiB to 17.8 GiB",  # by the age of macOS
            "raise the GPU's memory limit to 20.0 GiB: sudo sysctl iogpu.wired_limit_mb=20480",
        )
        assert f"| {' | '.join(inert(cell) for cell in cells)} |" in text
        raised = load_machine("m4-pro 24gb")
        (pool,) = raised.pools
        limit = 20 * 2**30
        pools = (replace(pool, limit_bytes=limit, limit_low_bytes=None),)
        fits = check(
            model,
            machine=replace(raised, pools=pools),
            file_type=file_type,
            runtime=runtime,
            workload={"context_tokens": 8192},
        )
        assert fits.verdict == "fits"


def test_memory_of_unknown_size_is_asked_for(page: Callable[..., Any]) -> None:
    told = said(page(machine="ryzen 9 7950x", model="llama-3.1-8b"))
    assert inert("The size of ram is not known: name the machine with it") in told


def test_the_file_of_a_catalog_model_is_linked_beside_its_commands(
    page: Callable[..., Any],
) -> None:
    address = "https://huggingface.co/models?other=base_model:quantized:meta-llama/"
    told = said(page(model="llama-3.1-8b", machine="m4-pro 24gb"))
    assert f"[who offers it]({address}Llama-3.1-8B-Instruct)" in told
    assert "[who offers it]" not in said(page(model="llama-3.3-70b", machine="8gb"))


HOSTILE = [
    "![x](http://evil.example/a.png)",
    "[click](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "http://169.254.169.254/latest/meta-data",
    "file:///etc/passwd",
    "../../../../etc/passwd",
    "$\\href{javascript:x}{y}$",
    "a" * 5000,
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("key", ["model", "machine"])
def test_a_hostile_name_is_refused_in_a_line_of_plain_text(
    page: Callable[..., Any], key: str, name: str
) -> None:
    app = page(**{key: name})
    (error,) = app.error
    assert len(error.value) < 1000
    assert re.search(r"(?<!\\)[<\[\]$!*_`]", error.value) is None


def test_a_link_alone_reads_no_address(
    page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "whatfits.webapp.asked.load_model", lambda name, **_: asked.append(name) or 1 / 0
    )
    app = page(model="hf:owner/name", machine="64gb")
    assert asked == []
    assert any(inert("hf:owner/name") in info.value for info in app.info)
    assert any("Hugging Face" in button.label for button in app.button)


@pytest.mark.parametrize("screen", ["fit", "runs", "explore", "cloud", "learn", "method"])
def test_strangers_see_nothing_of_this_machine(
    page: Callable[..., Any], public: None, screen: str
) -> None:
    app = page(screen)
    machine = app.selectbox(key="machine")
    assert "this computer" not in machine.options
    assert machine.value == "rtx-4090"
    assert "this computer" not in said(app)


def test_strangers_cannot_ask_for_this_machine_or_an_address(
    page: Callable[..., Any], public: None
) -> None:
    assert inert("not shown") in said(page(machine="this computer"))
    refused = page(machine="64gb", model="hf:owner/name")
    assert inert("a model of the catalog") in refused.error[0].value


def test_a_full_public_page_says_so(
    page: Callable[..., Any], public: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whatfits.webapp.sessions.place_for_this_session", lambda: None)
    assert page().error[0].value.startswith("Every place is taken")


def test_each_of_several_cards_has_a_field_for_its_share(page: Callable[..., Any]) -> None:
    app = page(model="llama-3.3-70b", machine="rtx-3090", cards="2", quant="Q4_K_M", share2="3")
    assert inert("a number for every card") in app.error[0].value
    app.number_input(key="share1").set_value(1).run()
    expected = plan(
        "llama-3.3-70b",
        machine="2x rtx-3090 + 32gb",
        file_type="Q4_K_M",
        workload={"context_tokens": 8192},
        placement={"tensor_split": (1.0, 3.0)},
    )
    assert inert(verdict_sentence(expected)) in said(app)
    labels = {field.label for field in app.number_input}
    assert {f"Share of cuda{at} (GeForce RTX 3090)" for at in (0, 1)} <= labels


def test_a_card_that_is_gone_has_no_share_left(page: Callable[..., Any]) -> None:
    app = page(machine="rtx-3090", cards="2", quant="Q4_K_M", share1="3", share2="1")
    app.number_input(key="cards").set_value(1).run()
    assert not app.error
    assert [field for field in app.number_input if field.label.startswith("Share")] == []


def test_one_card_has_no_field_for_a_share(page: Callable[..., Any]) -> None:
    for machine in ("rtx-3090", "m4-pro 48gb", "64gb"):
        labels = [field.label for field in page(machine=machine, quant="Q4_K_M").number_input]
        assert [label for label in labels if label.startswith("Share")] == []


def test_a_larger_card_is_one_click_away(page: Callable[..., Any]) -> None:
    app = page(model="qwen3-32b", machine="rtx-3060-12-gb", quant="Q4_K_M")
    (button,) = [one for one in app.button if "a card of 24 GiB" in one.label.replace("\\", "")]
    button.click().run()
    assert app.selectbox(key="machine").value == "nvidia-geforce-rtx-4090 + 32gb"
    assert app.success[0].value.startswith("**Fits")


def test_a_context_beyond_training_is_told_beside_the_verdict(page: Callable[..., Any]) -> None:
    text = said(page(model="falcon-7b", machine="rtx-4090", context="64k"))
    assert text.count(inert("The model was trained for 2,048 tokens")) == 1
    assert "**2,048 tokens** (trained for 2,048)" in text
    assert "was trained for" not in said(page(model="falcon-7b", machine="rtx-4090", context="2k"))


@pytest.mark.parametrize("model", ["zzz", "/models/some.gguf", ""])
def test_an_unknown_model_is_told_what_the_page_takes_and_no_path(
    page: Callable[..., Any], model: str
) -> None:
    (error,) = page(model=model or " ", machine="64gb").error
    assert error.value == inert(
        f"unknown model '{model}'; allowed: a model of the list, hf:owner/name, or a file under "
        "'A model that is not in the list'"
    )


def test_a_stranger_is_told_to_choose_from_the_list(page: Callable[..., Any], public: None) -> None:
    (error,) = page(model="zzz", machine="64gb").error
    assert error.value == inert("unknown model 'zzz'; allowed: a model of the list")
