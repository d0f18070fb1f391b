"""One model, two ways in: a configuration and the header of its file give the same answer."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.architectures import REGISTRY, load_architecture, spec_from_gguf
from whatfits.sizing.errors import MalformedFileError, UnsupportedArchitectureError
from whatfits.sizing.units import pad

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.readers.gguf import GgufHeader

    CatalogSpec = Callable[[str, str], ModelSpec]
    HeaderOf = Callable[[ModelSpec], GgufHeader]


def test_configuration_and_header_give_the_same_model(
    catalog_id: str,
    catalog_spec: CatalogSpec,
    header_of: HeaderOf,
) -> None:
    spec = catalog_spec(catalog_id, "Q4_K_M")
    read = spec_from_gguf(header_of(spec), name=spec.name, source=spec.source)
    assert read.layers == spec.layers
    assert read.hparams == spec.hparams
    assert read.tensors == spec.tensors
    assert (read.parameters, read.active_parameters) == (spec.parameters, spec.active_parameters)
    assert read.file_type == spec.file_type
    assert read.notes == spec.notes


def test_file_bytes_are_the_padded_tensor_bytes(catalog_id: str, catalog_spec: CatalogSpec) -> None:
    spec = catalog_spec(catalog_id, "Q4_K_M")
    assert spec.file_bytes >= sum(pad(tensor.n_bytes, 32) for tensor in spec.tensors)
    if not spec.hparams.n_layer_nextn:
        assert spec.file_bytes == sum(pad(tensor.n_bytes, 32) for tensor in spec.tensors)


def test_tensor_names_are_unique_and_their_layers_exist(
    catalog_id: str, catalog_spec: CatalogSpec
) -> None:
    spec = catalog_spec(catalog_id, "Q4_K_M")
    assert len({tensor.name for tensor in spec.tensors}) == len(spec.tensors)
    for tensor in spec.tensors:
        assert (tensor.layer is not None) == (tensor.role == "layer")
        assert (
            tensor.layer is None or 0 <= tensor.layer < spec.n_layers + spec.hparams.n_layer_nextn
        )


def test_fewer_bits_never_take_more_bytes(catalog_id: str, catalog_spec: CatalogSpec) -> None:
    sizes = [catalog_spec(catalog_id, name).tensor_bytes for name in ("F16", "Q8_0", "Q4_K_M")]
    assert sizes == sorted(sizes, reverse=True)


def test_the_tokenizer_decides_how_long_a_row_of_logits_is(
    catalog_spec: CatalogSpec, header_of: HeaderOf
) -> None:
    header = header_of(catalog_spec("llama-3.2-1b", "Q4_K_M"))
    longer = replace(header, array_lengths={"tokenizer.ggml.tokens": 128_300})
    assert spec_from_gguf(longer, name="x", source="x").hparams.n_vocab == 128_300
    without = replace(header, array_lengths={})
    assert spec_from_gguf(without, name="x", source="x").hparams.n_vocab == 128_256
    bare = {k: v for k, v in header.metadata.items() if k != "llama.vocab_size"}
    from_rows = replace(without, metadata=bare)
    assert spec_from_gguf(from_rows, name="x", source="x").hparams.n_vocab == 128_256


def test_a_header_without_any_vocabulary_is_refused(
    catalog_spec: CatalogSpec, header_of: HeaderOf
) -> None:
    header = header_of(catalog_spec("llama-3.2-1b", "Q4_K_M"))
    bare = {k: v for k, v in header.metadata.items() if k != "llama.vocab_size"}
    tensors = tuple(t for t in header.tensors if t.name != "token_embd.weight")
    with pytest.raises(MalformedFileError) as caught:
        spec_from_gguf(
            replace(header, metadata=bare, tensors=tensors, array_lengths={}), name="x", source="x"
        )
    assert caught.value.field == "llama.vocab_size"


def test_an_absurd_vocabulary_is_refused(catalog_spec: CatalogSpec, header_of: HeaderOf) -> None:
    header = header_of(catalog_spec("llama-3.2-1b", "Q4_K_M"))
    with pytest.raises(MalformedFileError, match="vocab_size"):
        spec_from_gguf(
            replace(header, array_lengths={"tokenizer.ggml.tokens": 2**40}), name="x", source="x"
        )


def test_a_projector_is_told_from_a_model(catalog_spec: CatalogSpec, header_of: HeaderOf) -> None:
    header = header_of(catalog_spec("llama-3.2-1b", "Q4_K_M"))
    with pytest.raises(UnsupportedArchitectureError, match="projector"):
        spec_from_gguf(
            replace(header, metadata={"general.architecture": "clip"}), name="x", source="x"
        )


def test_findings_of_the_reader_become_notes(
    catalog_spec: CatalogSpec, header_of: HeaderOf
) -> None:
    header = replace(header_of(catalog_spec("llama-3.2-1b", "Q4_K_M")), findings=("odd padding",))
    assert "odd padding" in spec_from_gguf(header, name="x", source="x").notes


def test_an_unknown_file_type_number_is_unknown_not_guessed(
    catalog_spec: CatalogSpec, header_of: HeaderOf
) -> None:
    header = header_of(catalog_spec("llama-3.2-1b", "Q4_K_M"))
    odd = {**header.metadata, "general.file_type": 9999}
    assert spec_from_gguf(replace(header, metadata=odd), name="x", source="x").file_type is None


def test_the_registry_names_what_the_family_files_hold() -> None:
    named = {(entry.module, entry.architecture) for entry in REGISTRY}
    held = {
        (module, one.name)
        for module in {entry.module for entry in REGISTRY}
        for one in import_module(f"whatfits.sizing.architectures.{module}").ARCHITECTURES
    }
    assert named == held
    assert all(load_architecture(entry).tensors is not None for entry in REGISTRY)


def test_no_kind_of_configuration_is_claimed_twice() -> None:
    claimed = [name for entry in REGISTRY for name in entry.configs]
    assert len(claimed) == len(set(claimed))
