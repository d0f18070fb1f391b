"""Caches that other estimators got wrong: here they are what a runtime was seen to allocate.

Each docstring names the reports and the figures they quote; all are of llama.cpp with an F16 cache.
"""

from __future__ import annotations

import pytest

from whatfits.sizing import check
from whatfits.sizing.units import GIB, MIB


def cache_bytes(model: str, context_tokens: int, **workload: object) -> int:
    """Return the cache of a model in memory that holds it."""
    asked = {"context_tokens": context_tokens, **workload}
    return check(model, machine="1024gb", workload=asked).memory.kv_cache_bytes


def test_a_hybrid_keeps_keys_in_a_quarter_of_its_layers_and_a_state_a_slot() -> None:
    """lmstudio-ai/lmstudio-bug-tracker#1862 quotes llama.cpp's log for Qwen3.6-27B.

    262,144 cells in 16 of 64 layers are 16,384 MiB, states of four slots 598.50 MiB; the estimate
    was 60 % more in all. tmac1973/llama-toolchest#166 has the same 16 GiB against 65.
    """
    found = cache_bytes("qwen3.6-27b", 262_144, parallel=4, kv_unified=True)
    assert found == (16_384 + 598.5) * MIB


def test_a_hybrid_of_experts_keeps_keys_in_ten_of_its_forty_layers() -> None:
    """gpustack/gguf-parser-go#28: Qwen3.6-35B-A3B was charged in all 40 layers.

    Ten layers of two heads of 256 in 16 bits are 20 KiB a token; the 30 others hold a state that
    does not grow.
    """
    short, long = (cache_bytes("qwen3.6-35b-a3b", context) for context in (4_096, 262_144))
    assert long - short == 20 * 1024 * (262_144 - 4_096)
    assert short - 20 * 1024 * 4_096 < 64 * MIB


def test_both_caches_of_a_model_with_windows_are_counted() -> None:
    """ollama/ollama#17037: of two caches of gemma3:4b at 128K only the smaller was counted.

    llama.cpp's own table has 2,734 MiB: 2,560 for full layers and 174 for windows.
    """
    assert cache_bytes("gemma-3-4b", 131_072) == (2_560 + 174) * MIB


def test_windows_of_gemma_3_stop_growing() -> None:
    """unslothai/unsloth#4757 and gpustack/gpustack#2101: 81 GB of cache for Gemma 3 27B, true 10.6.

    Ten of 62 layers see the whole context, 8,192 bytes a token; a window's cells are its 1,024 and
    a micro-batch, padded to 256.
    """
    assert cache_bytes("gemma-3-27b", 131_072) == 8_192 * (10 * 131_072 + 52 * 1_536)


def test_gpt_oss_has_a_window_in_every_second_layer() -> None:
    """gpustack/gguf-parser-go#32: all 24 layers were charged in full, 6 GiB at 131,072 tokens.

    llama.cpp has twelve full layers, 3.00 GiB, and twelve with a window of 128: 768 cells each.
    """
    assert cache_bytes("gpt-oss-20b", 131_072) == 3 * GIB + 12 * 2_048 * 768


def test_gemma_3n_keeps_no_cache_in_its_last_layers() -> None:
    """gpustack/gguf-parser-go#32: Gemma 3n was charged about 6.5 times its cache.

    Twenty of its 35 layers keep one, four of them of the whole context, 2,048 bytes a token each.
    """
    short, long = (cache_bytes("gemma-3n-e4b", context) for context in (8_192, 32_768))
    assert long - short == 4 * 2_048 * (32_768 - 8_192)


@pytest.mark.parametrize(
    ("context_tokens", "charged_gib"),
    [(8_192, 3.52), (32_768, 14.09), (131_072, 56.37)],
)
def test_gemma_4_grows_in_five_of_thirty_layers(context_tokens: int, charged_gib: float) -> None:
    """ollama/ollama#16958 (and #16688): 25 window layers of Gemma 4 26B A4B were charged in full.

    Five layers grow by 4,096 bytes a token, 25 stay at 1,536 cells of 8,192 bytes; the estimate was
    up to nineteen times that and left no room for experts.
    """
    found = cache_bytes("gemma-4-26b-a4b", context_tokens)
    assert found == 5 * 4_096 * context_tokens + 25 * 8_192 * 1_536
    assert found < charged_gib * GIB / 4


