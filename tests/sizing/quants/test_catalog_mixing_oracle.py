"""A catalog model of every architecture × every file type, against `llama_model_quantize`.

Real shapes, real metadata: tied embeddings, experts, grouped and latent attention, state-space
layers, widths that take the fallback types. Tensors no file type changes keep their type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing.architectures import find_entry, spec_from_config
from whatfits.sizing.catalog.lookup import ModelEntry, model_entries
from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.quants.file_types import FILE_TYPES

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Quantizer

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.quants.file_types import FileType

pytestmark = pytest.mark.oracle

MAKEABLE: Final = [
    kind for kind in FILE_TYPES.values() if kind.name != "NVFP4" and not kind.is_float
]


def _spec(entry: ModelEntry, file_type: str, *, imatrix: bool | None = None) -> ModelSpec:
    return spec_from_config(
        entry.config, name=entry.id, source="catalog", file_type=file_type, imatrix=imatrix
    )


def _smallest_of_each_architecture() -> dict[str, ModelEntry]:
    found: dict[str, tuple[int, ModelEntry]] = {}
    for entry in model_entries():
        if find_entry(entry.config) is None:
            continue
        try:
            spec = _spec(entry, "F16")
        except WhatfitsError:
            continue  # a shape with holes
        tied = all(tensor.name != "output.weight" for tensor in spec.tensors)
        key = f"{spec.architecture}{', tied' if tied else ''}"
        count = len(spec.tensors)
        if key not in found or count < found[key][0]:
            found[key] = (count, entry)
    return {key: entry for key, (_, entry) in sorted(found.items())}


CHOSEN: Final = _smallest_of_each_architecture()


def _write(spec: ModelSpec, folder: Path) -> Path:
    metadata = {**spec.metadata, "tokenizer.ggml.model": "none"}
    metadata[f"{spec.architecture}.block_count"] = spec.n_layers
    metadata.pop(f"{spec.architecture}.nextn_predict_layers", None)
    metadata.setdefault(f"{spec.architecture}.context_length", 8192)
    path = folder / "model.gguf"
    write_synthetic_gguf(path, metadata=metadata, tensors=spec.tensors)
    return path


def _disagreements(
    quantizer: Quantizer, path: Path, entry: ModelEntry, file_type: FileType, *, imatrix: bool
) -> list[str]:
    theirs = quantizer.ask(path, file_type, imatrix=imatrix).types
    try:
        spec = _spec(entry, file_type.name, imatrix=imatrix)
    except WhatfitsError as error:
        return [] if theirs is None else [f"{file_type.name}: only we refuse: {error}"]
    if theirs is None:
        return [f"{file_type.name}: only llama.cpp refuses"]
    ours = {tensor.name: tensor.type for tensor in spec.tensors}
    return [
        f"{file_type.name} {name}: {ours[name]}, llama.cpp {kind}"
        for name, kind in theirs.items()
        if ours[name] != kind
    ]


def test_most_architectures_with_a_table_are_here() -> None:
    assert len({key.removesuffix(", tied") for key in CHOSEN}) >= 50


@pytest.mark.slow
@pytest.mark.parametrize("key", CHOSEN)
def test_a_catalog_model_gets_the_types_llama_quantize_gives_it(
    quantizer: Quantizer, tmp_path: Path, key: str
) -> None:
    entry = CHOSEN[key]
    path = _write(_spec(entry, "F16"), tmp_path)
    found = []
    for file_type in MAKEABLE:
        # with a matrix where one is demanded, and for the types it moves
        for imatrix in (False, True):
            if imatrix or not file_type.wants_imatrix:
                found += _disagreements(quantizer, path, entry, file_type, imatrix=imatrix)
    assert found == []
