"""The whole answer for vLLM: verdict, bill, notes, remedies, command."""

from __future__ import annotations

import shlex
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.api import answer, check, load_machine, load_model
from whatfits.sizing.errors import InvalidRequestError, UnsupportedArchitectureError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Plan

CARD = "rtx-4090 + 64gb"
PAIR = "2x rtx-3090 + 64gb"
# What `vllm serve` is known to take, but for what only several nodes need.
FLAGS = {
    *("--host", "--port", "--served-model-name", "--max-model-len", "--gpu-memory-utilization"),
    *("--kv-cache-memory-bytes", "--kv-cache-dtype", "--kv-cache-dtype-skip-layers"),
    *("--block-size", "--max-num-seqs", "--max-num-batched-tokens", "--tensor-parallel-size"),
    *("--pipeline-parallel-size", "--data-parallel-size", "--decode-context-parallel-size"),
    *("--enable-expert-parallel", "--distributed-executor-backend", "--quantization", "--dtype"),
    *("--enforce-eager", "--max-cudagraph-capture-size", "--cudagraph-capture-sizes"),
    *("--compilation-config", "--cpu-offload-gb", "--no-enable-prefix-caching"),
    *("--limit-mm-per-prompt", "--language-model-only", "--numa-bind", "--load-format"),
    "--config",
}


def asked(model: str = "qwen3-8b", machine: str | Machine = CARD, **given: Any) -> Plan:  # noqa: ANN401
    return check(model, runtime="vllm", machine=machine, **given)


def words_of(plan: Plan) -> list[str]:
    (line,) = plan.commands["vllm"]
    return shlex.split(line)


def held(machine: str, n_bytes: int | None) -> Machine:
    """Return a machine whose cards have that much held by others."""
    found = load_machine(machine)
    pools = tuple(
        replace(pool, used_bytes=n_bytes) if pool.kind == "vram" else pool for pool in found.pools
    )
    return replace(found, pools=pools)


def test_an_8b_in_16_bits_fits_a_24_gib_card() -> None:
    plan = asked()
    (row,) = plan.memory.devices
    total = load_machine(CARD).pool("vram0").total_bytes
    assert total is not None
    assert plan.verdict == "fits"
    # what vLLM may use is filled to the last block; the driver's context comes on top
    assert 0 <= ceil(total * 0.92) + round(0.45 * GIB) - row.total_bytes < 16 * 147_456
    assert row.kv_cache_bytes % (16 * 147_456) == 0
    assert row.high_bytes <= (load_machine(CARD).pool("vram0").free_low_bytes or 0)


def test_the_rows_add_up_and_the_interval_holds_the_total() -> None:
    for model, machine in (("qwen3-8b", CARD), ("llama-3.3-70b", PAIR), ("gpt-oss-20b", PAIR)):
        plan = asked(model, machine)
        for row in plan.memory.devices:
            assert row.low_bytes <= row.total_bytes <= row.high_bytes
        assert plan.memory.total_bytes == sum(row.total_bytes for row in plan.memory.devices)


def test_what_vllm_prints_is_in_the_notes() -> None:
    plan = asked()
    tokens = plan.memory.kv_cache_bytes // 147_456
    assert f"GPU KV cache size: {tokens:,} tokens (" in "\n".join(plan.notes)
    times = f"{tokens / 8192:.2f}"
    assert f"Maximum concurrency for 8,192 tokens per request: {times}x" in plan.notes


def test_the_longest_request_fits_and_one_token_more_does_not() -> None:
    longest = asked().largest_context_tokens
    assert longest is not None
    assert 8192 < longest < 40_960
    assert asked(workload={"context_tokens": longest}).verdict == "fits"
    more = asked(workload={"context_tokens": longest + 1})
    assert more.verdict == "tight"
    assert any("--max-model-len auto" in note for note in more.notes)


def test_what_does_not_fit_says_what_is_missing_and_gives_no_command() -> None:
    plan = asked("llama-3.3-70b", PAIR)
    assert plan.verdict == "no"
    assert plan.largest_context_tokens is None
    assert plan.commands == {}
    assert "short" in plan.verdict_reason
    assert "GPU KV cache size" not in "\n".join(plan.notes)
    # weights, and a cache of one request: 8,192 tokens of half of 80 x 8 heads, and one block
    (row, _) = plan.memory.devices
    assert row.kv_cache_bytes == (512 + 1) * 16 * 80 * 4 * 256 * 2
    assert asked("llama-3.3-70b", PAIR, force=True).commands["vllm"]


