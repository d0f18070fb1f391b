"""A formula with numbers in it, worked out again, comes to the figure it stands behind."""

from __future__ import annotations

import ast
import operator
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from whatfits.sizing import check
from whatfits.sizing.basis.substituted import parts_sum, product
from whatfits.sizing.basis.words import reason, title_of
from whatfits.sizing.estimate import Basis
from whatfits.sizing.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

OPERATORS: Final = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
UNITS: Final = {" GiB": GIB, " MiB": MIB, " KiB": KIB}
CARD: Final = "rtx-3090 + 64gb"


def worked_out(text: str) -> float:
    """Work out what stands before the last sign of equality; sizes are bytes."""
    left = text.rpartition(" = ")[0].replace(",", "")
    for unit, size in UNITS.items():
        left = left.replace(unit, f" x {size}")
    left = re.sub(r"(?<![\w.])[A-Za-z][\w-]*", lambda word: "*" if word[0] == "x" else "", left)
    return value(ast.parse(left.strip(), mode="eval").body)


def value(node: ast.expr) -> float:
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](value(node.left), value(node.right))  # type: ignore[no-any-return]
    assert isinstance(node, ast.Constant), ast.dump(node)
    assert isinstance(node.value, (int, float))
    return node.value


def substituted(plan: Plan, key: str) -> str:
    (found,) = [basis.substituted for basis in plan.basis if basis.key == key]
    assert found is not None
    return found


def test_the_cache_is_layers_times_heads_times_tokens_times_bytes() -> None:
    plan = check("llama-3.1-8b", machine=CARD, workload={"context_tokens": 8192})
    text = substituted(plan, "memory.kv_cache_bytes")
    assert text == "32 layers x 8,192 tokens x 8 heads x (128 + 128) x 2 bytes = 1.0 GiB"


@pytest.mark.parametrize(
    "model",
    ["llama-3.1-8b", "gemma-3-12b", "qwen3-next-80b-a3b", "deepseek-v3", "gpt-oss-20b"],
)
@pytest.mark.parametrize(
    "workload",
    [
        {"context_tokens": 16_384},
        {"context_tokens": 8192, "kv_type_k": "q8_0", "kv_type_v": "q8_0"},
        {"context_tokens": 8192, "parallel": 4, "kv_unified": False},
        {"context_tokens": 4096, "flash_attention": "off"},
    ],
)
def test_what_is_said_of_a_cache_comes_to_its_bytes(model: str, workload: dict[str, Any]) -> None:
    plan = check(model, machine="32gb", workload=workload)
    found = worked_out(substituted(plan, "memory.kv_cache_bytes"))
    assert found == plan.memory.kv_cache_bytes


def test_keys_and_values_of_two_types_are_two_terms() -> None:
    types = {"kv_type_k": "q8_0", "kv_type_v": "f16"}
    plan = check("llama-3.1-8b", machine=CARD, workload={"context_tokens": 8192, **types})
    text = substituted(plan, "memory.kv_cache_bytes")
    assert text.count("32 layers x 8,192 tokens x 1,024 x ") == len(types)
    assert worked_out(text) == plan.memory.kv_cache_bytes


@pytest.mark.parametrize("model", ["llama-3.1-8b", "gemma-3-12b", "deepseek-v3"])
@pytest.mark.parametrize("key", ["weights_bytes", "overhead_bytes", "output_bytes"])
def test_what_is_said_of_other_memory_comes_to_it_as_far_as_it_is_written_out(
    model: str, key: str
) -> None:
    plan = check(model, machine=CARD)
    text = substituted(plan, f"memory.{key}")
    # every size is written with one decimal of a GiB, or a whole number of the next unit
    rounded = 0.05 * GIB * text.count("GiB") + MIB * text.count("MiB")
    assert abs(worked_out(text) - getattr(plan.memory, key)) <= rounded


def test_what_is_free_is_said_for_each_pool() -> None:
    text = substituted(check("llama-3.1-8b", machine=CARD), "memory.devices.free_bytes")
    vram, ram = text.split("; ")
    assert vram == "vram0: 23.6 GiB - 0.5 GiB reserve = 23.1 GiB"
    assert ram == "ram: 64.0 GiB - 2.0 GiB reserve = 62.0 GiB"


