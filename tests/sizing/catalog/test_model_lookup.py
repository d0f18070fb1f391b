"""What people type finds the model they mean, and never another one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whatfits.sizing.catalog.lookup import ModelEntry, find_model, model_entries
from whatfits.sizing.catalog.names import is_number, is_size, model_tokens
from whatfits.sizing.errors import UnknownModelError

ENTRIES = tuple(model_entries())


@pytest.mark.parametrize(
    ("typed", "model_id"),
    [
        ("llama-3.1-8b", "llama-3.1-8b"),
        ("Llama 3.1 8B Instruct", "llama-3.1-8b"),
        ("llama3.1:8b", "llama-3.1-8b"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("META LLAMA 3.1 8B", "llama-3.1-8b"),
        ("  llama_3.1_8b  ", "llama-3.1-8b"),
        ("qwen3 30b a3b", "qwen3-30b-a3b"),
        ("qwen3:30b", "qwen3-30b-a3b"),
        ("qwen3-coder:30b", "qwen3-coder-30b-a3b"),
        ("qwen3 32b", "qwen3-32b"),
        ("qwen2.5 32b", "qwen2.5-32b"),
        ("Qwen/Qwen2.5-7B", "qwen2.5-7b"),
        ("gemma 3 27b it", "gemma-3-27b"),
        ("gemma3n:e4b", "gemma-3n-e4b"),
        ("deepseek r1", "deepseek-r1"),
        ("deepseek-r1:671b", "deepseek-r1"),
        ("deepseek-r1:7b", "deepseek-r1-distill-qwen-7b"),
        ("deepseek-r1:70b", "deepseek-r1-distill-llama-70b"),
        ("gpt oss 20b", "gpt-oss-20b"),
        ("gptoss:120b", "gpt-oss-120b"),
        ("phi4", "phi-4"),
        ("phi4:14b", "phi-4"),
        ("llama4:scout", "llama-4-scout"),
        ("mixtral:8x7b", "mixtral-8x7b"),
        ("mistral:7b", "mistral-7b-v0.3"),
        ("codellama:7b-instruct", "codellama-7b"),
        ("command-r+", "command-r-plus"),
        ("nomic-embed-text", "nomic-embed-text-v1.5"),
        ("llama 3.2 11b", "llama-3.2-11b-vision"),
        ("glm 4.5 air", "glm-4.5-air"),
        ("mistral small 3.2", "mistral-small-3.2-24b"),
        ("bge-base-en-v1.5", "bge-base-en-v1.5"),
        ("internlm2_5-7b-chat", "internlm2.5-7b"),
        ("internlm 2.5 7b", "internlm2.5-7b"),
        # tags of Ollama's library
        ("qwen3-embedding:8b", "qwen3-embedding-8b"),
        ("mxbai-embed-large:335m", "mxbai-embed-large-v1"),
        ("embeddinggemma:300m", "embeddinggemma-300m"),
        ("embeddinggemma", "embeddinggemma-300m"),
        ("snowflake-arctic-embed:335m", "snowflake-arctic-embed-l"),
        ("snowflake-arctic-embed2:568m", "snowflake-arctic-embed-l-v2.0"),
        ("all-minilm:33m", "all-minilm-l12-v2"),
        ("all-minilm:22m", "all-minilm-l6-v2"),
        ("bge-large:335m", "bge-large-en-v1.5"),
        ("gemma3:270m", "gemma-3-270m"),
        ("codestral:22b", "codestral-22b"),
        ("deepseek-coder:6.7b", "deepseek-coder-6.7b"),
        ("phi4-reasoning:14b", "phi-4-reasoning"),
        ("phi4-mini-reasoning:3.8b", "phi-4-mini-reasoning"),
        ("aya:8b", "aya-23-8b"),
        ("aya-expanse:32b", "aya-expanse-32b"),
        ("granite4:tiny-h", "granite-4.0-h-tiny"),
        ("granite3.1-dense:8b", "granite-3.1-8b"),
        ("llama4:16x17b", "llama-4-scout"),
        ("nemotron:70b", "llama-3.1-nemotron-70b"),
        ("solar:10.7b", "solar-10.7b"),
        ("granite4:small-h", "granite-4.0-h-small"),
        ("granite3.3:2b", "granite-3.3-2b"),
        ("qwen3.5:0.8b", "qwen3.5-0.8b"),
        ("qwen2.5vl:72b", "qwen2.5-vl-72b"),
        ("gemma3n:e2b", "gemma-3n-e2b"),
        ("phi3:mini", "phi-3-mini-4k"),
        ("phi3:3.8b", "phi-3-mini-4k"),
        ("phi3:medium", "phi-3-medium-4k"),
        ("deepseek-v3.1:671b", "deepseek-v3.1"),
        ("lfm2.5-thinking:1.2b", "lfm2.5-1.2b"),
        ("olmo-3:32b", "olmo-3-32b"),
        ("exaone3.5:7.8b", "exaone-3.5-7.8b"),
        ("exaone-deep:32b", "exaone-deep-32b"),
        ("command-a:111b", "command-a"),
        ("zephyr:7b", "zephyr-7b-beta"),
        ("vicuna:13b", "vicuna-13b"),
        ("hermes3:8b", "hermes-3-8b"),
        ("dolphin-mistral:7b", "dolphin-2.6-mistral-7b"),
        ("llava:13b", "llava-1.6-vicuna-13b"),
        ("llama-guard3:8b", "llama-guard-3-8b"),
        ("gpt-oss-safeguard:20b", "gpt-oss-safeguard-20b"),
        ("magistral:24b", "magistral-small-2506"),
        ("medgemma:27b", "medgemma-27b"),
        ("functiongemma", "functiongemma-270m"),
        ("nemotron-cascade-2:30b", "nemotron-cascade-2-30b-a3b"),
        ("devstral-small-2:24b", "devstral-small-2-24b"),
        # names of LM Studio's catalogue
        ("text-embedding-bge-m3", "bge-m3"),
        ("text-embedding-nomic-embed-text-v1.5", "nomic-embed-text-v1.5"),
        ("ibm/granite-4-h-tiny", "granite-4.0-h-tiny"),
        ("deepseek/deepseek-r1-0528-qwen3-8b", "deepseek-r1-0528-qwen3-8b"),
        ("qwen/qwen3-4b-thinking-2507", "qwen3-4b-2507"),
        ("google/gemma-3-12b", "gemma-3-12b"),
        ("ibm/granite-4-h-small", "granite-4.0-h-small"),
        ("liquid/lfm2.5-1.2b", "lfm2.5-1.2b"),
        ("zai-org/glm-4.6v-flash", "glm-4.6v-flash"),
        ("mistralai/pixtral-12b", "pixtral-12b"),
        ("allenai/olmo-3-32b-think", "olmo-3-32b"),
        # names of Hugging Face and short ones
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek-r1"),
        ("deepseek-v3-0324", "deepseek-v3"),
        ("rednote-hilab/dots.llm1.inst", "dots.llm1"),
        ("OpenGVLab/InternVL3_5-8B", "internvl3.5-8b"),
        ("arcee-ai/Trinity-Mini", "trinity-mini"),
        ("nemotron-3-super", "nemotron-3-super-120b-a12b"),
        ("devstral-small-2", "devstral-small-2-24b"),
        ("jamba-mini", "jamba-1.5-mini"),
        ("bitnet-2b4t", "bitnet-b1.58-2b"),
        ("hunyuan-a13b", "hunyuan-a13b"),
        ("deepcoder:14b", "deepcoder-14b"),
        ("step-3.5-flash", "step-3.5-flash"),
    ],
)
def test_what_people_type_finds_the_model(typed: str, model_id: str) -> None:
    assert find_model(typed).id == model_id


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("llama-3.1-80b", "llama-3.1-8b"),
        ("llama 3 405b", "llama-3.1-405b"),
        ("llama-3-1-8b", "llama-3.1-8b"),
        ("gemma-22b", "gemma-2-2b"),
        ("mixtral 7b", "mixtral-8x7b"),
        ("qwen 397b", "qwen3.5-397b-a17b"),
        ("deepseek-coder-v2", "deepseek-coder-v2-lite"),
        ("olmoe 1b", "olmoe-1b-7b"),
        ("gemma 3 e4b", "gemma-3n-e4b"),
        ("ministral-3b", "ministral-3-3b"),
        ("glm 5.", "glm-5"),
        ("lama-3.1-8b", "llama-3.1-8b"),
        ("unsloth/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
    ],
)
def test_a_near_name_is_suggested_and_never_taken(typed: str, suggested: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        find_model(typed)
    assert f" {suggested}" in caught.value.next_step
    assert caught.value.next_step.startswith("did you mean ")
    assert caught.value.next_step.count(",") <= 4


@pytest.mark.parametrize(
    ("typed", "choices"),
    [
        ("mixtral", "mixtral-8x7b, mixtral-8x22b"),
        ("llama3.1", "llama-3.1-8b, llama-3.1-70b, llama-3.1-405b"),
        ("deepseek-r1:8b", "deepseek-r1-distill-llama-8b, deepseek-r1-0528-qwen3-8b"),
        ("gpt oss", "gpt-oss-20b, gpt-oss-120b"),
    ],
)
def test_a_name_that_several_models_share_lists_them(typed: str, choices: str) -> None:
    with pytest.raises(UnknownModelError, match="ambiguous model") as caught:
        find_model(typed)
    assert choices in caught.value.allowed


@pytest.mark.parametrize(
    "typed", ["", " ", "7b", "/", "a/b", "nothing like it", "\x00", "x" * 10**6]
)
def test_a_name_of_nothing_is_one_line_of_error(typed: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        find_model(typed)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_a_model_answers_to_each_of_its_names(entry: ModelEntry) -> None:
    for name in (entry.id, entry.name, *entry.aliases, entry.hf_id):
        for typed in (name, name.upper(), name.replace("-", " "), f" {name} "):
            assert find_model(typed).id == entry.id, typed


def _numbers(entry: ModelEntry) -> set[str]:
    names = (entry.id, entry.name, *entry.aliases, entry.hf_id)
    return {token for name in names for token in model_tokens(name) if is_number(token)}


def _is_about_its_size(token: str, entry: ModelEntry) -> bool:
    if (
        not is_size(token)
        or entry.params_total is None
        or not token[:-1].replace(".", "").isdigit()
    ):
        return False
    size = float(token[:-1]) * {"m": 1e6, "b": 1e9, "t": 1e12}[token[-1]]
    return abs(size - entry.params_total) <= 0.05 * entry.params_total


@settings(max_examples=150, deadline=None)
@given(
    entry=st.sampled_from(ENTRIES),
    seed=st.integers(0, 2**32),
    edits=st.integers(1, 3),
)
def test_a_slip_never_finds_a_model_of_another_size_than_typed(
    entry: ModelEntry, seed: int, edits: int
) -> None:
    random_source = random.Random(seed)  # noqa: S311 - no secret
    text = random_source.choice([entry.id, entry.name, entry.hf_id.split("/")[1]])
    for _ in range(edits):
        place = random_source.randrange(len(text) + 1)
        letter = random_source.choice("0123456789abdehmrxv.- ")
        text = (
            text[:place]
            + random_source.choice(["", letter])
            + text[place + random_source.randrange(2) :]
        )
    try:
        found = find_model(text)
    except UnknownModelError:
        return
    if found.params_total != entry.params_total:
        typed = [token for token in model_tokens(text) if is_number(token)]
        wrong = [token for token in typed if token not in _numbers(found)]
        assert all(_is_about_its_size(token, found) for token in wrong), (text, found.id)


def test_the_config_is_a_new_copy_with_plain_lists() -> None:
    entry = find_model("gemma-3-27b")
    first, second = entry.config, entry.config
    # HF config of gemma-3-27b: five sliding layers, then a full one; 62 layers.
    assert first["layer_types"][:6] == ["sliding_attention"] * 5 + ["full_attention"]
    assert len(first["layer_types"]) == first["num_hidden_layers"] == 62
    assert first["layer_types"].count("full_attention") == 10
    first["architectures"].append("changed")
    assert second["architectures"] == ["Gemma3ForConditionalGeneration"]


def test_looking_up_twice_gives_equal_entries() -> None:
    assert find_model("phi4") == find_model("microsoft/phi-4")
    assert len({find_model("phi4"), find_model("phi-4"), find_model("phi-2")}) == 2


def test_null_and_nested_lists_come_back_in_their_places() -> None:
    assert find_model("deepseek-v2-lite").config["q_lora_rank"] is None
    attention = find_model("kimi-k3").config["linear_attn_config"]
    assert sorted(attention["full_attn_layers"] + attention["kda_layers"]) == list(range(1, 94))
    assert attention["head_dim"] == 128


def test_kimi_linear_has_attention_where_its_publisher_put_it() -> None:
    # Published linear_attn_config, counted from one: 4, 8, 12, 16, 20, 24, 27.
    layers = find_model("kimi-linear-48b-a3b").config["layer_types"]
    full = [number for number, kind in enumerate(layers, 1) if kind == "full_attention"]
    assert full == [4, 8, 12, 16, 20, 24, 27]


@pytest.mark.parametrize("model", ["bge-m3", "qwen3.6-35b-a3b", "falcon-7b"])
def test_a_size_that_a_counted_shape_does_not_use_is_not_called_unknown(model: str) -> None:
    entry = find_model(model)
    assert {"num_key_value_heads", "intermediate_size"} & set(entry.unknown)
    assert not any("Not known" in said for said in entry.caveats)


def test_what_is_not_sure_about_a_model_is_said() -> None:
    assert (
        find_model("falcon-h1-7b")
        .caveats[0]
        .startswith("Not known of its shape: intermediate_size")
    )
    assert "whole shape" in find_model("bge-large-en-v1.5").caveats[0]
    assert "trained for is not known" in find_model("kimi-linear-48b-a3b").caveats[0]
    assert "Shape assumed" in find_model("qwen3.8-27b").caveats[0]
    assert "max_position_embeddings" in find_model("minimax-m1").caveats[0]
    assert find_model("llama-3.1-8b").caveats == ()


def test_native_quantisation_names_the_part_it_holds_for() -> None:
    entry = find_model("gpt-oss-20b")
    assert (entry.native_quantisation, entry.native_quantisation_scope) == ("mxfp4", "experts")
    # The shape of these was read from NVIDIA's NVFP4 derivative: that is not the publisher's file.
    assert find_model("qwen3.6-27b").native_quantisation is None
    assert "quantization_config" not in find_model("qwen3.6-27b").config