def test_what_others_hold_lowers_the_utilisation() -> None:
    free, taken = asked(), asked(machine=held(CARD, 3 * GIB))
    assert taken.verdict == "fits"
    share = float(words_of(taken)[words_of(taken).index("--gpu-memory-utilization") + 1])
    assert share < 0.92
    pool = held(CARD, 3 * GIB).pool("vram0")
    # as much as is free beside the driver's context and what graphs may take beyond the estimate
    room = (pool.free_low_bytes or 0) - 0.6 * GIB - 0.5 * GIB
    total = pool.total_bytes or 0
    assert ceil(total * share) <= room < ceil(total * (share + 0.0011))
    assert "more is not free" in "\n".join(taken.notes)
    assert taken.memory.kv_cache_bytes < free.memory.kv_cache_bytes


def test_what_fits_only_after_closing_others_is_tight() -> None:
    plan = asked(machine=held(CARD, 12 * GIB))
    assert plan.verdict == "tight"
    assert "until other programs let go of some of the 12.0 GiB they hold" in plan.verdict_reason
    assert (plan.remedies[0].key, plan.remedies[0].verdict) == ("close", "fits")
    assert plan.commands["vllm"]


def test_what_cannot_be_read_is_no_promise() -> None:
    plan = asked(machine=held(CARD, None))
    assert plan.verdict == "tight"
    assert "could not be read" in plan.verdict_reason


def test_a_host_of_unknown_size_cannot_be_told() -> None:
    host = Machine(pools=(Pool("ram", "ram", None),), devices=(Device("cpu", "cpu", "CPU", "ram"),))
    plan = asked(machine=host)
    assert plan.verdict == "unknown"
    assert plan.largest_context_tokens is None


def test_the_cpu_beside_a_card_is_slow() -> None:
    plan = asked(placement={"devices": ()})
    assert plan.verdict == "slow"
    assert plan.placement.devices == ()
    assert [row.device for row in plan.memory.devices] == ["cpu"]
    assert asked(machine="64gb").verdict == "fits"


def test_two_cards_share_every_layer() -> None:
    plan = asked("qwen3-14b", PAIR)
    assert plan.verdict == "fits"
    assert (plan.placement.devices, plan.placement.split_mode) == (("cuda0", "cuda1"), "row")
    one, two = plan.memory.devices
    assert one.weights_bytes == two.weights_bytes < plan.model.file_bytes  # type: ignore[operator]
    assert words_of(plan)[-2:] == ["--tensor-parallel-size", "2"]
    assert "Tensor parallel over 2 devices." in plan.notes


def test_heads_that_do_not_divide_make_stages() -> None:
    plan = asked("qwen3-14b", "3x rtx-3090 + 64gb")
    assert "--pipeline-parallel-size" in words_of(plan)
    assert "--tensor-parallel-size" not in words_of(plan)
    assert plan.placement.split_mode == "layer"
    assert any("does not divide the 40 attention heads" in note for note in plan.notes)


def test_all_devices_take_the_fewest_blocks() -> None:
    machine = load_machine(PAIR)
    pools = tuple(
        replace(pool, used_bytes=4 * GIB) if pool.id == "vram1" else pool for pool in machine.pools
    )
    plan = asked("qwen3-14b", replace(machine, pools=pools))
    one, two = plan.memory.devices
    assert one.kv_cache_bytes == two.kv_cache_bytes


def test_a_cache_of_eight_bits_holds_twice_the_tokens() -> None:
    half = asked(workload={"kv_type_k": "fp8", "kv_type_v": "fp8"})
    tokens = [
        int(note.split(": ")[1].split()[0].replace(",", ""))
        for plan in (asked(), half)
        for note in plan.notes
        if note.startswith("GPU KV")
    ]
    assert tokens[1] == pytest.approx(2 * tokens[0], abs=32)
    assert words_of(half)[-2:] == ["--kv-cache-dtype", "fp8"]
    assert half.workload.kv_type_k == "fp8"


def test_the_command_writes_out_the_figures_of_the_plan() -> None:
    words = words_of(asked(workload={"context_tokens": 4096, "parallel": 8, "batch": 4096}))
    assert words == [
        *("vllm", "serve", "Qwen/Qwen3-8B", "--max-model-len", "4096"),
        *("--gpu-memory-utilization", "0.92", "--max-num-seqs", "8"),
        *("--max-num-batched-tokens", "4096"),
    ]


@pytest.mark.parametrize(
    ("model", "machine", "given"),
    [
        ("qwen3-8b", CARD, {}),
        ("qwen3-8b", CARD, {"file_type": "fp8"}),
        ("qwen3-8b", "tesla t4 + 32gb", {"file_type": "awq"}),
        ("qwen3-14b", "3x rtx-3090 + 64gb", {}),
        ("qwen3-14b", PAIR, {"workload": {"kv_type_k": "fp8", "kv_type_v": "fp8"}}),
        ("qwen3.6-35b-a3b", "h100 sxm5 80 gb", {"force": True}),
        ("gemma-3-27b", "h100 sxm5 80 gb", {}),
    ],
)
def test_every_flag_is_one_that_vllm_takes(model: str, machine: str, given: dict[str, Any]) -> None:
    words = words_of(asked(model, machine, **given))
    flags = {word for word in words if word.startswith("--")}
    assert flags
    assert flags <= FLAGS


