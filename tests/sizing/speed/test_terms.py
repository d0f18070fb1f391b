"""The terms of a step by hand: bytes, rows, states, operations, and what is copied."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import check, load_machine, load_model
from whatfits.sizing.machine import Device
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed.attention import prompt_attention_flops
from whatfits.sizing.speed.rates import Rates, peak_rates
from whatfits.sizing.speed.terms import (
    at_peak_rates,
    cut_over_ranks,
    decode_terms,
    is_of_rows,
    prompt_terms,
)
from whatfits.sizing.speed.work import step_work, touched_share
from whatfits.sizing.weights import WeightTable
from whatfits.sizing.workload import PlacementRequest, Workload

CARD = "rtx-4090 + 64gb"
LLAMA = load_model("llama-3.1-8b", file_type="Q4_K_M")
EXPERTS = load_model("qwen3-30b-a3b", file_type="Q4_K_M")


def test_the_bytes_of_the_terms_are_the_weights_that_a_token_reads() -> None:
    machine = load_machine("rtx-3060 12gb + 64gb")
    for spec, request in (
        (LLAMA, PlacementRequest()),
        (LLAMA, PlacementRequest(gpu_layers=11)),
        (EXPERTS, PlacementRequest(cpu_moe_layers=20)),
        (load_model("gemma-3-4b", file_type="Q8_0"), PlacementRequest()),
    ):
        placement = resolve_placement(spec, request, machine)
        weights = WeightTable(spec).place(placement)
        share = touched_share(spec.hparams.n_expert, spec.hparams.n_expert_used, 1)
        read = [
            sum(work.dense_bytes.values()) + share * sum(work.expert_bytes.values())
            for work in step_work(spec, placement).devices
        ]
        assert read == pytest.approx([*weights.read_devices, weights.read_host], rel=1e-6)


def test_terms_of_a_dense_model_by_hand() -> None:
    machine = load_machine(CARD)
    placement = resolve_placement(LLAMA, PlacementRequest(), machine)
    settings = resolve_settings(LLAMA, Workload())
    rates = [Rates(1e12, 1e14), Rates(6e10, None)]
    by_cost = {
        term.costs: term.amount
        for term in decode_terms(LLAMA, settings, placement, rates, depth=1000)
    }
    for name in ("Q4_K", "Q6_K"):
        own = sum(t.n_bytes for t in LLAMA.tensors if t.type == name and t.role != "input")
        assert by_cost[f"weights.{name}",] == pytest.approx(own / 1e12)
    # 32 layers x 1,000 tokens x (1,024 keys + 1,024 values) x 2 bytes
    assert by_cost["cache",] == pytest.approx(32 * 1000 * 2048 * 2 / 1e12)
    # seven matrices and two norms a layer
    assert by_cost["operation",] == 32 * 9
    assert by_cost["token",] == 1
    assert "hop" not in {name for costs in by_cost for name in costs}


def test_rows_of_a_dense_model_by_hand_count_on_the_processor_alone() -> None:
    settings = resolve_settings(LLAMA, Workload())
    rates = [Rates(1e12, 1e14), Rates(6e10, None)]

    def rows(gpu_layers: int) -> float:
        placement = resolve_placement(
            LLAMA, PlacementRequest(gpu_layers=gpu_layers), load_machine(CARD)
        )
        terms = decode_terms(LLAMA, settings, placement, rates, depth=1000)
        counted = [term for term in terms if is_of_rows(term)]
        assert {term.device for term in counted} <= {1}
        return sum(term.amount for term in counted)

    # queries and what attention passes on, keys and values, gate, up and down
    layer = 2 * 4096 + 2 * 1024 + 2 * 14_336 + 4096
    assert rows(33) == 0
    assert rows(23) == 10 * layer
    assert rows(0) == 32 * layer + 128_256


def test_each_thread_of_a_processor_adds_to_what_an_operation_costs() -> None:
    settings = resolve_settings(LLAMA, Workload())
    placement = resolve_placement(LLAMA, PlacementRequest(gpu_layers=12), load_machine(CARD))

    def barriers(threads: int | None) -> list[tuple[int, float]]:
        rates = [Rates(1e12, 1e14), Rates(6e10, None, threads=threads)]
        terms = decode_terms(LLAMA, settings, placement, rates, depth=1000)
        assert sum(t.amount for t in terms if t.costs == ("operation",)) == 32 * 9
        in_bytes = [Rates(1.0, 1.0), Rates(1.0, None)]
        units = decode_terms(LLAMA, settings, placement, in_bytes, depth=1000)
        assert set(at_peak_rates(units, rates)) == set(terms)
        return [(t.device, t.amount) for t in terms if t.costs == ("barrier_operation",)]

    # the output counts among the 12: 21 layers stay on the host
    assert barriers(16) == [(1, 21 * 9 * 16)]
    assert barriers(None) == []


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("qwen3-8b", 9 + 2),  # queries and keys are normed by head
        ("qwen2.5-7b", 9),  # biases are added by the kernels of their matrices
        ("gemma-3-12b", 9 + 4),  # and norms after attention and after the feed-forward part
        # four of attention and their two norms, two norms, a router and three stacks of experts
        ("qwen3-30b-a3b", 4 + 2 + 2 + 1 + 3),
    ],
)
def test_a_layer_has_as_many_operations_as_weights(name: str, layer: int) -> None:
    model = load_model(name, file_type="Q4_K_M")
    placement = resolve_placement(model, PlacementRequest(gpu_layers=0), load_machine(CARD))
    (card, host) = step_work(model, placement).devices
    assert (card.operations, host.operations) == (0, layer * model.n_layers)


def test_experts_on_the_processor_are_operations_there() -> None:
    asked = PlacementRequest(cpu_moe_layers=EXPERTS.n_layers)
    work = step_work(EXPERTS, resolve_placement(EXPERTS, asked, load_machine(CARD)))
    assert [part.operations for part in work.devices] == [9 * 48, 3 * 48]
    assert work.layers == 48


def test_threads_that_nobody_counted_are_a_pcs_or_a_servers() -> None:
    def threads(machine: str) -> list[int | None]:
        found = load_machine(machine)
        return [rate.threads for rate in peak_rates(found.devices, found)]

    assert threads("rtx-4090 + 64gb ddr5-5600") == [None, 8]
    assert threads("768gb ddr5-4800 12 channels") == [32]
    counted = Device("cpu", "cpu", "CPU", "ram", 460_800_000_000, cores=64)
    assert peak_rates([counted], None)[0].threads == 64


def test_rows_of_experts_are_those_a_token_goes_through() -> None:
    placement = resolve_placement(EXPERTS, PlacementRequest(), load_machine("64gb"))
    settings = resolve_settings(EXPERTS, Workload())
    terms = decode_terms(EXPERTS, settings, placement, [Rates(6e10, None)], depth=0)
    layer = 4096 + 2 * 512 + 2048 + 128  # queries, keys, values, back to 2,048; the router
    experts = 8 * (2 * 768 + 2048)
    rows = sum(term.amount for term in terms if is_of_rows(term))
    assert rows == pytest.approx(48 * (layer + experts) + 151_936)


@pytest.mark.parametrize(
    ("name", "cost", "elements"),
    [
        # 23 layers of 64 heads x 64 wide x 128 states, and 3 tokens of 4,096 + 2 x 8 x 128 channels
        ("nemotron-3-nano-30b-a3b", "state", 23 * (64 * 64 * 128 + 3 * 6144)),
        # 48 layers of 48 heads x 128 x 128, and 3 tokens of 2 x 16 x 128 + 48 x 128 channels
        ("qwen3.6-27b", "cache", 48 * (48 * 128 * 128 + 3 * 10_240)),
    ],
)
def test_states_are_read_and_written_once_a_token(name: str, cost: str, elements: int) -> None:
    model = load_model(name, file_type="Q4_K_M")
    placement = resolve_placement(model, PlacementRequest(), load_machine("rtx-5090 + 64gb"))
    settings = resolve_settings(model, Workload())
    rates = [Rates(1e12, 1e14), Rates(6e10, None)]
    terms = decode_terms(model, settings, placement, rates, depth=0)
    assert sum(t.amount for t in terms if t.costs == (cost,)) == pytest.approx(
        2 * 4 * elements / 1e12
    )


def test_operations_of_attention_by_hand() -> None:
    placement = resolve_placement(LLAMA, PlacementRequest(), load_machine(CARD))
    # 32 layers x 32 heads x (128 + 128) elements x 2 operations x pairs of tokens
    flops = prompt_attention_flops(LLAMA, placement, tokens=100, depth=0)
    assert flops == (32 * 32 * 256 * 2 * (100 * 101 / 2), 0.0)
    deeper = prompt_attention_flops(LLAMA, placement, tokens=100, depth=50)
    assert deeper[0] - flops[0] == 32 * 32 * 256 * 2 * 100 * 50


def test_experts_on_the_host_are_copied_once_a_micro_batch() -> None:
    machine = load_machine("rtx-3060 12gb + 64gb")
    placement = resolve_placement(EXPERTS, PlacementRequest(cpu_moe_layers=48), machine)
    rates = [Rates(1e12, 1e14, 16e9), Rates(6e10, None)]

    def copied(micro: int) -> float:
        settings = resolve_settings(EXPERTS, Workload(batch=2048, micro_batch=micro))
        terms = prompt_terms(EXPERTS, settings, placement, rates, tokens=2048, depth=0)
        return sum(term.amount for term in terms if term.costs == ("link",))

    every = sum(t.n_bytes for t in EXPERTS.tensors if "exps" in t.name)
    assert copied(2048) == pytest.approx(every / 16e9, rel=0.01)
    assert copied(512) == pytest.approx(4 * copied(2048), rel=0.01)
    speeds = [
        check(
            "qwen3-30b-a3b",
            machine="rtx-3060 12gb + 64gb",
            placement={"cpu_moe_layers": 48},
            workload={"prompt_tokens": 4096, "batch": size, "micro_batch": size},
        ).speed
        for size in (512, 2048)
    ]
    small, large = (s and s.prefill_tokens_per_s for s in speeds)
    assert small is not None
    assert large is not None
    assert 1.5 < large.mid / small.mid < 4  # public figures: about 2.5


def test_pascal_multiplies_quantised_weights_byte_by_byte() -> None:
    # NVIDIA's data sheet of the Tesla P40: 12 TFLOPS, and 47 TOPS of bytes, of which half count
    machine = load_machine("tesla-p40 + 64gb")
    rates = peak_rates(machine.devices, machine)[0]
    assert rates.flops == pytest.approx(12e12, rel=0.03)
    assert rates.of_weights("Q4_K") == pytest.approx(47e12 / 2, rel=0.02)
    assert rates.of_weights("F16") == rates.flops
    for other in ("rtx-2080 + 64gb", "tesla-p100-pcie-16-gb + 64gb", "rx-7900-xtx + 64gb"):
        there = load_machine(other)
        assert peak_rates(there.devices, there)[0].integer_flops is None
    # the same card by a runtime that has no such kernels
    assert peak_rates(machine.devices, machine, "vllm")[0].integer_flops is None


def test_experts_touched_by_several_tokens() -> None:
    assert touched_share(128, 8, 1) == pytest.approx(1 / 16)
    assert touched_share(128, 8, 2) == pytest.approx(1 - (15 / 16) ** 2)
    assert touched_share(0, 0, 7) == 1.0


def test_ranks_share_the_matrices_and_add_up_twice_a_layer() -> None:
    placement = resolve_placement(LLAMA, PlacementRequest(), load_machine(CARD))
    settings = resolve_settings(LLAMA, Workload())
    terms = decode_terms(LLAMA, settings, placement, [Rates(1e12, 1e14)] * 2, depth=100)
    cut = cut_over_ranks(terms, 2, layers=32)
    whole = {term.costs: term.amount for term in terms}
    halves = {term.costs: term.amount for term in cut}
    assert halves["weights.Q4_K",] == whole["weights.Q4_K",] / 2
    assert halves["operation",] == whole["operation",]
    assert halves["hop",] == 64
    assert cut_over_ranks(terms, 1, layers=32) == terms
    assert ("hop",) not in {term.costs for term in cut_over_ranks(terms, 2)}
