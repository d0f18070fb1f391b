"""Speed in answers: intervals, guesses, energy, and what is not told."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.api import check, load_machine, load_model
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Device
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.speed.costs import costs_of, efficiencies, read_costs
from whatfits.sizing.speed.families import family_of
from whatfits.sizing.speed.work import step_work
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.estimate import RateRange, Speed
    from whatfits.sizing.machine import Machine

CARD = "rtx-4090 + 64gb"


def speed_of(machine: str, **more: object) -> Speed:
    plan = check("llama-3.1-8b", machine=machine, **more)  # type: ignore[arg-type]
    assert plan.speed is not None
    return plan.speed


@pytest.mark.parametrize(
    ("kind", "name", "features", "family"),
    [
        ("cuda", "GeForce RTX 4090", ("cc8.9",), ("cuda", "ada")),
        ("cuda", "A100", ("cc8.0",), ("cuda", "ampere-hbm")),
        ("cuda", "GB10", ("cc12.1", "unified"), ("cuda", "gb10")),
        ("cuda", "GeForce RTX 5090", ("cc12.0",), ("cuda", "blackwell")),
        # with HBM, as P100 and A100 are: other chips of their generations
        ("cuda", "B200", ("cc10.0",), ("cuda", "blackwell-hbm")),
        ("cuda", "B300", ("cc10.3",), ("cuda", "blackwell-hbm")),
        ("cuda", "Tesla P100", ("cc6.0",), ("cuda", "pascal-hbm")),
        ("cuda", "Tesla P40", ("cc6.1",), ("cuda", "pascal")),
        # Jetsons: neither the memory nor the processor of the cards of their architecture
        ("cuda", "Jetson AGX Xavier 32 GB", ("cc7.2", "unified"), ("cuda", "xavier")),
        ("cuda", "Jetson Orin Nano Super", ("cc8.7", "unified"), ("cuda", "orin")),
        ("cuda", "Jetson AGX Thor", ("cc11.0", "unified"), ("cuda", "thor")),
        ("rocm", "8060S", ("gfx1151",), ("rocm", "rdna3.5")),
        ("rocm", "Radeon RX 5700 XT", ("gfx1010",), ("rocm", "rdna1")),
        ("rocm", "Radeon RX 6800", ("gfx1030",), ("rocm", "rdna2")),
        ("rocm", "Instinct MI50", ("gfx906",), ("rocm", "gcn5")),
        ("rocm", "Instinct MI210", ("gfx90a",), ("rocm", "cdna")),
        ("rocm", "Instinct MI300X", ("gfx942",), ("rocm", "cdna")),
        ("metal", "Apple M4 Max", (), ("metal", "m4")),
        ("cuda", "a card", (), ("cuda", None)),
        # matrix units that Vulkan's shaders use, too; older cards have none
        ("vulkan", "GeForce RTX 4090", ("cc8.9",), ("cuda", "vulkan")),
        ("vulkan", "GeForce GTX 1080", ("cc6.1",), ("vulkan", "pascal")),
        ("vulkan", "8060S", ("gfx1151",), ("vulkan", "rdna3.5")),
    ],
)
def test_families(kind: str, name: str, features: tuple[str, ...], family: object) -> None:
    assert family_of(Device("d", kind, name, "p", features=features)) == family


def test_a_device_is_known_by_two_models_of_a_phase_and_by_one_as_its_family_is() -> None:
    fitted = efficiencies()
    assert fitted["models"]["cuda:geforce rtx 4070"] == {"decode": 1, "prefill": 1}
    card = Device("d", "cuda", "GeForce RTX 4070", "vram0", features=("cc8.9",))
    once = read_costs(fitted, card, None)
    assert (once.level, once.prompt_level) == ("family", "family")
    assert once.factors  # what was seen of it counts all the same
    models = {**fitted["models"], "cuda:geforce rtx 4070": {"decode": 2, "prefill": 1}}
    twice = read_costs({**fitted, "models": models}, card, None)
    assert (twice.level, twice.prompt_level) == ("device", "family")
    wide, narrow = (costs.decode_interval for costs in (once, twice))
    assert wide[0] < narrow[0] < 0 < narrow[1] <= wide[1]


def test_a_card_has_factors_of_its_own_where_vulkan_runs_it() -> None:
    features = ("cc8.9",)
    cuda, vulkan = (
        costs_of(Device("d", kind, "NVIDIA GeForce RTX 4090", "vram0", features=features))
        for kind in ("cuda", "vulkan")
    )
    assert [c.family for c in (cuda, vulkan)] == ["cuda:ada", "cuda:vulkan"]
    assert [c.level for c in (cuda, vulkan)] == ["device", "device"]
    assert cuda.factors != vulkan.factors
    # its prompts are in the half that judges; under Vulkan too few cards' were fitted on
    assert [c.prompt_level for c in (cuda, vulkan)] == ["family", "unknown"]


@pytest.mark.parametrize(
    ("name", "capability", "engine"),
    [("Tesla T4", "cc7.5", None), ("GeForce RTX 5090", "cc12.0", "vllm")],
)
def test_a_family_whose_prompts_nobody_measured_tells_writing_alone(
    name: str, capability: str, engine: str | None
) -> None:
    costs = costs_of(Device("d", "cuda", name, "vram0", features=(capability,)), engine)
    seen = efficiencies()["figures"][costs.family]
    assert seen["decode"]
    assert "prefill" not in seen
    assert costs.level in ("device", "family")
    assert costs.prompt_level == "unknown"


def test_processors_of_arm_are_a_family_apart_and_none_is_known_for_sure() -> None:
    x86 = Device("cpu", "cpu", "CPU", "ram", 83_200_000_000, features=("avx2",))
    arm = Device("cpu", "cpu", "CPU", "ram", 83_200_000_000, features=("neon", "dotprod"))
    assert [family_of(device) for device in (x86, arm)] == [("cpu", None), ("cpu", "arm")]
    costs = [costs_of(device) for device in (x86, arm)]
    assert [c.family for c in costs] == ["cpu", "cpu:arm"]
    # memory of the same speed is read at half or nine tenths, whatever the name
    assert {c.level for c in costs} == {"unknown"}
    # what it multiplies at follows from its cores; of ARM's kinds too few were fitted on
    assert [c.prompt_level for c in costs] == ["family", "unknown"]


def test_more_cores_gain_less_than_the_memory_they_come_with() -> None:
    def writes(gigabytes_per_s: int, cores: int) -> float:
        machine = {
            "pools": [{"id": "ram", "kind": "ram", "total_bytes": 2**39, "used_bytes": 0}],
            "devices": [
                {
                    "id": "cpu",
                    "kind": "cpu",
                    "name": "CPU",
                    "pool": "ram",
                    "bandwidth_bytes_per_s": gigabytes_per_s * 10**9,
                    "cores": cores,
                }
            ],
        }
        speed = check("llama-3.2-3b", machine=machine).speed
        assert speed is not None
        assert speed.decode_tokens_per_s is not None
        return speed.decode_tokens_per_s.mid

    # a small model on 192 threads: four times the memory, not twice the speed
    assert writes(80, 8) < writes(320, 192) < 2 * writes(80, 8)
    assert writes(320, 192) < writes(320, 32)


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


@pytest.mark.parametrize(
    ("machine", "assumed", "gbs"),
    [
        # Apple's own figures: M1 68.25 GB/s, M4 Pro 273 GB/s; AMD's of a Strix Halo: 256 GB/s
        ("m1 8gb", "30 to 68 GB/s", 68.3e9),
        ("m4 pro 24gb", "121 to 273 GB/s", 273e9),
        ("strix halo 128gb", "114 to 256 GB/s", 256e9),
    ],
)
def test_a_processor_reads_shared_memory_at_most_as_fast_as_the_memory_is(
    machine: str, assumed: str, gbs: float
) -> None:
    alone = check("llama-3.2-3b", machine=machine, placement={"devices": []})
    part = check("llama-3.2-3b", machine=machine, placement={"gpu_layers": 3})
    read = alone.memory.weights_bytes
    for plan in (alone, part):
        assert plan.speed is not None
        assert plan.speed.reason is not None
        assert assumed in plan.speed.reason
        assert plan.speed.decode_tokens_per_s is not None
        assert plan.speed.decode_tokens_per_s.high * read <= gbs * 1.005


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


def _with_told_processor(machine: str) -> Machine:
    known = load_machine(machine)
    told = {"features": ("avx2",), "cores": 8, "clock_hz": 4_500_000_000}
    devices = [replace(d, **told) if d.kind == "cpu" else d for d in known.devices]
    return replace(known, devices=tuple(devices))


@pytest.mark.parametrize(
    ("placement", "prompt_tokens"),
    [({"kv_offload": False}, 512), ({"op_offload": False}, 512), ({}, 16)],
)
def test_what_the_host_computes_of_a_prompt_takes_its_own_rate(
    placement: dict[str, bool], prompt_tokens: int
) -> None:
    def reads(machine: str | Machine, **placement: object) -> RateRange | None:
        workload = {"prompt_tokens": prompt_tokens, "context_tokens": 4096}
        plan = check(
            "llama-3.1-8b",
            machine=machine,
            workload=workload,
            placement={"gpu_layers": 20} | placement,
        )
        assert plan.speed is not None
        return plan.speed.prefill_tokens_per_s

    assert reads(CARD, **placement) is None
    mixed = reads(_with_told_processor(CARD), **placement)
    alone = reads(_with_told_processor("64gb"), gpu_layers=0)
    assert mixed is not None
    assert alone is not None
    assert mixed.mid > alone.mid


def test_weights_that_are_copied_for_a_prompt_need_nothing_of_the_processor() -> None:
    placement = {"gpu_layers": 20}
    told = check("llama-3.1-8b", machine=_with_told_processor(CARD), placement=placement).speed
    assert told is not None
    assert told.prefill_tokens_per_s == speed_of(CARD, placement=placement).prefill_tokens_per_s


def test_nothing_is_told_of_many_at_once_without_an_arithmetic_rate() -> None:
    many = {"parallel": 8, "context_tokens": 65536}
    assert speed_of("64gb", workload=many).throughput_tokens_per_s is None
    told = check("llama-3.1-8b", machine=_with_told_processor("64gb"), workload=many).speed
    assert told is not None
    assert told.throughput_tokens_per_s is not None
    assert speed_of("rtx-4090 + 64gb", workload=many).throughput_tokens_per_s is not None


@pytest.mark.parametrize(
    "name",
    [
        *("bandwidth_bytes_per_s", "fp16_flops_per_s", "power_watts"),
        *("cores", "fast_cores", "clock_hz"),
    ],
)
@pytest.mark.parametrize("rate", [0, -5])
def test_a_rate_that_nothing_can_have_is_bad_input(name: str, rate: int) -> None:
    machine = {
        "pools": [{"id": "ram", "kind": "ram", "total_bytes": 2**36, "used_bytes": 0}],
        "devices": [{"id": "cpu", "kind": "cpu", "name": "CPU", "pool": "ram", name: rate}],
    }
    with pytest.raises(InvalidRequestError, match=name):
        load_machine(machine)


@pytest.mark.parametrize(("fast", "is_good"), [(0.5, True), (float("nan"), False)])
def test_less_than_one_core_is_what_a_quota_may_leave(fast: float, *, is_good: bool) -> None:
    machine = {
        "pools": [{"id": "ram", "kind": "ram", "total_bytes": 2**36, "used_bytes": 0}],
        "devices": [{"id": "cpu", "kind": "cpu", "name": "CPU", "pool": "ram", "fast_cores": fast}],
    }
    if is_good:
        assert load_machine(machine).devices[0].fast_cores == fast
    else:
        with pytest.raises(InvalidRequestError, match="fast_cores"):
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