def test_the_checkpoint_and_the_card_decide_about_further_flags() -> None:
    assert words_of(asked(file_type="fp8"))[-2:] == ["--quantization", "fp8"]
    assert "--quantization" not in words_of(asked("qwen3-8b", CARD, file_type="awq"))
    assert words_of(asked("qwen3-0.6b", "tesla t4 + 32gb"))[-2:] == ["--dtype", "half"]
    for model in ("gemma-3-4b", "gemma-4-e4b"):  # the second's entry is of its text part
        assert "--language-model-only" in words_of(asked(model))
    assert "--no-enable-prefix-caching" in words_of(asked("qwen3.5-4b"))


def test_a_checkpoint_that_has_to_be_found_is_said() -> None:
    plan = asked(file_type="awq")
    assert words_of(plan)[2] == "qwen3-8b-awq"
    assert any(note.startswith("qwen3-8b-awq stands for a checkpoint") for note in plan.notes)


def test_chosen_devices_are_the_only_ones_cuda_sees() -> None:
    plan = asked("qwen3-8b", PAIR, placement={"devices": ("cuda1",)})
    assert words_of(plan)[:3] == ["CUDA_VISIBLE_DEVICES=1", "vllm", "serve"]
    assert words_of(asked("qwen3-8b", PAIR))[0] == "vllm"
    unlike = "rtx 3060 12gb + rtx 4090 + 64gb"
    by_bus = asked("qwen3-0.6b", unlike, placement={"devices": ("cuda1",)})
    order = ["CUDA_DEVICE_ORDER=PCI_BUS_ID", "CUDA_VISIBLE_DEVICES=1", "vllm"]
    assert words_of(by_bus)[:3] == order


def test_a_program_that_uses_the_library_gets_a_line_of_python() -> None:
    plan = asked(workload={"program": "api"})
    words = words_of(plan)
    assert words[:2] == ["python3", "-c"]
    assert words[2] == (
        "from vllm import LLM; LLM('Qwen/Qwen3-8B', max_model_len=8192, "
        "gpu_memory_utilization=0.92, max_num_seqs=256, max_num_batched_tokens=8192)"
    )
    compile(words[2], "command", "exec")


@pytest.mark.parametrize(("tokens", "verdict"), [(32_768, "tight"), (40_960, "no")])
def test_what_is_tight_or_does_not_fit_is_told_what_would_help(tokens: int, verdict: str) -> None:
    plan = asked(workload={"context_tokens": tokens})
    assert plan.verdict == verdict
    by_key = {remedy.key: remedy for remedy in plan.remedies}
    assert by_key["context"].change == {"workload": {"context_tokens": plan.largest_context_tokens}}
    for remedy in plan.remedies:
        change = dict(remedy.change)
        workload = {"context_tokens": tokens, **change.pop("workload", {})}
        found = asked(workload=workload, **change)
        assert found.verdict == remedy.verdict != verdict
        assert found.memory.total_bytes == remedy.needs_bytes


@pytest.mark.parametrize(
    ("machine", "held_gib", "kept", "left"),
    [
        # 8 GiB decide for the 24 GiB beside them: each card takes half of the model
        ("rtx-3090 + rtx 3060 8gb + 64gb", {}, ("cuda0",), "cuda1 computes nothing"),
        ("2x rtx-3090 + rtx 3060 8gb + 64gb", {}, ("cuda0", "cuda1"), "cuda2 computes nothing"),
        ("3x rtx-3090 + 64gb", {"vram1": 23}, ("cuda0", "cuda2"), "cuda1 computes nothing"),
        ("3x rtx-3090 + 64gb", {"vram0": 23, "vram2": 22}, ("cuda1",), "cuda0 and cuda2 compute"),
    ],
)
def test_a_full_or_small_card_is_left_out_where_the_others_do_better(
    machine: str, held_gib: dict[str, int], kept: tuple[str, ...], left: str
) -> None:
    found = load_machine(machine)
    pools = [
        replace(pool, used_bytes=held_gib[pool.id] * GIB) if pool.id in held_gib else pool
        for pool in found.pools
    ]
    there = replace(found, pools=tuple(pools))
    plan = asked(machine=there)
    (remedy,) = (remedy for remedy in plan.remedies if remedy.key == "devices")
    assert plan.verdict in ("no", "tight")
    assert remedy.change == {"placement": {"devices": kept}}
    assert remedy.text.endswith(f"--device {','.join(kept)}")
    assert remedy.cost.startswith(left)
    without = asked(machine=there, placement={"devices": kept})
    assert (without.verdict, without.memory.total_bytes) == (remedy.verdict, remedy.needs_bytes)
    assert remedy.verdict == "fits"


