"""Weights that other tools counted too small, or forgot a second time."""

from __future__ import annotations

import pytest

from whatfits.bench.requests import placement_request
from whatfits.bench.run_settings import RunSettings
from whatfits.sizing import check
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.runtimes.llama_cpp import Bill
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.units import GIB, MIB
from whatfits.sizing.weights import PLAIN_HOST_BUFFER

AVX2 = ("avx2",)
ARM = ("neon", "dotprod", "i8mm")


def host_buffers_mib(model: str, file_type: str, features: tuple[str, ...]) -> dict[str, float]:
    """Return where the weights lie on a CPU with these features."""
    spec = load_catalog_model(model, file_type=file_type)
    cpu = Device("cpu", "cpu", "CPU", "ram", features=features)
    machine = Machine(pools=(Pool("ram", "ram", 64 * GIB),), devices=(cpu,))
    placement = resolve_placement(spec, placement_request(RunSettings(2_048, mmap=True)), machine)
    return {name: size / MIB for name, size in Bill(spec).weights(placement).host.buffers.items()}


@pytest.mark.parametrize("context_tokens", [8_192, 131_072])
def test_all_experts_are_in_memory_not_only_those_of_a_token(context_tokens: int) -> None:
    """AlexsJones/llmfit#230: Qwen3.5 122B A10B was a perfect fit at 33 GB on a 48 GB Mac.

    It takes 70 to 75 GB to load.
    """
    found = check(
        "qwen3.5-122b-a10b",
        file_type="Q4_K_M",
        machine="mac-m4-pro-48gb",
        workload={"context_tokens": context_tokens},
    )
    assert found.verdict == "no"
    assert 70e9 < found.memory.total_bytes < 85e9


def test_a_model_of_671_billion_does_not_fit_128_gb() -> None:
    """AlexsJones/llmfit#497: DeepSeek V3 needed 22 GB by its 37 billion active parameters.

    llama.cpp's plan has 377 GiB of weights at Q4_K_M.
    """
    found = check("deepseek-v3", file_type="Q4_K_M", machine="mac-m4-max-128gb")
    assert found.verdict == "no"
    assert found.memory.weights_bytes / GIB == pytest.approx(377, rel=0.01)


def test_memory_of_experts_follows_context_and_file_type() -> None:
    """llmfit 1.1.17 says 15.6 GB for Qwen3-30B-A3B at any context and file type.

    llama.cpp's plans at Q4_K_M are 18.1 GiB at 8,192 tokens and 29.5 at 131,072.
    """
    sizes = [
        check(
            "qwen3-30b-a3b",
            file_type=file_type,
            machine="64gb",
            workload={"context_tokens": context},
        ).memory
        for file_type, context in (("Q4_K_M", 8_192), ("Q4_K_M", 131_072), ("Q5_K_M", 8_192))
    ]
    short, long, finer = (memory.total_bytes / GIB for memory in sizes)
    assert (short, long) == (pytest.approx(18.1, abs=0.1), pytest.approx(29.5, abs=0.1))
    assert finer > short + 2
    assert all(memory.total_bytes > memory.weights_bytes for memory in sizes)


def test_rearranged_weights_are_a_second_copy_beside_the_mapped_file() -> None:
    """ggml-org/llama.cpp#16761: 12,003,616 KiB more with repacking for a 24B in IQ4_NL."""
    buffers = host_buffers_mib("mistral-small-3.1-24b", "IQ4_NL", AVX2)
    assert buffers["CPU_REPACK"] == pytest.approx(12_003_616 / 1024, rel=0.05)


def test_rearranging_all_matrices_of_a_q4_0_doubles_its_memory() -> None:
    """ggml-org/llama.cpp#19578 (and #12149, #23603): 1,552 MiB mapped, 1,513 rearranged on ARM."""
    buffers = host_buffers_mib("gemma-2-2b", "Q4_0", ARM)
    assert buffers["CPU_REPACK"] == pytest.approx(1_513.16, rel=0.03)
    found = check(
        "gemma-2-2b",
        file_type="Q4_0",
        machine="16gb",
        workload={"context_tokens": 2_048},
    )
    assert found.memory.mapped_bytes / MIB == pytest.approx(1_552.05, rel=0.005)


def test_a_tied_embedding_stays_as_it_is_beside_its_rearranged_copy() -> None:
    """ggml-org/llama.cpp#20396: LFM2 350M keeps 52 MiB twice when its output is rearranged."""
    buffers = host_buffers_mib("lfm2-350m", "Q4_K_M", ARM)
    assert buffers[PLAIN_HOST_BUFFER] == pytest.approx(52, rel=0.02)


def test_weights_that_are_not_rearranged_are_counted_once() -> None:
    """ggml-org/llama.cpp#16761: without repacking 13,870,792 KiB, which is the file and a cache."""
    spec = load_catalog_model("mistral-small-3.1-24b", file_type="IQ4_NL")
    cpu = Device("cpu", "cpu", "CPU", "ram", features=AVX2)
    machine = Machine(pools=(Pool("ram", "ram", 64 * GIB),), devices=(cpu,))
    settings = RunSettings(4_096, repack=False)
    placement = resolve_placement(spec, placement_request(settings), machine)
    buffers = Bill(spec).weights(placement).host.buffers
    assert list(buffers) == [PLAIN_HOST_BUFFER]
    assert 12_800 * MIB < buffers[PLAIN_HOST_BUFFER] < 13_870_792 * 1024
