"""A request in vLLM's terms: defaults by device, and what means nothing there."""

from __future__ import annotations

from typing import Any

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.machine import Device, Machine, Pool
from whatfits.sizing.runtimes.vllm_devices import capability
from whatfits.sizing.runtimes.vllm_settings import VllmSettings, resolve_vllm
from whatfits.sizing.sources.published_checkpoint import load_published
from whatfits.sizing.units import GIB
from whatfits.sizing.workload import PlacementRequest, Workload

MODEL = load_published("qwen3-8b")


def settled(
    machine: str | Machine = "rtx-4090 + 64gb",
    *,
    placement: dict[str, Any] | None = None,
    **workload: Any,  # noqa: ANN401 - fields of a workload
) -> VllmSettings:
    return resolve_vllm(
        MODEL, load_machine(machine), Workload(**workload), PlacementRequest(**placement or {})
    )


def card(kind: str, gib: int, name: str = "card", *features: str) -> Machine:
    return Machine(
        pools=(Pool("vram0", "vram", gib * GIB), Pool("ram", "ram", 64 * GIB)),
        devices=(
            Device(f"{kind}0", kind, name, "vram0", features=features),
            Device("cpu", "cpu", "CPU", "ram"),
        ),
    )


@pytest.mark.parametrize(
    ("machine", "program", "batch", "sequences"),
    [
        (card("cuda", 180), "server", 16384, 1024),
        (card("cuda", 180), "api", 16384, 1024),
        (card("cuda", 80, "H100"), "server", 8192, 1024),
        (card("cuda", 80, "H100"), "api", 16384, 1024),
        (card("cuda", 80, "A100 SXM4 80 GB"), "server", 2048, 256),
        (card("cuda", 80, "A100 SXM4 80 GB"), "api", 8192, 256),
        (card("cuda", 121, "DGX Spark (GB10)"), "server", 2048, 256),
        (card("cuda", 24), "server", 2048, 256),
        (card("rocm", 24), "server", 2048, 256),
        ("64gb", "server", 2048, 128),
        ("64gb", "api", 4096, 256),
    ],
)
def test_batches_are_the_defaults_of_the_device(
    machine: str | Machine, program: str, batch: int, sequences: int
) -> None:
    found = settled(machine, program=program)
    assert (found.batch_tokens, found.sequences) == (batch, sequences)


def test_two_batches_are_on_the_way_and_one_more_a_stage() -> None:
    assert settled().in_flight_tokens == 2 * 2048
    pair = settled("2x rtx-3090 + 64gb", placement={"split_mode": "layer"})
    assert pair.in_flight_tokens == 3 * 2048


def test_a_request_has_8192_tokens_by_default_and_at_most_what_was_trained() -> None:
    assert settled().request_tokens == 8192
    assert settled(context_tokens=40_960).request_tokens == 40_960
    with pytest.raises(InvalidRequestError, match="at most 40,960"):
        settled(context_tokens=40_961)


@pytest.mark.parametrize("kind", [None, "f16", "bf16", "auto", "F16"])
def test_the_cache_has_the_models_own_type_by_default(kind: str | None) -> None:
    assert settled(kv_type_k=kind, kv_type_v=kind).cache_type == "auto"


@pytest.mark.parametrize("kind", ["fp8", "fp8_e4m3"])
def test_the_cache_can_have_eight_bits(kind: str) -> None:
    assert settled(kv_type_k=kind, kv_type_v=kind).cache_type == "fp8"


@pytest.mark.parametrize(("keys", "values"), [("q8_0", "q8_0"), ("fp8", "f16"), (None, "fp8")])
def test_other_cache_types_are_refused(keys: str | None, values: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"auto \(f16, bf16\), fp8"):
        settled(kv_type_k=keys, kv_type_v=values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("micro_batch", 512),
        ("flash_attention", "on"),
        ("kv_unified", True),
        ("swa_full", False),
        ("outputs_max", 1),
        ("model_draft", "qwen3-0.6b"),
        ("spec_type", "draft-simple"),
        ("spec_type", "draft-mtp"),
        ("spec_draft_n_max", 3),
        ("kv_type_k_draft", "f16"),
        ("mmproj", "mmproj.gguf"),
        ("lora", ("adapter.gguf",)),
        ("cache_ram_mib", 0),
        ("ctx_checkpoints", 4),
    ],
)
def test_settings_of_other_programs_are_refused_in_one_line(field: str, value: object) -> None:
    with pytest.raises(InvalidRequestError) as error:
        settled(**{field: value})
    assert f"{field} for vllm" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gpu_layers", 20),
        ("tensor_split", (1.0, 1.0)),
        ("cpu_moe_layers", 0),
        ("overrides", (("ffn", "CPU"),)),
        ("kv_offload", False),
        ("op_offload", False),
        ("mmap", False),
        ("repack", "off"),
    ],
)
def test_placements_of_other_programs_are_refused_in_one_line(field: str, value: object) -> None:
    with pytest.raises(InvalidRequestError) as error:
        settled(placement={field: value})
    assert f"{field} for vllm" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("parallel", 0), ("batch", True), ("context_tokens", -1), ("prompt_tokens", 0)],
)
def test_numbers_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidRequestError, match=field):
        settled(**{field: value})


