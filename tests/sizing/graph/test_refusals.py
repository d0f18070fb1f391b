"""What ends llama.cpp is refused in words, and what it takes is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.graph.budget import GraphSize, check_budget, table_size
from whatfits.sizing.graph.buffers import graph_buffers
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.sources.catalog_model import load_catalog_model
from whatfits.sizing.workload import PlacementRequest, Workload


def test_a_graph_of_just_the_tables_size_is_taken_and_one_more_is_not() -> None:
    model = load_catalog_model("phi-4", file_type="Q4_K_M")
    room = table_size(model, n_tokens=512)
    assert room == 2053  # the prime after 8 x 243 tensors
    check_budget(model, n_tokens=512, size=GraphSize(room, 0))
    with pytest.raises(InvalidRequestError, match=r"2,054 steps .* at most 2,053 for"):
        check_budget(model, n_tokens=512, size=GraphSize(room + 1, 0))


@pytest.mark.parametrize(
    ("cache", "sequences", "ends"), [("f16", 4, False), ("q4_0", 1, False), ("q4_0", 4, True)]
)
def test_a_quantised_cache_of_many_sequences_is_too_much_for_phi_4(
    cache: str, sequences: int, ends: bool
) -> None:
    model = load_catalog_model("phi-4", file_type="Q4_K_M")
    settings = resolve_settings(
        model,
        Workload(context_tokens=5000, parallel=sequences, kv_type_k=cache, kv_type_v=cache),
    )
    placement = resolve_placement(model, PlacementRequest(), machine_expression("64gb"))
    if ends:
        with pytest.raises(InvalidRequestError, match=r"llama\.cpp ends itself"):
            graph_buffers(model, settings, placement)
    else:
        assert graph_buffers(model, settings, placement) is not None


@pytest.mark.parametrize(
    "few", [Workload(context_tokens=3), Workload(batch=3), Workload(outputs_max=3)]
)
def test_fewer_rows_of_logits_than_sequences_are_refused(few: Workload) -> None:
    model = load_catalog_model("qwen3-0.6b", file_type="Q8_0")
    assert resolve_settings(model, replace(few, parallel=3)).sequences == 3
    with pytest.raises(InvalidRequestError, match=r"parallel '?4'?; allowed: at most 3"):
        resolve_settings(model, replace(few, parallel=4))


def test_shares_of_devices_left_out_are_not_looked_at() -> None:
    model = load_catalog_model("qwen3-0.6b", file_type="Q8_0")
    machine = machine_expression("2x rtx-3090 + 64gb")
    request = PlacementRequest(split_mode="none", tensor_split=(3.0, 1.0))
    placement = resolve_placement(model, request, machine)
    assert len(placement.accelerators) == 1
    assert set(placement.layer_device) == {0}


def test_kimi_linear_takes_as_many_caches_as_divide_its_micro_batch() -> None:
    model = load_catalog_model("kimi-linear-48b-a3b", file_type="Q4_K_M")
    assert resolve_settings(model, Workload(parallel=4)).streams == 4
    assert resolve_settings(model, Workload(parallel=3, kv_unified=True)).streams == 1
    with pytest.raises(InvalidRequestError, match=r"divides the micro-batch of 512 tokens"):
        resolve_settings(model, Workload(parallel=3))


@pytest.mark.parametrize(("sequences", "ends"), [(1, False), (4, False), (5, True)])
def test_a_mean_needs_the_row_of_every_token(sequences: int, ends: bool) -> None:
    model = load_catalog_model("nomic-embed-text-v1.5", file_type="F16")
    settings = resolve_settings(model, Workload(context_tokens=512, parallel=sequences))
    placement = resolve_placement(model, PlacementRequest(), machine_expression("64gb"))
    if ends:
        with pytest.raises(InvalidRequestError, match=r"'512'; allowed: 515: nomic"):
            graph_buffers(model, settings, placement)
    else:
        assert graph_buffers(model, settings, placement) is not None


@pytest.mark.parametrize(
    ("name", "architecture", "said", "weight"),
    [
        ("granite-3.0-2b", "granite", {"granite.deepstack_mapping": (0, 1)}, None),
        ("starcoder2-3b", "mpt", {}, "blk.0.attn_q_norm.weight"),
        ("starcoder2-3b", "mpt", {}, "blk.0.ffn_act.scales"),
    ],
)
def test_a_file_with_parts_that_are_not_replayed_has_no_graph(
    name: str, architecture: str, said: dict[str, object], weight: str | None
) -> None:
    model = load_catalog_model(name, file_type="Q8_0")
    model = replace(model, architecture=architecture)
    first = model.tensors[0]
    more = () if weight is None else (replace(first, name=weight, role="layer", layer=0),)
    other = replace(model, metadata={**model.metadata, **said}, tensors=(*model.tensors, *more))
    placement = resolve_placement(model, PlacementRequest(), machine_expression("64gb"))
    settings = resolve_settings(model, Workload(context_tokens=512))
    assert graph_buffers(model, settings, placement) is not None
    assert graph_buffers(other, settings, placement) is None


def test_a_model_without_blocks_of_layers_puts_no_stream_by() -> None:
    model = load_catalog_model("kimi-k3", file_type="Q4_K_M")
    key = "kimi-k3.attn_res.block_size"
    assert model.metadata[key]
    bare = {name: value for name, value in model.metadata.items() if name != key}
    settings = resolve_settings(model, Workload(context_tokens=512))
    placement = resolve_placement(model, PlacementRequest(), machine_expression("1024gb"))
    by_blocks = graph_buffers(model, settings, placement)
    without = graph_buffers(replace(model, metadata=bare), settings, placement)
    assert by_blocks is not None
    assert without is not None
    assert without.planned < by_blocks.planned
