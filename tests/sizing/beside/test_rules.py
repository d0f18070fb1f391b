"""Single rules of what is counted beside weights and cache."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.flash_attention import all_can_fuse
from whatfits.sizing.growth import NO_GROWTH, checkpoint_bytes, growth_of
from whatfits.sizing.machine import Device, MeasuredOverhead
from whatfits.sizing.model import LatentAttention
from whatfits.sizing.overhead import Overhead, device_overhead, overhead_of, process_overhead
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.speculation import draft_type
from whatfits.sizing.units import MIB
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import OnOff


def test_what_was_measured_here_comes_before_what_was_read_of_others(gpu_box: Machine) -> None:
    first, second, cpu = gpu_box.devices
    measured = MeasuredOverhead(first.id, 1 * MIB, 2 * MIB, 3 * MIB, "5 loads")
    of_host = MeasuredOverhead(cpu.id, 4, 5, 6, "5 loads")
    machine = replace(gpu_box, overheads=(measured, of_host))
    assert overhead_of(machine, first, is_server=True) == (1 * MIB, 2 * MIB, 3 * MIB, "5 loads")
    assert overhead_of(machine, second, is_server=True) == device_overhead("cuda")
    assert overhead_of(machine, cpu, is_server=True) == Overhead(4, 5, 6, "5 loads")
    assert overhead_of(gpu_box, cpu, is_server=True) == process_overhead(is_server=True)
    assert overhead_of(machine, cpu, is_server=False)[:3] == (0, 0, 0)


def test_a_back_end_without_a_log_has_the_widest_interval() -> None:
    unknown = device_overhead("unheard-of")
    known = [device_overhead(kind) for kind in ("cuda", "rocm", "vulkan", "metal", "sycl")]
    assert unknown.low_bytes == min(one.low_bytes for one in known)
    assert unknown.high_bytes == max(one.high_bytes for one in known)


@pytest.mark.parametrize(
    ("kind", "key", "value", "group", "fuses"),
    [
        ("cuda", 128, 128, 1, True),
        ("cuda", 128, 64, 1, False),
        ("cuda", 100, 100, 1, False),
        ("cuda", 512, 512, 1, False),
        ("cuda", 512, 512, 2, True),
        ("cuda", 192, 128, 8, True),
        ("cuda", 192, 128, 4, False),
        ("cuda", 192, 192, 8, False),
        ("metal", 72, 72, 1, True),
        ("metal", 72, 64, 1, False),
        ("metal", 128, 64, 1, True),
        ("metal", 128, 192, 1, False),
        ("metal", 100, 100, 1, False),
        ("vulkan", 72, 64, 1, True),
        ("vulkan", 100, 64, 1, False),
        ("vulkan", 64, 100, 1, False),
        ("cpu", 100, 100, 1, True),
    ],
)
def test_each_back_end_fuses_the_heads_it_has_kernels_for(
    plain_model: ModelSpec, kind: str, key: int, value: int, group: int, *, fuses: bool
) -> None:
    layer = replace(
        plain_model.layers[0], key_length=key, value_length=value, n_head=group, n_head_kv=1
    )
    device = Device("x", kind, "x", "vram0")
    assert all_can_fuse(replace(plain_model, layers=(layer,)), [device]) is fuses


@pytest.mark.parametrize(("heads", "fuses"), [(2, True), (3, False)])
def test_latent_attention_reads_one_row_as_key_and_its_front_as_value(
    plain_model: ModelSpec, heads: int, *, fuses: bool
) -> None:
    layer = replace(plain_model.layers[0], attention=LatentAttention(576), n_head=heads)
    hparams = replace(plain_model.hparams, kv_lora_rank=512)
    metadata = {**plain_model.metadata, "llama.attention.key_length": 576}
    latent = replace(plain_model, layers=(layer,), hparams=hparams, metadata=metadata)
    assert all_can_fuse(latent, [Device("x", "cuda", "x", "vram0")]) is fuses


def test_a_device_that_says_it_has_no_fused_attention_has_none(plain_model: ModelSpec) -> None:
    old = Device("x", "cuda", "x", "vram0", features=("no_flash_attention",))
    assert not all_can_fuse(plain_model, [old])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"spec_type": "by-heart"}, "draft-simple"),
        ({"spec_type": "draft-simple"}, "without a draft model"),
        ({"spec_type": "draft-mtp", "model_draft": "x.gguf"}, "with a draft model"),
    ],
)
def test_a_kind_of_draft_that_does_not_go_is_refused(asked: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        draft_type(Workload(**asked))  # type: ignore[arg-type]


@pytest.mark.parametrize("flash", ["on", "off"])
def test_a_checkpoint_holds_the_cells_that_windows_still_see(
    window_model: ModelSpec, flash: OnOff
) -> None:
    workload = Workload(context_tokens=1024, flash_attention=flash, program="server")
    found = checkpoint_bytes(window_model, resolve_settings(window_model, workload))
    # five windows of 256 tokens, two heads of 32 values; a value's type is told in twelve bytes
    # whether it lies in a row or in a column
    cells, row = 256, 2 * 32 * 2
    assert found == 8 + 4 + 4 + 8 + 12 * cells + 5 * 2 * (12 + cells * row)


def test_a_checkpoint_holds_every_cell_of_a_draft_model_and_latent_rows_once(
    window_model: ModelSpec, plain_model: ModelSpec
) -> None:
    workload = Workload(context_tokens=1024, program="server")
    settings = resolve_settings(window_model, workload)
    layers = tuple(replace(one, attention=LatentAttention(96)) for one in plain_model.layers)
    draft = replace(plain_model, layers=layers)
    alone = growth_of(window_model, settings, workload).checkpoint_bytes
    beside = growth_of(window_model, settings, workload, draft=draft).checkpoint_bytes
    cells = 1024
    assert beside - alone == 8 + 4 + 4 + 8 + 12 * cells + 3 * (12 + cells * 96 * 2)


def test_the_library_and_an_encoder_keep_nothing(window_model: ModelSpec) -> None:
    library = Workload(context_tokens=1024, program="api")
    settings = resolve_settings(window_model, library)
    assert growth_of(window_model, settings, library) == NO_GROWTH
    server = Workload(context_tokens=1024, program="server")
    encoder = replace(window_model, hparams=replace(window_model.hparams, causal=False))
    assert growth_of(encoder, settings, server) == NO_GROWTH