@pytest.mark.parametrize(
    ("model", "context_tokens", "gib"),
    [("deepseek-v3", 163_840, 10.72), ("kimi-k2.5", 262_144, 17.16)],
)
def test_a_latent_cache_is_576_values_a_layer(model: str, context_tokens: int, gib: float) -> None:
    """unslothai/unsloth#4757: 2.08 GB for DeepSeek V3.1 and 6.67 for Kimi K2.5; true below.

    61 layers keep a latent of 512 and 64 rotated values once, for keys and values alike.
    """
    found = cache_bytes(model, context_tokens)
    assert found == 61 * 576 * 2 * context_tokens
    assert found / GIB == pytest.approx(gib, abs=0.005)


def test_heads_may_be_wider_than_the_width_divided_by_their_number() -> None:
    """unslothai/unsloth#4757: 2.19 GB for Qwen3 0.6B at 40,960 tokens, true 4.38.

    Its heads have 128 values where 1,024 over 16 heads would be 64. hf-mem and Ollama's predictor
    divide as well: half of the cache of Qwen3-30B-A3B.
    """
    assert cache_bytes("qwen3-0.6b", 40_960) == 28 * 8 * 2 * 128 * 2 * 40_960
    assert cache_bytes("qwen3-30b-a3b", 8_192) == 0.75 * GIB


def test_heads_that_differ_by_layer_are_counted_layer_by_layer() -> None:
    """tobocop2/lilbee#721: no cache at all was counted for LFM2.

    Six of sixteen layers of LFM2 1.2B have 8 heads of 64; hf-mem refuses such files.
    """
    short, long = (cache_bytes("lfm2-1.2b", context) for context in (4_096, 32_768))
    assert long - short == 6 * 8 * 2 * 64 * 2 * (32_768 - 4_096)


def test_a_model_of_states_alone_has_no_cache_that_grows() -> None:
    """AlexsJones/llmfit#203: layers with a state were charged a cache of the whole context."""
    short, long = (cache_bytes("falcon-mamba-7b", context) for context in (4_096, 32_768))
    assert 0 < short == long


def test_a_quantised_cache_has_the_bytes_of_its_blocks() -> None:
    """withcatai/node-llama-cpp#608: the bytes of a block of 32 values were charged for each value.

    A block has 34 bytes in Q8_0 and 18 in Q4_0; llama.cpp's Llama 3.1 8B has 4 GiB at 32,768.
    """
    whole = cache_bytes("llama-3.1-8b", 32_768)
    eight = cache_bytes("llama-3.1-8b", 32_768, kv_type_k="q8_0", kv_type_v="q8_0")
    four = cache_bytes("llama-3.1-8b", 32_768, kv_type_k="q4_0", kv_type_v="q4_0")
    assert (whole, eight, four) == (4 * GIB, 4 * GIB * 34 // 64, 4 * GIB * 18 // 64)


def test_a_quantised_cache_is_counted_as_such_in_the_verdict() -> None:
    """ollama/ollama#10128 (and #7965): 52 GB for Qwen2.5 7B with 262,144 tokens in Q8_0.

    Two P40 held 11,516 MiB of it: one of them is enough.
    """
    found = check(
        "qwen2.5-7b",
        file_type="Q4_K_M",
        machine="tesla-p40 + 64gb",
        workload={"context_tokens": 262_144, "kv_type_k": "q8_0", "kv_type_v": "q8_0"},
    )
    assert found.verdict == "fits"
    assert found.memory.total_bytes / MIB == pytest.approx(11_516, rel=0.2)


def test_parameters_say_nothing_of_a_cache() -> None:
    """Osmantic/ODS#3324: a cache was taken from the parameter count, and held to 3.5 GB.

    Thirty billion parameters in experts keep less than eight billion in one dense model.
    """
    dense = cache_bytes("llama-3.1-8b", 131_072)
    experts = cache_bytes("qwen3-30b-a3b", 131_072)
    assert (dense, experts) == (16 * GIB, 12 * GIB)


def test_slots_share_the_context_and_each_has_its_window() -> None:
    """AlexsJones/llmfit#140: nobody said what sessions at a time take.

    llama.cpp's context is that of all slots: full layers hold it once, window layers a window a
    slot, which makes four slots of Gemma 3 27B dearer than one.
    """
    one, four = (cache_bytes("gemma-3-27b", 32_768, parallel=slots) for slots in (1, 4))
    assert four - one == 52 * 8_192 * 1_536 * 3
    assert cache_bytes("llama-3.1-8b", 32_768, parallel=4) == cache_bytes("llama-3.1-8b", 32_768)
