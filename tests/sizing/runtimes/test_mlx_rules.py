"""mlx-lm's rules one by one: names of file types, what is quantised, how caches grow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing.api import load_model
from whatfits.sizing.errors import (
    InvalidRequestError,
    UnknownFileTypeError,
    UnsupportedArchitectureError,
)
from whatfits.sizing.model import FullAttention, LayerSpec, RecurrentState, SlidingWindow
from whatfits.sizing.runtimes.mlx_cache import (
    LayerCache,
    chunks,
    grown_tokens,
    layer_cache,
    room_tokens,
)
from whatfits.sizing.runtimes.mlx_memory import MlxBill
from whatfits.sizing.runtimes.mlx_models import check_model_type, mlx_model
from whatfits.sizing.runtimes.mlx_peak import StepShape, is_fused, step_bytes
from whatfits.sizing.runtimes.mlx_settings import MlxSettings
from whatfits.sizing.runtimes.mlx_types import find_mlx_type


@pytest.mark.parametrize(
    ("text", "name", "bits_per_weight"),
    [
        ("4bit", "4bit", 4.5),
        ("4-bit", "4bit", 4.5),
        ("8BIT", "8bit", 8.5),
        ("4bit-g32", "4bit-g32", 5.0),
        ("8bit-gs32", "8bit-g32", 9.0),
        ("6bit_g128", "6bit-g128", 6.25),
        ("3bit", "3bit", 3.5),
        ("mxfp4", "mxfp4", 4.25),
        ("mxfp8", "mxfp8", 8.25),
        ("nvfp4", "nvfp4", 4.5),
        ("mixed_4_6", "mixed_4_6", 4.5),
        ("bf16", "bf16", 16.0),
        ("fp16", "f16", 16.0),
    ],
)
def test_a_file_type_answers_to_the_names_of_published_repositories(
    text: str, name: str, bits_per_weight: float
) -> None:
    found = find_mlx_type(text)
    assert (found.name, found.bits_per_weight) == (name, bits_per_weight)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("Q4_K_M", "4bit"),
        ("Q8_0", "8bit"),
        ("Q6_K", "6bit"),
        ("Q2_K", "2bit"),
        ("Q3_K_M", "3bit"),
        ("F32", "bf16"),
    ],
)
def test_a_file_type_of_ggufs_is_refused_with_the_nearest_one(text: str, nearest: str) -> None:
    with pytest.raises(UnknownFileTypeError, match=f"nearest is '{nearest}'") as caught:
        find_mlx_type(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["7bit", "4bit-g16", "mixed_9_9", "", "bit", "1e9bit"])
def test_what_mlx_does_not_have_is_refused_without_a_guess(text: str) -> None:
    with pytest.raises(UnknownFileTypeError) as caught:
        find_mlx_type(text)
    assert caught.value.next_step == ""


@pytest.mark.parametrize(
    ("file_type", "flags"),
    [
        ("4bit", ("-q", "--q-bits", "4", "--q-group-size", "64")),
        ("8bit-g32", ("-q", "--q-bits", "8", "--q-group-size", "32")),
        ("mxfp4", ("-q", "--q-mode", "mxfp4")),
        ("mixed_3_6", ("-q", "--quant-predicate", "mixed_3_6")),
        ("bf16", ("--dtype", "bfloat16")),
        ("f16", ("--dtype", "float16")),
    ],
)
def test_a_conversion_is_told_what_makes_the_type(file_type: str, flags: tuple[str, ...]) -> None:
    assert find_mlx_type(file_type).convert_flags() == flags


def stored(model: str, tensor: str, file_type: str) -> str:
    spec = load_model(model, file_type=file_type, runtime="mlx")
    return next(one.type for one in spec.tensors if one.name == tensor)


@pytest.mark.parametrize(
    ("model", "tensor", "file_type", "expected"),
    [
        ("qwen3-8b", "token_embd.weight", "4bit", "affine 4 bits"),
        ("qwen3-8b", "output.weight", "8bit", "affine 8 bits"),
        ("qwen3-8b", "blk.0.attn_norm.weight", "4bit", "16 bits"),
        ("qwen3-30b-a3b", "blk.0.ffn_gate_exps.weight", "mxfp4", "mxfp4"),
        ("qwen3-30b-a3b", "blk.0.ffn_gate_inp.weight", "mxfp4", "affine 8 bits"),
        ("qwen3-next-80b-a3b", "blk.0.ffn_gate_inp_shexp.weight", "4bit", "affine 8 bits"),
        ("mixtral-8x7b", "blk.0.ffn_gate_inp.weight", "4bit", "affine 4 bits"),
        ("deepseek-v3", "blk.3.ffn_gate_inp.weight", "4bit", "16 bits"),
        ("gpt-oss-20b", "blk.0.ffn_up_exps.weight", "8bit", "mxfp4"),
        ("gpt-oss-20b", "blk.0.attn_q.weight", "8bit", "affine 8 bits"),
        ("lfm2-1.2b", "blk.0.shortconv.conv.weight", "4bit", "16 bits"),
        ("mamba-2.8b", "blk.0.ssm_dt.weight", "4bit", "16 bits"),  # rows of 160
        ("mamba-2.8b", "blk.0.ssm_dt.weight", "4bit-g32", "affine 4 bits"),
    ],
)
def test_each_kind_of_tensor_is_stored_as_mlx_lm_stores_it(
    model: str, tensor: str, file_type: str, expected: str
) -> None:
    assert stored(model, tensor, file_type) == expected


def test_a_recipe_gives_the_first_and_last_eighth_and_every_third_layer_more_bits() -> None:
    spec = load_model("qwen3-8b", file_type="mixed_4_6", runtime="mlx")  # 36 layers
    better = [
        tensor.layer
        for tensor in spec.tensors
        if tensor.name.endswith("ffn_down.weight") and tensor.type == "affine 6 bits"
    ]
    assert better == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 31, 32, 33, 34, 35]
    assert {t.type for t in spec.tensors if t.name.endswith("ffn_up.weight")} == {"affine 4 bits"}
    assert stored("qwen3-8b", "output.weight", "mixed_4_6") == "affine 6 bits"
    assert stored("qwen3-8b", "token_embd.weight", "mixed_4_6") == "affine 4 bits"


def test_a_recipe_takes_the_place_of_the_models_own_choice_of_routers() -> None:
    assert stored("qwen3-30b-a3b", "blk.0.ffn_gate_inp.weight", "mixed_4_6") == "affine 4 bits"


def test_a_recipe_is_refused_where_its_modules_are_missing() -> None:
    with pytest.raises(InvalidRequestError, match="down_proj"):
        load_model("internlm2.5-7b", file_type="mixed_4_6", runtime="mlx")


@pytest.mark.parametrize("model", ["bitnet-b1.58-2b", "bge-m3", "exaone-4.5-33b"])
def test_what_mlx_lm_does_not_run_is_refused_in_a_line(model: str) -> None:
    with pytest.raises(UnsupportedArchitectureError, match=r"llama\.cpp") as caught:
        load_model(model, runtime="mlx")
    assert "\n" not in str(caught.value)


def test_a_kind_that_mlx_lm_has_a_file_for_passes() -> None:
    check_model_type("qwen3", name="x")
    check_model_type(None, name="x")


def test_prediction_layers_are_left_out() -> None:
    spec = load_model("glm-5", runtime="mlx")
    assert spec.hparams.n_layer_nextn == 0
    assert spec.prediction_tensors == ()
    assert load_model("glm-5").hparams.n_layer_nextn == 1


def test_a_prompt_is_read_in_steps_and_its_last_token_alone() -> None:
    assert list(chunks(5000, 2048)) == [2048, 2048, 903]
    assert list(chunks(2049, 2048)) == [2048]
    assert list(chunks(1, 2048)) == []
    assert list(chunks(0, 2048)) == []


@pytest.mark.parametrize(
    ("room", "length", "written", "expected"),
    [
        (0, 0, 1, 256),
        (0, 0, 256, 256),
        (0, 0, 257, 512),
        (256, 256, 1, 512),
        (256, 255, 1, 256),
        (512, 500, 100, 756),  # cut to 500 first
        (1024, 1024, 512, 1536),
    ],
)
def test_a_cache_grows_by_256_and_is_cut_first_at_an_odd_length(
    room: int, length: int, written: int, expected: int
) -> None:
    assert grown_tokens(room, length, written) == expected


def rooms(cache: LayerCache, *, prompt: int, written: int, step: int) -> list[int]:
    found = room_tokens(cache, prompt_tokens=prompt, written_tokens=written, step_tokens=step)
    return list(found)


def test_a_rotating_cache_holds_its_window_and_a_step_while_a_prompt_is_read() -> None:
    window = LayerCache(8, window_tokens=512)
    assert rooms(window, prompt=3000, written=3001, step=1024) == [1024, 1535, 1462, 512]
    assert rooms(window, prompt=100, written=101, step=2048) == [99, 355]
    assert rooms(window, prompt=400, written=500, step=2048) == [399, 512]


def test_odd_steps_are_cut_off_and_added_to() -> None:
    plain = LayerCache(8)
    assert rooms(plain, prompt=1001, written=1002, step=500) == [512, 1012, 1012]
    assert rooms(plain, prompt=1001, written=1020, step=500) == [512, 1012, 1268]


def test_a_chunked_cache_stays_near_its_chunk() -> None:
    chunked = LayerCache(8, chunk_tokens=1024)
    found = rooms(chunked, prompt=50_000, written=60_000, step=1024)
    assert max(found) == 2048
    assert found[-1] <= 2048


def test_a_quantised_cache_pays_two_numbers_a_group() -> None:
    cache = LayerCache(1024)
    assert cache.token_bytes(256) == 256 * 1024 * 2
    assert cache.token_bytes(256, bits=8, group=64) == 256 * 1024 * 17 // 16
    assert cache.token_bytes(256, bits=4, group=64) == 256 * 1024 * 9 // 16
    assert cache.token_bytes(256, bits=8, group=32) == 256 * 1024 * 9 // 8


def test_a_window_is_only_kept_short_where_the_models_code_does() -> None:
    layer = LayerSpec(attention=SlidingWindow(64, 64, 1024))
    rotating = layer_cache(layer, mlx_model("gemma3", name="x"), expanded=None)
    whole = layer_cache(layer, mlx_model("gemma2", name="x"), expanded=None)
    assert (rotating.window_tokens, whole.window_tokens) == (1024, None)


@pytest.mark.parametrize(("architecture", "least"), [("qwen3next", 420), ("mamba2", 220)])
def test_a_recurrent_state_has_16_bit_shifts_and_at_most_32_bit_states(
    architecture: str, least: int
) -> None:
    layer = LayerSpec(recurrent=RecurrentState(shift_elements=10, state_elements=100))
    cache = layer_cache(layer, mlx_model(architecture, name="x"), expanded=None)
    assert (cache.width, cache.state_low_bytes, cache.state_bytes) == (0, least, 420)


@pytest.mark.parametrize(
    ("model", "elements"),
    [
        ("deepseek-v3", 512 + 64),  # the latent row
        ("glm-5", 512 + 64 + 128),  # with the index keys beside it
        ("deepseek-v2-lite", 16 * (128 + 64 + 128)),  # whole keys and values of every head
    ],
)
def test_latent_attention_keeps_what_each_model_keeps(model: str, elements: int) -> None:
    spec = load_model(model, runtime="mlx")
    bill = MlxBill(spec, mlx_model(spec.architecture, name=model), on_gpu=True)
    settings = MlxSettings("api", context_tokens=256, answer_tokens=1)
    assert bill.cache(settings).mid == spec.n_layers * 256 * elements * 2


def test_only_heads_of_the_kernels_lengths_are_fused() -> None:
    plain = LayerSpec(attention=FullAttention(128, 128), n_head=8, key_length=128, value_length=128)
    rules = mlx_model("llama", name="x")
    assert is_fused(plain, rules)
    assert not is_fused(replace(plain, key_length=256, value_length=256), rules)
    assert not is_fused(replace(plain, key_length=192), rules)
    assert not is_fused(plain, mlx_model("gemma2", name="x"))


@pytest.mark.parametrize("kv_bits", [None, 8])
@pytest.mark.parametrize("model", ["qwen3-8b", "gemma-2-9b", "gemma-3-4b", "deepseek-v3"])
def test_no_step_is_higher_than_those_that_are_looked_at(model: str, kv_bits: int | None) -> None:
    spec = load_model(model, runtime="mlx")
    bill = MlxBill(spec, mlx_model(spec.architecture, name=model), on_gpu=True)
    highest = 0
    for prompt in range(600, 9000, 600):  # every step is the last one of some prompt
        settings = MlxSettings(
            "api", context_tokens=prompt, answer_tokens=0, step_tokens=600, kv_bits=kv_bits
        )
        now = bill.peak(settings)
        highest = max(highest, now.high)
        assert now.high == highest


def peak(model: str, *, context: int, step: int = 2048, kv_bits: int | None = None) -> int:
    spec = load_model(model, runtime="mlx")
    bill = MlxBill(spec, mlx_model(spec.architecture, name=model), on_gpu=True)
    settings = MlxSettings(
        "api", context_tokens=context, answer_tokens=1, step_tokens=step, kv_bits=kv_bits
    )
    return bill.peak(settings).mid - bill.cache(settings).mid


def test_without_a_fused_kernel_the_peak_grows_with_step_and_context() -> None:
    assert peak("gemma-2-9b", context=32768) > 3 * peak("gemma-2-9b", context=8192)
    assert peak("gemma-2-9b", context=32768) > 2.5 * peak("gemma-2-9b", context=32768, step=512)
    grown = peak("llama-3.1-8b", context=32768) - peak("llama-3.1-8b", context=8192)
    assert grown == 24 * 1024 * 2 * 1024 * 2  # of the copy of one layer that grows, and no more


def test_a_quantised_cache_is_attended_to_without_a_fused_kernel() -> None:
    plain = peak("llama-3.1-8b", context=32768)
    assert peak("llama-3.1-8b", context=32768, kv_bits=8) > 4 * plain


def test_the_step_after_which_the_cache_is_quantised_still_has_the_fused_kernel() -> None:
    up_to_the_turn = peak("llama-3.1-8b", context=5500, kv_bits=8)
    beyond = peak("llama-3.1-8b", context=8000, kv_bits=8)
    assert beyond > up_to_the_turn + 32 * 1900 * 8000 * 2  # scores of the step after it


def scanned_bytes(name: str, tokens: int, *, on_gpu: bool = True) -> int:
    """Return what a step is expected to take more because its model scans."""
    model = load_model(name, file_type="4bit", runtime="mlx")
    rules = mlx_model(model.architecture, name=name)
    step = StepShape(1, tokens, tokens)
    scanning, plain = (
        step_bytes(model, rules._replace(scans=scans), [], step, on_gpu=on_gpu).mid
        for scans in (rules.scans, False)
    )
    return scanning - plain


def test_layers_of_mamba_2_write_chunks_of_a_prompt_for_every_head() -> None:
    # 128 heads, 256 tokens a chunk, 32 bits, and twenty such arrays on their way
    assert scanned_bytes("granite-4.0-h-small", 2048) == 20 * 128 * 2048 * 256 * 4
    assert scanned_bytes("granite-4.0-h-small", 100) == 20 * 128 * 100 * 100 * 4
    assert scanned_bytes("granite-4.0-h-small", 2048, on_gpu=False) == 5 * 128 * 2048 * 256 * 4


def test_a_single_token_and_other_states_are_not_scanned() -> None:
    assert scanned_bytes("granite-4.0-h-small", 1) == 0
    assert scanned_bytes("qwen3.6-35b-a3b", 2048) == 0
    assert scanned_bytes("nemotron-nano-9b-v2", 2048) > 0
