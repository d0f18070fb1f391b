"""Speed worked out by hand: the terms of small cases, and what a calibration changes."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import check, load_machine, load_model
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Device
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speed_attention import prompt_attention_flops
from whatfits.sizing.speed_costs import costs_of
from whatfits.sizing.speed_drafts import tokens_per_step
from whatfits.sizing.speed_families import family_of
from whatfits.sizing.speed_rates import peak_rates
from whatfits.sizing.speed_terms import (
    Rates,
    cut_over_ranks,
    decode_terms,
    is_of_rows,
    prompt_terms,
)
from whatfits.sizing.speed_work import step_work, touched_share
from whatfits.sizing.weights import WeightTable
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import Speed

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
    assert by_cost["layer",] == 32
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
    cut = cut_over_ranks(terms, 2)
    whole = {term.costs: term.amount for term in terms}
    halves = {term.costs: term.amount for term in cut}
    assert halves["weights.Q4_K",] == whole["weights.Q4_K",] / 2
    assert halves["layer",] == whole["layer",]
    assert halves["hop",] == 64
    assert cut_over_ranks(terms, 1) == terms


@pytest.mark.parametrize(
    ("kind", "name", "features", "family"),
    [
        ("cuda", "GeForce RTX 4090", ("cc8.9",), ("cuda", "ada")),
        ("cuda", "A100", ("cc8.0",), ("cuda", "ampere-hbm")),
        ("cuda", "GB10", ("cc12.1", "unified"), ("cuda", "gb10")),
        ("rocm", "8060S", ("gfx1151",), ("rocm", "rdna3.5")),
        ("metal", "Apple M4 Max", (), ("metal", "m4")),
        ("cuda", "a card", (), ("cuda", None)),
    ],
)
def test_families(kind: str, name: str, features: tuple[str, ...], family: object) -> None:
    assert family_of(Device("d", kind, name, "p", features=features)) == family


def test_what_is_known_least_has_the_widest_interval() -> None:
    known = costs_of(Device("d", "cuda", "NVIDIA GeForce RTX 4090", "p", features=("cc8.9",)))
    family = costs_of(Device("d", "cuda", "GeForce RTX 4060", "p", features=("cc8.9",)))
    unknown = costs_of(Device("d", "sycl", "a card", "p"))
    assert [c.level for c in (known, family, unknown)] == ["device", "family", "unknown"]
    for ends in ("decode_interval", "prompt_interval"):
        widths = [
            getattr(costs, ends)[1] - getattr(costs, ends)[0] for costs in (known, family, unknown)
        ]
        assert widths == sorted(widths)
        assert widths[0] > 0.1


def test_energy_is_the_power_limit_over_the_rate() -> None:
    speed = check("llama-3.1-8b", machine=CARD).speed
    assert speed is not None
    assert speed.decode_tokens_per_s is not None
    assert speed.energy_per_million_tokens_kwh is not None
    kwh = 450 * 1e6 / speed.decode_tokens_per_s.mid / 3.6e6
    assert speed.energy_per_million_tokens_kwh.mid == pytest.approx(kwh, rel=0.01)


def test_a_guessed_memory_speed_is_said_and_widens_the_interval() -> None:
    known, guessed = (
        check("llama-3.1-8b", machine=name).speed for name in ("64gb ddr5-4800", "64gb")
    )
    assert known is not None
    assert guessed is not None
    assert known.reason is None or "system memory" not in known.reason
    assert guessed.reason is not None
    assert "system memory is not known" in guessed.reason
    assert known.decode_tokens_per_s is not None
    assert guessed.decode_tokens_per_s is not None
    assert guessed.decode_tokens_per_s.mid == pytest.approx(known.decode_tokens_per_s.mid)
    assert guessed.decode_tokens_per_s.high > known.decode_tokens_per_s.high * exp(0.05)


@pytest.mark.parametrize(
    ("machine", "assumed"),
    [
        # two channels, DDR4-3200 to DDR5-7200: 2 x 8 bytes x 3,200 to 7,200 MT/s
        ("256gb", "51 to 115 GB/s"),
        # more than four modules of 64 GiB: 4 x 8 x 2,133 to 12 x 8 x 6,400
        ("384gb", "68 to 614 GB/s"),
        ("rtx 4090 + 384gb", "68 to 614 GB/s"),
    ],
)
def test_more_memory_than_a_pc_takes_is_assumed_to_be_a_server_s(
    machine: str, assumed: str
) -> None:
    speed = check("deepseek-v2-lite", file_type="F16", machine=machine).speed
    assert speed is not None
    assert speed.reason is not None
    assert assumed in speed.reason


def test_channels_that_were_told_set_the_pace_of_a_server() -> None:
    eight, twelve = (
        check("deepseek-v3", machine=f"768gb ddr5-4800 {channels} channels").speed
        for channels in (8, 12)
    )
    assert eight is not None
    assert twelve is not None
    assert eight.decode_tokens_per_s is not None
    assert twelve.decode_tokens_per_s is not None
    assert "system memory" not in (twelve.reason or "")
    ratio = twelve.decode_tokens_per_s.mid / eight.decode_tokens_per_s.mid
    assert 1.2 < ratio < 1.5


def test_tokens_of_a_step_with_drafts_by_hand() -> None:
    assert tokens_per_step(0.0, 3) == 1
    assert tokens_per_step(0.5, 3) == 1 + 0.5 + 0.25 + 0.125
    assert tokens_per_step(1.0, 3) == 4


def test_a_small_model_that_drafts_speeds_a_large_one_up_and_a_large_one_does_not() -> None:
    def rates(draft: str) -> tuple[float, float]:
        speed = check(
            "llama-3.1-70b", machine="2x rtx-3090 + 64gb", workload={"model_draft": draft}
        ).speed
        assert speed is not None
        assert speed.decode_tokens_per_s is not None
        assert speed.speculative_tokens_per_s is not None
        assert speed.speculative_tokens_per_s.low < speed.speculative_tokens_per_s.high
        return speed.decode_tokens_per_s.mid, speed.speculative_tokens_per_s.mid

    plain, small = rates("llama-3.2-1b")
    assert 1.3 * plain < small < 4 * plain
    _, large = rates("llama-3.1-8b")
    assert large < small


def test_a_guessed_memory_speed_widens_what_drafts_bring() -> None:
    known, guessed = (
        check(
            "qwen3-32b",
            machine=f"rtx 4090 + {ram}",
            workload={"model_draft": "qwen3-0.6b", "context_tokens": 16_384},
        ).speed
        for ram in ("64gb ddr5-4800", "64gb")
    )
    assert known is not None
    assert guessed is not None
    told, wide = known.speculative_tokens_per_s, guessed.speculative_tokens_per_s
    assert told is not None
    assert wide is not None
    assert wide.mid == told.mid
    assert wide.low < told.low * exp(-0.05)
    assert wide.high > told.high * exp(0.05)


def test_nothing_is_told_of_drafts_that_nobody_makes() -> None:
    speed = check("llama-3.1-8b", machine=CARD).speed
    assert speed is not None
    assert speed.speculative_tokens_per_s is None
    assert speed.throughput_tokens_per_s is None


def speed_of(machine: str, **more: object) -> Speed:
    plan = check("llama-3.1-8b", machine=machine, **more)  # type: ignore[arg-type]
    assert plan.speed is not None
    return plan.speed


def test_equal_cards_are_no_surer_than_one() -> None:
    def width(machine: str) -> float:
        rate = speed_of(machine).decode_tokens_per_s
        assert rate is not None
        return rate.high / rate.low

    assert width("4x rtx-3090 + 64gb") >= 0.98 * width("rtx-3090 + 64gb")


def test_cards_that_wait_for_each_other_take_no_more_energy() -> None:
    one = speed_of("rtx-3090 + 64gb").energy_per_million_tokens_kwh
    four = speed_of("4x rtx-3090 + 64gb").energy_per_million_tokens_kwh
    assert one is not None
    assert four is not None
    assert four.mid == pytest.approx(one.mid, rel=0.1)


def test_the_first_token_comes_with_the_prompt() -> None:
    speed = speed_of("rtx-4090 + 64gb", workload={"prompt_tokens": 512})
    assert speed.prefill_tokens_per_s is not None
    assert speed.time_to_first_token_s is not None
    expected = 512 / speed.prefill_tokens_per_s.mid
    assert speed.time_to_first_token_s.mid == pytest.approx(expected, rel=0.02)


def test_a_prompt_longer_than_the_context_is_said_to_be_cut() -> None:
    speed = speed_of("rtx-4090 + 64gb", workload={"context_tokens": 4096, "prompt_tokens": 9000})
    assert "longer than the context" in (speed.reason or "")


def test_attention_over_a_cache_on_the_host_is_the_hosts() -> None:
    speed = speed_of("rtx-4090 + 64gb", placement={"kv_offload": False})
    assert speed.prefill_tokens_per_s is None
    assert "the arithmetic rate of CPU is not known" in (speed.reason or "")


def test_nothing_is_told_of_many_at_once_without_an_arithmetic_rate() -> None:
    many = {"parallel": 8, "context_tokens": 65536}
    assert speed_of("64gb", workload=many).throughput_tokens_per_s is None
    assert speed_of("rtx-4090 + 64gb", workload=many).throughput_tokens_per_s is not None


@pytest.mark.parametrize("name", ["bandwidth_bytes_per_s", "fp16_flops_per_s", "power_watts"])
@pytest.mark.parametrize("rate", [0, -5])
def test_a_rate_that_nothing_can_have_is_bad_input(name: str, rate: int) -> None:
    machine = {
        "pools": [{"id": "ram", "kind": "ram", "total_bytes": 2**36, "used_bytes": 0}],
        "devices": [{"id": "cpu", "kind": "cpu", "name": "CPU", "pool": "ram", name: rate}],
    }
    with pytest.raises(InvalidRequestError, match=name):
        load_machine(machine)


@pytest.mark.parametrize("file_type", ["F16", "Q8_0", "Q4_K_M"])
@pytest.mark.parametrize(
    "name", ["m3 max 64gb", "rtx-4090 + 64gb", "rtx-5090 + 64gb", "h100 sxm + 64gb"]
)
def test_no_end_of_a_range_reads_weights_faster_than_memory_is(name: str, file_type: str) -> None:
    machine = load_machine(name)
    spec = load_model("llama-3.1-8b", file_type=file_type)
    rate = speed_of(name, file_type=file_type).decode_tokens_per_s
    assert rate is not None
    placement = resolve_placement(spec, PlacementRequest(), machine)
    read_bytes = sum(step_work(spec, placement).devices[0].dense_bytes.values())
    at_peak = (placement.accelerators[0].bandwidth_bytes_per_s or 0) / read_bytes
    assert rate.high <= max(1.001 * at_peak, rate.mid)


def test_llama_cpp_reaches_a_hopper_cards_peak_by_the_share_of_its_instructions() -> None:
    def flops(card: str, engine: str | None) -> float | None:
        machine = load_machine(card)
        return peak_rates(machine.accelerators, machine, engine)[0].flops

    # arXiv 2501.12084: mma attains 62.9 % of Hopper's peak, which wgmma sets; vLLM uses that
    assert flops("h100-pcie", None) == pytest.approx(0.629 * 756e12)
    assert flops("h100-pcie", "vllm") == 756e12
    assert flops("rtx-4090", None) == flops("rtx-4090", "vllm")


def test_a_full_context_is_told_beside_the_prompts_depth() -> None:
    def told(context_tokens: int, prompt_tokens: int | None = None) -> Speed | None:
        asked = Workload(context_tokens=context_tokens, prompt_tokens=prompt_tokens)
        return check("llama-3.1-8b", machine=CARD, workload=asked).speed

    short, long, asked = told(8192), told(131072), told(131072, 131072)
    assert short is not None
    assert long is not None
    assert asked is not None
    assert short.depth_tokens == long.depth_tokens == 512
    assert (short.full_depth_tokens, long.full_depth_tokens) == (8192, 131072)
    assert short.decode_tokens_per_s == long.decode_tokens_per_s
    assert short.full_decode_tokens_per_s is not None
    assert long.full_decode_tokens_per_s is not None
    assert long.full_decode_tokens_per_s.mid < short.full_decode_tokens_per_s.mid / 2
    # the same as where the prompt fills it; then there is nothing more to tell
    assert asked.decode_tokens_per_s == long.full_decode_tokens_per_s
    assert asked.full_decode_tokens_per_s is None
    assert asked.full_depth_tokens is None