def test_a_batch_has_a_token_for_each_request() -> None:
    assert settled(batch=16).sequences == 16
    with pytest.raises(InvalidRequestError, match="at least 32"):
        settled(batch=16, parallel=32)


def test_a_mac_is_sent_to_other_programs() -> None:
    with pytest.raises(InvalidRequestError, match=r"llama\.cpp on a Mac, or mlx for one user"):
        settled("mac-m4-max-64gb")


def test_an_intel_card_is_refused_and_its_host_is_not() -> None:
    with pytest.raises(InvalidRequestError, match="CUDA or ROCm"):
        settled("arc b580 + 32gb")
    assert settled("arc b580 + 32gb", placement={"devices": ()}).on_host


def test_a_card_that_is_too_old_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match=r"compute capability 6\.1"):
        settled(card("cuda", 11, "GTX 1080 Ti", "cc6.1"))
    with pytest.raises(InvalidRequestError, match=r"7\.5 or more"):  # CUDA 13 has no Volta
        settled(card("cuda", 16, "V100", "cc7.0"))
    assert not settled(card("cuda", 16, "T4", "cc7.5")).on_host


def test_devices_of_one_back_end_take_part() -> None:
    both = Machine(
        pools=(
            Pool("vram0", "vram", 24 * GIB),
            Pool("vram1", "vram", 24 * GIB),
            Pool("ram", "ram", 64 * GIB),
        ),
        devices=(
            Device("rocm0", "rocm", "a", "vram0"),
            Device("cuda0", "cuda", "b", "vram1"),
            Device("cpu", "cpu", "CPU", "ram"),
        ),
    )
    assert [device.id for device in settled(both).devices] == ["rocm0"]
    chosen = settled(both, placement={"devices": ("cuda0",)})
    assert [device.id for device in chosen.devices] == ["cuda0"]
    with pytest.raises(InvalidRequestError, match="one kind"):
        settled(both, placement={"devices": ("rocm0", "cuda0")})
    with pytest.raises(InvalidRequestError, match="cuda7"):
        settled(both, placement={"devices": ("cuda7",)})


def test_one_device_can_be_asked_for() -> None:
    pair = "2x rtx-3090 + 64gb"
    assert settled(pair).cut.ranks == 2
    assert len(settled(pair, placement={"split_mode": "none"}).devices) == 1


@pytest.mark.parametrize(
    ("feature", "kv_type", "tokens"),
    [
        ("cc8.9", None, 16),
        ("cc9.0", None, 16),  # FlashAttention
        ("cc9.0", "fp8", 64),  # FlashMLA
        ("cc10.0", None, 32),  # FlashInfer
        ("cc10.0", "fp8", 32),
    ],
)
def test_latent_blocks_are_those_of_the_kernel(
    feature: str, kv_type: str | None, tokens: int
) -> None:
    found = settled(card("cuda", 80, "card", feature), kv_type_k=kv_type, kv_type_v=kv_type)
    assert found.latent_block_tokens == tokens


def test_slices_of_a_card_are_not_joined() -> None:
    slices = Machine(
        pools=(
            Pool("vram0", "vram", 20 * GIB, used_bytes=14 * GIB),
            Pool("vram1", "vram", 20 * GIB),
            Pool("ram", "ram", 64 * GIB),
        ),
        devices=(
            Device("cuda0", "cuda", "A100 MIG 2g.20gb", "vram0", features=("cc8.0", "mig")),
            Device("cuda1", "cuda", "A100 MIG 2g.20gb", "vram1", features=("cc8.0", "mig")),
            Device("cpu", "cpu", "CPU", "ram"),
        ),
    )
    assert [device.id for device in settled(slices).devices] == ["cuda1"]
    with pytest.raises(InvalidRequestError, match="one slice of a card"):
        settled(slices, placement={"devices": ("cuda0", "cuda1")})


@pytest.mark.parametrize("feature", ["ccnan", "ccinf", "cc", "cc1e9", "cc8.9.1"])
def test_a_capability_that_is_none_is_not_known(feature: str) -> None:
    assert capability(Device("cuda0", "cuda", "card", "vram0", features=(feature,))) is None