@pytest.mark.parametrize("model", ["llama-3.1-8b", "llama-3.3-70b", "qwen3-30b-a3b"])
@pytest.mark.parametrize("prompt", [None, 4096])
def test_the_terms_of_a_token_come_to_its_rate(model: str, prompt: int | None) -> None:
    plan = check(model, machine=CARD, workload={"prompt_tokens": prompt, "context_tokens": 8192})
    assert plan.speed is not None
    assert plan.speed.decode_tokens_per_s is not None
    text = substituted(plan, "speed.decode_tokens_per_s")
    *terms, together = text.split("; ")
    milliseconds = [float(term.rpartition(" = ")[2].removesuffix(" ms")) for term in terms]
    said = re.fullmatch(r"together ([\d.,]+) ms a token, ([\d.,]+) tokens/s", together)
    assert said is not None
    assert sum(milliseconds) == pytest.approx(float(said[1]), rel=0.005)
    assert 1000 / float(said[1]) == pytest.approx(float(said[2]), rel=0.01)
    assert float(said[2]) == pytest.approx(plan.speed.decode_tokens_per_s.mid, rel=0.01)


def test_bytes_over_a_share_of_the_bandwidth_are_the_time_that_is_said() -> None:
    text = substituted(check("llama-3.1-8b", machine=CARD), "speed.decode_tokens_per_s")
    assert " GB Q6_K weights / (" in text
    found = re.findall(r"([\d.]+) GB [\w ]+ / \(([\d.]+) x (\d+) GB/s\) = ([\d.]+) ms", text)
    assert len(found) == text.count(" GB ")
    for gb, share, gb_per_s, milliseconds in (map(float, term) for term in found):
        by_hand = 1000 * gb / (share * gb_per_s)
        # sizes and times are written with three digits, shares with two decimals
        assert by_hand == pytest.approx(milliseconds, rel=0.01 + 0.005 / share)


def test_what_does_not_come_to_the_figure_is_not_written() -> None:
    assert product({"byte": 4, "token": 10}, n_bytes=40) == "4 bytes x 10 tokens = 40 B"
    assert product({"byte": 4, "token": 10}, n_bytes=41) is None
    assert parts_sum({"on cpu": 1024}, n_bytes=1024) == "1 KiB on cpu = 1 KiB"
    assert parts_sum({"on cpu": 1024}, n_bytes=1025) is None


def test_a_peak_of_a_graph_is_left_as_it_is() -> None:
    plan = check("llama-3.1-8b", machine=CARD)
    (compute,) = [basis for basis in plan.basis if basis.key == "memory.compute_bytes"]
    assert compute.substituted is None
    assert "with numbers" not in dict(reason(compute, plan).rows)


def test_what_stands_beside_the_model_is_a_term_of_its_own() -> None:
    plan = check("qwen3-8b", machine=CARD, workload={"model_draft": "qwen3-0.6b"})
    assert "beside the model" in substituted(plan, "memory.kv_cache_bytes")
    assert "beside the model" in substituted(plan, "memory.weights_bytes")


def test_the_numbers_stand_below_the_formula() -> None:
    plan = check("llama-3.1-8b", machine=CARD)
    (cache,) = [basis for basis in plan.basis if basis.key == "memory.kv_cache_bytes"]
    labels = [label for label, _ in reason(cache, plan).rows]
    assert labels[:3] == ["value", "formula", "with numbers"]


def test_inputs_are_written_whole_whatever_kind_of_number_they_are() -> None:
    basis = Basis(
        key="speed",
        formula="",
        inputs={"flops_per_s": 2e15, "share": 0.934, "layers": 4096, "us": 153.0},
        source="",
        error="",
    )
    said = dict(reason(basis, check("llama-3.1-8b", machine=CARD)).rows)["inputs"]
    assert said == "flops_per_s = 2,000,000,000,000,000; share = 0.934; layers = 4,096; us = 153"


@pytest.mark.parametrize("runtime", ["llama.cpp", "ollama", "vllm", "mlx"])
def test_every_reason_has_a_title_in_words(runtime: str) -> None:
    machine = "m4-max 64gb" if runtime == "mlx" else CARD
    plan = check("qwen3-8b", machine=machine, runtime=runtime)
    for basis in plan.basis:
        title = title_of(basis)
        assert title[0].isupper()
        assert title.endswith(f" ({basis.key})")
