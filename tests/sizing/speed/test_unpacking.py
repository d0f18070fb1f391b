"""Weights that take longer to unpack than to read: on Apple's GPUs and beside HBM, by hand."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.vllm_settings import resolve_vllm
from whatfits.sizing.runtimes.vllm_speed import vllm_placement, vllm_step_settings
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed.rates import Rates, peak_rates
from whatfits.sizing.speed.terms import UNPACKING, at_peak_rates, decode_terms
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest, Workload

OPERATIONS = 20  # an element of a K type by Metal's kernels
# instructions by CUDA's; without DP4A five more
OF_CUDA = {"Q4_K": 8, "Q6_K": 14}
BYTES_OF_Q4_K, BYTES_OF_Q6_K = 144 / 256, 210 / 256  # an element; ggml-common.h


def _terms(model_name: str, machine_name: str, file_type: str) -> dict[tuple[str, ...], float]:
    model, machine = load_model(model_name, file_type=file_type), load_machine(machine_name)
    placement = resolve_placement(model, PlacementRequest(), machine)
    rates = peak_rates((*placement.accelerators, placement.host), machine)
    settings = resolve_settings(model, Workload())
    found = decode_terms(model, settings, placement, rates, depth=100)
    return {term.costs: term.amount for term in found}


def test_what_unpacking_takes_beyond_reading_is_a_term_of_its_own() -> None:
    terms = _terms("llama-3.1-8b", "m1 max 64gb", "Q4_K_M")
    bandwidth, operations = 409.6e9, 10.4e12
    beyond = sum(
        terms[name,] * (OPERATIONS / size * bandwidth / operations - 1)
        for name, size in (("weights.Q4_K", BYTES_OF_Q4_K), ("weights.Q6_K", BYTES_OF_Q6_K))
        if OPERATIONS / size * bandwidth / operations > 1
    )
    assert beyond > 0.2 * terms["weights.Q4_K",]
    told = sum(amount for costs, amount in terms.items() if costs[0] == UNPACKING)
    assert told == pytest.approx(beyond)


@pytest.mark.parametrize(
    ("machine", "file_type"),
    [
        ("m1 max 64gb", "Q8_0"),  # eight bits a weight are read longer than they are unpacked
        ("m3 pro 36gb", "Q4_K_M"),  # 48 operations for a byte of bandwidth
        ("rtx-3090 + 64gb", "Q4_K_M"),
        ("tesla p40 + 64gb", "Q4_K_M"),  # its chip has no HBM, and multiplies four bytes at once
        ("h200 sxm + 64gb", "F16"),
        ("h200 sxm + 64gb", "BF16"),
    ],
)
def test_where_reading_takes_longer_unpacking_adds_nothing(machine: str, file_type: str) -> None:
    assert not any(UNPACKING in costs for costs in _terms("llama-3.1-8b", machine, file_type))


def test_a_small_chip_of_a_generation_loses_less_to_unpacking_than_its_large_one() -> None:
    small = _terms("llama-3.1-8b", "apple-m1 16gb", "Q4_K_M")
    large = _terms("llama-3.1-8b", "m1 max 64gb", "Q4_K_M")
    name = "weights.Q4_K"
    shares = [terms.get((UNPACKING, name), 0.0) / terms[name,] for terms in (small, large)]
    assert shares[0] < shares[1] / 2


@pytest.mark.parametrize(
    ("machine", "bandwidth", "instructions", "more"),
    [
        ("h200 sxm + 64gb", 4.8e12, 132 * 128 * 1.83e9, 0),
        ("a100 sxm4 80gb + 64gb", 2.039e12, 108 * 128 * 1.41e9, 0),
        ("tesla p100 pcie 16gb + 64gb", 732.2e9, 56 * 64 * 1.329e9, 5),
    ],
)
def test_multiprocessors_beside_hbm_unpack_slower_than_it_is_read(
    machine: str, bandwidth: float, instructions: float, more: int
) -> None:
    terms = _terms("llama-3.1-8b", machine, "Q4_K_M")
    for name, size in (("Q4_K", BYTES_OF_Q4_K), ("Q6_K", BYTES_OF_Q6_K)):
        weights = f"weights.{name}"
        takes = (OF_CUDA[name] + more) / size * bandwidth / instructions
        assert takes > 1
        assert terms[UNPACKING, weights] == pytest.approx(terms[weights,] * (takes - 1), rel=0.02)


def test_vulkan_and_other_engines_have_kernels_of_their_own() -> None:
    machine = load_machine("h200 sxm + 64gb")
    here = peak_rates(machine.devices, machine)[0].unpacking
    assert here is not None
    assert here.per_s == pytest.approx(989e12 / 32)
    machete = peak_rates(machine.devices, machine, "vllm")[0]
    assert machete.unpacking_share("Q4_K") == machete.unpacking_share("FP8") == 0.0
    card = replace(machine.devices[0], kind="vulkan")
    assert peak_rates([card], None)[0].unpacking is None


def test_matrix_units_unpack_nothing() -> None:
    """They are four times as fast as the shaders, which do it."""
    machine = load_machine("m5 max 40-core 128gb")
    rates = peak_rates(machine.devices, machine)[0]
    assert rates.flops == 70e12
    assert rates.unpacking is not None
    assert rates.unpacking.per_s == 70e12 / 4
    assert peak_rates(machine.devices, machine, "mlx")[0].unpacking is None


def test_terms_in_bytes_are_unpacked_as_those_at_peak_rates() -> None:
    model, machine = load_model("llama-3.1-8b", file_type="Q4_K_M"), load_machine("m1 max 64gb")
    placement = resolve_placement(model, PlacementRequest(), machine)
    settings = resolve_settings(model, Workload())
    rates = peak_rates((*placement.accelerators, placement.host), machine)
    unit = [Rates(1.0, None)] * len(rates)
    timed = at_peak_rates(decode_terms(model, settings, placement, unit, depth=9), rates)
    straight = decode_terms(model, settings, placement, rates, depth=9)
    assert sorted(term.costs for term in timed) == sorted(term.costs for term in straight)
    for costs in {term.costs for term in straight}:
        sums = [sum(t.amount for t in found if t.costs == costs) for found in (timed, straight)]
        assert sums[0] == pytest.approx(sums[1])


@pytest.mark.parametrize(("card", "most"), [("h200-sxm-141-gb", 3.0), ("rtx-4090", 0.0)])
def test_machete_unpacks_slower_than_hopper_reads(card: str, most: float) -> None:
    machine = load_machine(card)
    found = peak_rates(machine.accelerators, machine, "vllm")[0]
    four, eight = (found.unpacking_share("GPTQ", bits) for bits in (4.16, 8.16))
    assert found.unpacking_share("AWQ", 4.16) == four
    assert (0.5 < four < most) if most else four == 0.0
    assert eight <= four / 2
    assert found.unpacking_share("BF16") == found.unpacking_share("FP8") == 0.0


def test_machete_multiplies_no_experts() -> None:
    machine = load_machine("h200-sxm-141-gb + 256gb")
    rates = peak_rates(machine.devices, machine, "vllm")
    for name, unpacked in (("qwen3-14b", True), ("mixtral-8x7b", False)):
        model = load_model(name, file_type="awq", runtime="vllm")
        asked = resolve_vllm(model, machine, Workload(context_tokens=4096), PlacementRequest())
        terms = decode_terms(
            model,
            vllm_step_settings(model, asked),
            vllm_placement(model, machine, asked),
            rates,
            depth=512,
        )
        beyond = sum(term.amount for term in terms if term.costs[0] == UNPACKING)
        read = sum(term.amount for term in terms if term.costs[0] == "weights.AWQ")
        assert (beyond > read / 2) is unpacked
