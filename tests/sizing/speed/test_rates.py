"""Rates of arithmetic: of data sheets, by the kernels that a runtime has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import check, load_machine
from whatfits.sizing.machine import Device
from whatfits.sizing.speed.rates import peak_rates

if TYPE_CHECKING:
    from whatfits.sizing.speed.rates import Rates


@pytest.mark.parametrize(
    ("kind", "name", "share"),
    [
        ("vulkan", "Intel(R) Arc(TM) A770 Graphics", 0.25),
        ("vulkan", "Arc Pro A60", 0.25),
        ("vulkan", "Arc B580", 1.0),  # Xe2, whose matrix units Vulkan's shaders use
        ("sycl", "Arc A770", 1.0),
    ],
)
def test_vulkan_multiplies_on_the_shaders_of_alchemist(kind: str, name: str, share: float) -> None:
    card = Device("d", kind, name, "vram0", 560 * 10**9, 131 * 10**12)
    assert peak_rates([card], None)[0].flops == share * 131 * 10**12


def test_llama_cpp_reaches_a_hopper_cards_peak_by_the_share_of_its_instructions() -> None:
    def rates(card: str, engine: str | None) -> Rates:
        machine = load_machine(card)
        return peak_rates(machine.accelerators, machine, engine)[0]

    # arXiv 2501.12084: mma attains 62.9 % of Hopper's peak, which wgmma sets; vLLM uses that, and
    # so does cuBLAS, which llama.cpp leaves weights of 16 bits to (ggml-cuda.cu)
    by_mma = rates("h100-pcie", None)
    assert by_mma.flops == by_mma.of_weights("Q4_K") == pytest.approx(0.629 * 756e12)
    assert by_mma.of_weights("F16") == by_mma.of_weights("BF16") == 756e12
    assert rates("h100-pcie", "vllm").flops == 756e12
    assert rates("rtx-6000-ada", None).flops == rates("rtx-6000-ada", "vllm").flops
    assert rates("rtx-6000-ada", None).float_flops is None


# operations a second of the makers' data sheets, dense: 16 bits summed up in 32, then each type's
@pytest.mark.parametrize(
    ("card", "flops", "others"),
    [
        ("tesla-t4", 65e12, {"W8A8": 130e12}),
        ("rtx-3090", 71e12, {"W8A8": 284e12}),  # FP8 is turned to 16 bits before Ada
        ("a100-sxm4-80gb", 312e12, {"W8A8": 624e12}),
        ("rtx-4090", 165e12, {"FP8": 330e12, "W8A8": 660e12}),
        ("rtx-6000-ada", 364e12, {"FP8": 728e12, "W8A8": 728e12}),
        ("h100-sxm5-80gb", 989e12, {"FP8": 1979e12, "FBGEMM_FP8": 1979e12, "W8A8": 1979e12}),
        ("rtx-5090", 209.5e12, {"FP8": 419e12, "NVFP4": 1676e12}),
        ("b200", 2250e12, {"FP8": 4500e12, "NVFP4": 9000e12}),
        ("mi300x", 1307e12, {"FP8": 2615e12, "W8A8": 2615e12}),
    ],
)
def test_vllm_multiplies_at_the_rates_of_the_data_sheets(
    card: str, flops: float, others: dict[str, float]
) -> None:
    machine = load_machine(card)
    found = peak_rates(machine.accelerators, machine, "vllm")[0]
    assert found.flops == pytest.approx(flops, rel=0.01)
    for name in ("FP8", "FBGEMM_FP8", "W8A8", "NVFP4", "MXFP4", "AWQ", "BF16"):
        wanted = others.get("FP8" if name == "FBGEMM_FP8" else name, flops)
        assert found.of_weights(name) == pytest.approx(wanted, rel=0.01)
        assert found.prompt_costs(name) == ("prompt.BF16",)
    # llama.cpp has no such kernels
    assert peak_rates(machine.accelerators, machine)[0].products is None


def test_prompts_under_vllm_are_no_faster_than_a_card_multiplies() -> None:
    for card, peak in (("rtx-3090", 71e12), ("rtx-4090", 165e12), ("rtx-3060 12gb", 25.5e12)):
        for file_type in ("bf16", "awq"):
            told = check(
                "llama-3.2-1b",
                runtime="vllm",
                machine=f"{card} + 64gb",
                file_type=file_type,
                workload={"context_tokens": 4096, "prompt_tokens": 2048},
            ).speed
            assert told is not None
            assert told.prefill_tokens_per_s is not None
            assert 2 * 0.97e9 * told.prefill_tokens_per_s.mid < peak
