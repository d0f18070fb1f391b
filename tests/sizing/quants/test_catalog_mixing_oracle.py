"""A catalog model of every architecture × every file type, against `llama_model_quantize`.

Real shapes, real metadata: tied embeddings, experts, grouped and latent attention, state-space
layers, next-token layers, widths that take the fallback types. Experts published in MXFP4 (gpt-oss)
stay so in every file people publish; `llama-quantize` would need `--allow-requantize` to change
them, so they are not compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing.architectures import config_spec, find_entry
from whatfits.sizing.catalog.lookup import ModelEntry, model_entries
from whatfits.sizing.errors import WhatfitsError
from whatfits.sizing.quants.file_types import FILE_TYPES

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Quantizer

    from whatfits.sizing.architectures.family import Blueprint
    from whatfits.sizing.model import TensorShape, TensorSpec
    from whatfits.sizing.quants.file_types import FileType

pytestmark = pytest.mark.oracle

MAKEABLE: Final = [
    kind for kind in FILE_TYPES.values() if kind.name != "NVFP4" and not kind.is_float
]


class Table:
    """All tensors of a catalog model, next-token layers included, and its metadata."""

    def __init__(self, entry: ModelEntry) -> None:
        self._config = entry.config
        self.metadata = {**self._blueprint("F16")[0].metadata.kept()}
        self.tensors = self.typed("F16")

    def _blueprint(self, file_type: str) -> tuple[Blueprint, tuple[TensorShape, ...]]:
        blueprint, tensors_of = config_spec._drawn(
            self._config, n_vocab_override=None, file_type=FILE_TYPES[file_type]
        )
        return blueprint, tuple(tensors_of(blueprint))

    def typed(self, file_type: str, *, imatrix: bool = False) -> tuple[TensorSpec, ...]:
        blueprint, shapes = self._blueprint(file_type)
        return config_spec._typed(shapes, blueprint, FILE_TYPES[file_type], imatrix=imatrix)

    @property
    def architecture(self) -> str:
        return str(self.metadata["general.architecture"])

    def write(self, folder: Path) -> Path:
        metadata = {**self.metadata, "tokenizer.ggml.model": "none"}
        metadata.setdefault(f"{self.architecture}.context_length", 8192)
        path = folder / "model.gguf"
        write_synthetic_gguf(path, metadata=metadata, tensors=self.tensors)
        return path


def _smallest_of_each_architecture() -> dict[str, Table]:
    found: dict[str, Table] = {}
    for entry in model_entries():
        if find_entry(entry.config) is None:
            continue
        try:
            table = Table(entry)
        except WhatfitsError:
            continue  # a shape with holes
        tied = all(tensor.name != "output.weight" for tensor in table.tensors)
        key = f"{table.architecture}{', tied' if tied else ''}"
        if key not in found or len(table.tensors) < len(found[key].tensors):
            found[key] = table
    return dict(sorted(found.items()))


CHOSEN: Final = _smallest_of_each_architecture()


def _disagreements(
    quantizer: Quantizer, path: Path, table: Table, file_type: FileType, *, imatrix: bool
) -> list[str]:
    theirs = quantizer.ask(path, file_type, imatrix=imatrix).types
    try:
        tensors = table.typed(file_type.name, imatrix=imatrix)
    except WhatfitsError as error:
        return [] if theirs is None else [f"{file_type.name}: only we refuse: {error}"]
    if theirs is None:
        return [f"{file_type.name}: only llama.cpp refuses"]
    native = {tensor.name for tensor in table.tensors if tensor.type == "MXFP4"}
    ours = {tensor.name: tensor.type for tensor in tensors}
    return [
        f"{file_type.name} {name}: {ours[name]}, llama.cpp {kind}"
        for name, kind in theirs.items()
        if name not in native and ours[name] != kind
    ]


def test_most_architectures_with_a_table_are_here() -> None:
    assert len({key.removesuffix(", tied") for key in CHOSEN}) >= 50


@pytest.mark.slow
@pytest.mark.parametrize("key", CHOSEN)
def test_a_catalog_model_gets_the_types_llama_quantize_gives_it(
    quantizer: Quantizer, tmp_path: Path, key: str
) -> None:
    table = CHOSEN[key]
    path = table.write(tmp_path)
    found = []
    for file_type in MAKEABLE:
        # with a matrix where one is demanded, and for the types it moves
        for imatrix in (False, True):
            if imatrix or not file_type.wants_imatrix:
                found += _disagreements(quantizer, path, table, file_type, imatrix=imatrix)
    assert found == []
