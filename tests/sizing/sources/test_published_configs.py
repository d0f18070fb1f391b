"""Published `config.json` files are the catalog's models, and say how large their checkpoints are.

`tests/recorded/configs/published.json` holds them with the bytes of the same checkpoints, each with
its source and date. What is left between a figure and the checkpoint is explained to the byte.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from checkpoints import write_config

from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.sources import load

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

RECORDED: Final = Path(__file__).parents[2] / "recorded" / "configs" / "published.json"
ROWS: Final[list[dict[str, Any]]] = json.loads(RECORDED.read_text())["rows"]
SAME_SHAPE: Final = [row for row in ROWS if row["model"] is not None]
COUNTED: Final = [row for row in ROWS if row["tensor_bytes"] is not None]
SAID: Final = re.compile(r"has about ([\d,]+) bytes")
HEADER_BYTES_A_TENSOR: Final = 130
STORED_A_MATRIX: Final = 4


def name_of(row: dict[str, Any]) -> str:
    return str(row["repo"])


def loaded(row: dict[str, Any], folder: Path) -> ModelSpec:
    """The model of a published configuration, under a file type that changes nothing."""
    text = json.dumps(row["config"])
    config = json.loads(text)
    block = config.get("quantization_config") or {}
    names = block.get("modules_to_not_convert") or []
    if any("{layer}" in name for name in names):
        layers = range(config["num_hidden_layers"])
        block["modules_to_not_convert"] = [
            name.replace("{layer}", str(layer))
            for name in names
            for layer in (layers if "{layer}" in name else (0,))
        ]
    write_config(folder, config)
    for name, values in row.get("beside", {}).items():
        (folder / name).write_text(json.dumps(values))
    return load(str(folder / "config.json"), file_type="F16")


def test_there_are_enough_of_them_and_each_says_where_it_was_read() -> None:
    assert len(SAME_SHAPE) >= 25
    assert len({row["model"] for row in SAME_SHAPE}) >= 20
    assert sum("quantization" in json.dumps(row["config"]) for row in COUNTED) >= 12
    for row in ROWS:
        assert row["source"]
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", row["date"])


@pytest.mark.parametrize("row", SAME_SHAPE, ids=name_of)
def test_a_published_configuration_is_the_catalogs_model(
    row: dict[str, Any], tmp_path: Path
) -> None:
    published = loaded(row, tmp_path)
    catalog = spec_from_config(
        find_model(row["model"]).config,
        name="x",
        source="x",
        file_type="F16",
        n_vocab_override=published.hparams.n_vocab,  # fine-tunes add and cut tokens
    )
    for name in ("architecture", "layers", "parameters", "active_parameters", "tensors"):
        assert getattr(published, name) == getattr(catalog, name), name
    context = row.get("context_tokens", catalog.hparams.context_train_tokens)
    assert published.hparams.context_train_tokens == context


@pytest.mark.parametrize("row", COUNTED, ids=name_of)
def test_a_published_checkpoint_has_the_bytes_foreseen(row: dict[str, Any], tmp_path: Path) -> None:
    spec = loaded(row, tmp_path)
    (said,) = (found for note in spec.notes if (found := SAID.search(note)))
    foreseen = int(said[1].replace(",", ""))
    left = row["tensor_bytes"] - foreseen - sum(row["left"].values())
    if row["counted"] == "one file":
        assert 0 < left <= HEADER_BYTES_A_TENSOR * STORED_A_MATRIX * len(spec.tensors)
    else:
        assert left == 0
