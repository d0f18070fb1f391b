"""`whatfits explain`: labels, terms and models in plain words, with numbers for the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing import check
from whatfits.sizing.glossary.serving import COST_TERMS, SERVING_TERMS
from whatfits.sizing.glossary.terms import TERMS
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.glossary.term import Term


@pytest.mark.parametrize("term", [term.name for term in TERMS])
def test_every_term_is_explained(
    say: Callable[..., Any], is_valid: Callable[[str, object], None], term: str
) -> None:
    answer = say("explain", term, "--machine", "rtx-4090 + 64gb", "--json").json
    is_valid("explain", answer)
    assert (answer["kind"], answer["term"]) == ("term", term)
    assert len(answer["meaning"]) > 40


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (("4-bit", "rule"), "4-bit rule"),
        (("kv", "cache"), "KV cache"),
        (("KV_Cache",), "KV cache"),
        (("vram",), "VRAM"),
        (("moe",), "mixture of experts"),
        (("AWQ",), "AWQ, GPTQ, FP8 and MLX"),
        (("slots",), "slot"),
        (("TTFT",), "time to first token"),
        (("littles", "law"), "Little's law"),
        (("break", "even"), "break-even"),
        (("utilization",), "utilisation"),
        (("tensor", "parallelism"), "tensor parallel"),
        (("rpc",), "RPC"),
        (("MLA",), "latent attention"),
        (("GQA",), "grouped queries"),
        (("SWA",), "sliding window"),
        (("mtp",), "draft"),
        (("mmproj",), "projector"),
        (("imatrix",), "importance matrix"),
        (("KL", "divergence"), "perplexity"),
        (("linear", "attention"), "recurrent state"),
        (("macbook",), "Mac"),
        (("Apple", "silicon"), "Mac"),
        (("offline",), "privacy"),
        (("bpw",), "bits per weight"),
        (("layer",), "layers"),
    ],
)
def test_terms_answer_to_what_people_type(
    say: Callable[..., Any], asked: tuple[str, ...], name: str
) -> None:
    assert say("explain", *asked, "--machine", "24gb", "--json").json["term"] == name


@pytest.mark.parametrize("term", [*SERVING_TERMS, *COST_TERMS], ids=lambda term: term.name)
def test_a_term_of_serving_or_cost_takes_twenty_words_at_most(term: Term) -> None:
    assert len(term.meaning.split()) <= 20


def test_no_two_terms_answer_to_the_same_name() -> None:
    names = [name.casefold() for term in TERMS for name in {term.name.lower(), *term.aliases}]
    assert sorted(names) == sorted(set(names))


def test_layers_are_counted_into_the_memory_that_is_free(say: Callable[..., Any]) -> None:
    # 8,030,261,312 parameters less two matrices of 128,256 x 4,096, over 32 layers: 218 million
    told = say("explain", "layers", "--machine", "gtx 1050 2gb", "--json").json
    assert "32 layers of 218 million weights, about 127 MiB each" in told["here"][0]
    free = 1.9 * 2**30 * 0.98 - 0.5 * 2**30
    held = int(told["here"][1].split("buffers, ")[1].split(" of its 32")[0])
    assert abs(held - free * 0.85 / (127 * 2**20)) <= 2
    large = say("explain", "layers", "--machine", "rtx 4090", "--json").json
    assert "32 of its 32 layers" in large["here"][1]


def test_only_a_mac_is_told_what_its_gpu_may_have(say: Callable[..., Any]) -> None:
    mac = say("explain", "mac", "--machine", "m4 pro 24gb", "--json").json
    assert "the GPU gets at most" in " ".join(mac["here"])
    assert say("explain", "mac", "--machine", "rtx 4090 + 64gb", "--json").json["here"] == []


def test_bits_a_weight_are_those_that_quants_shows(say: Callable[..., Any]) -> None:
    told = say("explain", "bits per weight", "--machine", "24gb", "--json").json["here"][0]
    shown = say("quants", "llama-3.1-8b", "--json").json["file_types"]
    (row,) = [row for row in shown if row["file_type"] == "Q4_K_M"]
    assert f"the whole Q4_K_M {row['model_bits_per_weight']:.2f}: " in told


def test_a_term_has_numbers_for_the_machine(say: Callable[..., Any]) -> None:
    small = say("explain", "4-bit rule", "--machine", "8gb").lines
    large = say("explain", "4-bit rule", "--machine", "64gb").lines
    assert next(line for line in small if line.startswith("Here: ")) != next(
        line for line in large if line.startswith("Here: ")
    )


@pytest.mark.parametrize("label", ["Q4_K_M", "q8_0", "IQ4_XS", "MXFP4", "UD-Q4_K_XL"])
def test_a_label_is_taken_apart(
    say: Callable[..., Any], is_valid: Callable[[str, object], None], label: str
) -> None:
    said = say("explain", label, "--machine", "24gb", "--json")
    is_valid("explain", said.json)
    assert said.json["kind"] == "label"
    assert said.json["label"]["label"]


def test_a_label_has_numbers_for_the_machine(say: Callable[..., Any]) -> None:
    here = say("explain", "Q4_K_M", "--machine", "8gb", "--json").json["here"]
    assert "takes 4.6 GiB of weights in Q4_K_M, 4.89 bits a weight" in here[0]
    assert "6.0 GiB are free in ram" in here[0]
    for label in ("UD-Q4_K_XL", "NVFP4"):
        assert say("explain", label, "--machine", "8gb", "--json").json["here"] == []


@pytest.mark.parametrize("term", ["4-bit rule", "kv cache", "layers", "Q4_K_M"])
def test_cards_over_which_a_model_is_dealt_out_are_counted_together(
    say: Callable[..., Any], term: str
) -> None:
    here = say("explain", term, "--machine", "2x rtx-3090 + 64gb", "--json").json["here"][-1]
    # twice 23.57 GiB, less the half that one card keeps for the desktop
    assert "46.6 GiB" in here
    assert "free in vram0 and vram1 together" in here


@pytest.mark.parametrize(
    ("model", "card", "figures"),
    [
        ("llama-2-7b", "rtx-4060 + 16gb", ("3.8 GiB", "512 KiB", "2.0 GiB")),
        ("llama-2-13b", "rtx-4060 ti 16gb + 16gb", ("7.3 GiB", "800 KiB", "3.1 GiB")),
    ],
)
def test_what_8_and_16_gb_hold_is_what_check_says(
    say: Callable[..., Any], model: str, card: str, figures: tuple[str, str, str]
) -> None:
    plan = check(model, machine=card, workload={"context_tokens": 4096})
    assert (plan.verdict, plan.model.file_type) == ("fits", "Q4_K_M")
    cache = plan.memory.kv_cache_bytes
    told = (plan.memory.weights_bytes, cache // 4096, cache)
    assert tuple(map(format_bytes, told)) == figures
    said = " ".join(say("explain", "4-bit rule", "--machine", "8gb", "--json").json["here"])
    assert all(figure in said for figure in figures)


def test_two_cards_of_24_gib_hold_70_billion_weights_at_4_bits(say: Callable[..., Any]) -> None:
    machine = "2x rtx-3090 + 64gb"
    here = say("explain", "4-bit rule", "--machine", machine, "--json").json["here"][-1]
    assert "about 70 billion weights at 4 bits" in here
    assert say("check", "llama-3.3-70b", "--machine", machine, "--json").json["verdict"] == "fits"


@pytest.mark.parametrize("label", ["Q4_K_L", "Q3_K_XL"])
def test_a_variant_has_figures_of_its_own(say: Callable[..., Any], label: str) -> None:
    """Not those of the stock type whose rules it starts from."""
    told = say("explain", label, "--machine", "8gb", "--json").json
    rows = say("quants", "llama-3.1-8b", "--json").json["file_types"]
    row = next(row for row in rows if row["file_type"] == label)
    size, bits = f"{row['weights_bytes'] / 2**30:.1f} GiB", f"{row['model_bits_per_weight']:.2f}"
    assert f"takes {size} of weights in {label}, {bits} bits a weight" in told["here"][0]
    assert (told["quality"], row["perplexity_change"]) == ([], None)
    said = say("explain", label, "--machine", "8gb").lines
    assert "None: not measured by a source of the catalog." in said


def test_a_model_is_explained_number_by_number(
    say: Callable[..., Any], is_valid: Callable[[str, object], None]
) -> None:
    said = say("explain", "llama-3.1-8b", "--machine", "24gb", "--json")
    is_valid("explain", said.json)
    assert said.json["kind"] == "model"
    text = say("explain", "llama-3.1-8b", "--machine", "24gb")
    assert {"formula", "inputs", "source", "error"} <= {
        line.partition(":")[0] for line in text.lines
    }
    weights = said.json["plan"]["memory"]["weights_bytes"]
    assert f"value: 4.6 GiB ({weights:,} bytes)" in text.lines


def test_an_unknown_word_lists_what_can_be_asked(say: Callable[..., Any]) -> None:
    said = say("explain", "xyzzy", "--machine", "24gb")
    assert (said.code, said.out) == (2, "")
    assert "KV cache" in said.err
