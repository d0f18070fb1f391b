"""Every model of the catalog answers: exactly where its shape is whole, else with an interval."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import check, load_machine
from whatfits.sizing.approximate import approximate_spec, bits_of, named_parameters
from whatfits.sizing.architectures import find_entry
from whatfits.sizing.catalog.lookup import ModelEntry, find_model, model_entries
from whatfits.sizing.model import FullAttention, LatentAttention, ModelSpec
from whatfits.sizing.sources.catalog_model import spec_of_entry

ENTRIES = tuple(model_entries())
COMMON = ("Q4_K_M", "Q8_0", "F16")
# Their architecture has a tensor table, their shape in the catalog does not fill it.
SHAPES_WITH_HOLES = {
    *("falcon-h1-1.5b", "falcon-h1-1.5b-deep", "falcon-h1-3b", "falcon-h1-7b", "falcon-h1-34b"),
}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_every_model_has_weights_and_layers_at_the_common_file_types(entry: ModelEntry) -> None:
    sizes = []
    for file_type in COMMON:
        spec = spec_of_entry(entry, file_type=file_type)
        assert spec.layers
        assert spec.parameters
        assert (spec.weights is None) == bool(spec.tensors)
        sizes.append(spec.weights.mid_bytes if spec.weights else spec.tensor_bytes)
    assert sizes == sorted(sizes)
    assert sizes[0] > 0


def test_only_shapes_with_holes_leave_their_tensor_table_unused() -> None:
    unused = {
        entry.id
        for entry in ENTRIES
        if find_entry(entry.config) is not None and spec_of_entry(entry, file_type="F16").weights
    }
    assert unused == SHAPES_WITH_HOLES


def test_a_model_llama_cpp_cannot_load_has_no_tensor_table_and_says_so() -> None:
    without = [entry for entry in ENTRIES if find_entry(entry.config) is None]
    assert len(without) == 7
    for entry in without:
        spec = spec_of_entry(entry, file_type="Q4_K_M")
        assert spec.weights is not None
        assert any("cannot load" in note for note in spec.notes)


@pytest.mark.slow
def test_check_answers_for_a_model_of_every_kind() -> None:
    machine = load_machine("rtx-4090 + 64gb")
    kinds = {str(entry.config.get("model_type")): entry for entry in ENTRIES}
    assert len(kinds) > 80
    for index, entry in enumerate(kinds.values()):
        plan = check(entry.id, file_type=COMMON[index % 3], machine=machine)
        assert plan.verdict in {"fits", "tight", "slow", "no"}, entry.id
        assert plan.memory.low_bytes <= plan.memory.total_bytes <= plan.memory.high_bytes


@pytest.mark.parametrize("model_id", sorted(SHAPES_WITH_HOLES))
def test_a_shape_with_holes_answers_with_an_interval_and_says_why(model_id: str) -> None:
    plan = check(model_id, machine="64gb", workload={"context_tokens": 4096})
    assert plan.memory.low_bytes < plan.memory.total_bytes < plan.memory.high_bytes
    assert any("not known yet" in note for note in plan.notes)
    weights = next(reason for reason in plan.basis if reason.key == "memory.weights_bytes")
    assert "bits a weight seen" in weights.error


def _approximate(entry: ModelEntry, file_type: str) -> ModelSpec:
    assert entry.params_total is not None
    count = entry.params_total - (entry.params_vision_audio or 0)
    return approximate_spec(
        entry.config,
        name=entry.id,
        source="catalog",
        file_type=file_type,
        parameters=named_parameters(count)._replace(low=count, mid=count, high=count),
        active_parameters=None,
        origin=entry.source,
    )


@pytest.mark.parametrize("file_type", COMMON)
def test_the_interval_contains_the_exact_weights_of_models_that_have_a_table(
    file_type: str,
) -> None:
    # Embeddings dominate models below 10^9 parameters; gpt-oss keeps its experts in MXFP4.
    missed = []
    for entry in ENTRIES:
        exact = spec_of_entry(entry, file_type=file_type)
        if exact.weights or (entry.params_total or 0) < 10**9 or entry.native_quantisation:
            continue
        interval = _approximate(entry, file_type).weights
        assert interval is not None
        if not interval.low_bytes <= exact.tensor_bytes <= interval.high_bytes:
            missed.append(entry.id)
    assert missed == []


def test_a_size_in_a_name_stands_for_a_range_that_contains_the_counted_models() -> None:
    for model_id, named in (("llama-2-7b", 7), ("llama-3.1-8b", 8), ("gemma-7b", 7)):
        low, mid, high = named_parameters(named * 10**9)
        count = find_model(model_id).params_total
        assert count is not None
        assert low <= count <= high
        assert low < mid < high


def test_experts_in_mxfp4_take_half_the_bits_of_a_dense_model_under_that_file_type() -> None:
    # A dense model has no experts: MXFP4_MOE stores it at Q8_0.
    assert 2 * bits_of("MXFP4_MOE", is_moe=True)[1] == pytest.approx(8.9, abs=0.1)
    assert bits_of("MXFP4_MOE", is_moe=False)[0] == pytest.approx(8.5, abs=0.001)


def test_the_cache_of_kimi_k3_lies_in_the_layers_its_publisher_names() -> None:
    spec = spec_of_entry(find_model("kimi-k3"))
    latent = [n for n, layer in enumerate(spec.layers, 1) if layer.attention is not None]
    assert latent == [*range(4, 93, 4), 93]
    assert spec.layers[3].attention == LatentAttention(512 + 64)
    state = spec.layers[0].recurrent
    assert state is not None
    assert state.state_elements == 96 * 128 * 128
    assert state.shift_elements == 3 * (3 * 96 * 128)


def test_every_layer_of_falcon_h1_keeps_keys_and_a_state() -> None:
    spec = spec_of_entry(find_model("falcon-h1-7b"))
    assert len(spec.layers) == 44
    for layer in spec.layers:
        assert isinstance(layer.attention, FullAttention)
        assert layer.recurrent is not None


def test_a_vocabulary_nobody_read_is_taken_as_the_largest_of_the_catalog() -> None:
    largest = max(entry.config.get("vocab_size") or 0 for entry in ENTRIES)
    spec = spec_of_entry(find_model("falcon-h1-7b"))
    assert spec.hparams.n_vocab == largest
    assert any("vocabulary was not read" in note for note in spec.notes)


@pytest.mark.slow
def test_the_bits_a_weight_on_file_are_those_of_the_catalog_as_it_is() -> None:
    from whatfits.sizing.catalog.bits import main

    assert main(["--check"]) == 0, "run 'make data'"