def test_no_card_is_left_out_where_the_others_do_no_better() -> None:
    for machine in ("rtx-3090 + 64gb", "2x rtx 3060 8gb + 64gb"):
        plan = asked("qwen3-14b", machine)
        assert plan.verdict == "no"
        assert all(remedy.key != "devices" for remedy in plan.remedies)


def test_where_no_quantisation_helps_by_itself_a_shorter_context_goes_with_it() -> None:
    machine, tokens = "rtx 4090 + 64gb", 16_128
    plan = asked("qwen2.5-32b", machine, workload={"context_tokens": tokens})
    alone = asked("qwen2.5-32b", machine, workload={"context_tokens": tokens}, file_type="awq")
    assert plan.verdict == alone.verdict == "no"
    remedy, card = plan.remedies
    assert card.key == "machine"
    longest = alone.largest_context_tokens
    assert longest is not None
    assert longest < tokens
    assert remedy.change == {"file_type": "awq", "workload": {"context_tokens": longest}}
    found = asked("qwen2.5-32b", machine, **remedy.change)
    assert (found.verdict, found.memory.total_bytes) == (remedy.verdict, remedy.needs_bytes)
    assert remedy.verdict == "fits"


def test_no_context_is_told_that_is_too_short_to_be_of_use() -> None:
    plan = asked("qwen2.5-32b", "rtx 3060 12gb + 64gb")
    assert (plan.verdict, [remedy.key for remedy in plan.remedies]) == ("no", ["machine"])


def test_what_fits_needs_no_remedy() -> None:
    assert asked().remedies == ()


def test_every_number_has_its_reason() -> None:
    keys = [basis.key for basis in asked().basis]
    assert keys == [
        "memory.weights_bytes",
        "memory.kv_cache_bytes",
        "largest_context_tokens",
        "memory.compute_bytes",
        "memory.overhead_bytes",
        "memory.devices.free_bytes",
        "speed.decode_tokens_per_s",
        "speed.prefill_tokens_per_s",
        "speed.energy_per_million_tokens_kwh",
    ]
    assert all(b.formula and b.source and b.error for b in asked().basis)


def test_the_ranks_of_a_card_write_faster_than_one_and_slower_than_as_many_times() -> None:
    one, two = asked(), asked(machine="2x rtx-4090 + 64gb")
    for plan in (one, two):
        assert plan.speed is not None
        assert plan.speed.decode_tokens_per_s is not None
    alone, shared = one.speed.decode_tokens_per_s.mid, two.speed.decode_tokens_per_s.mid
    assert two.placement.split_mode == "row"
    assert alone < shared < 2 * alone


def test_a_gguf_model_is_refused() -> None:
    spec = load_model("qwen3-8b")
    with pytest.raises(InvalidRequestError, match="loaded as a checkpoint"):
        answer(
            spec,
            machine=load_machine(CARD),
            workload=Workload(),
            request=PlacementRequest(),
            runtime="vllm",
        )


@pytest.mark.parametrize("model", ["bge-m3", "deepseek-v4-flash", "rwkv7-0.4b", "bitnet-b1.58-2b"])
def test_models_that_vllm_does_not_load_are_refused_in_one_line(model: str) -> None:
    with pytest.raises(UnsupportedArchitectureError) as error:
        asked(model)
    assert "\n" not in str(error.value)
    assert "llama.cpp" in str(error.value)


@pytest.mark.parametrize("model", ["llama-3.1-8b", "gemma-3-12b", "gpt-oss-20b", "qwen3.5-4b"])
def test_more_memory_never_makes_the_longest_request_shorter(model: str) -> None:
    longest = [
        asked(model, held("rtx-5090 + 64gb", gib * GIB)).largest_context_tokens or 0
        for gib in (16, 8, 4, 2, 0)
    ]
    assert longest == sorted(longest)


def test_a_slice_of_a_card_is_named_by_its_uuid() -> None:
    found = load_machine(CARD)
    devices = tuple(
        replace(device, features=("cc8.0", "mig")) if device.kind == "cuda" else device
        for device in (*found.devices, replace(found.devices[0], id="cuda1", pool="vram1"))
    )
    pools = (*found.pools, replace(found.pools[0], id="vram1"))
    plan = asked(machine=replace(found, devices=devices, pools=pools))
    assert words_of(plan)[0] == "vllm"
    assert any("CUDA_VISIBLE_DEVICES to the UUID" in note for note in plan.notes)
