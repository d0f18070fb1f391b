"""The layers of published shapes give the context bytes that llama.cpp reported for them.

Rows: recorded/llama_cpp_rows.json (llama.cpp 0c1e57098, dry runs and real loads on a CPU).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatfits.sizing.architectures.layers import hparams_and_layers
from whatfits.sizing.architectures.metadata import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    ContextSum = Callable[..., int]


def test_layers_from_metadata_alone_give_the_context_bytes_of_the_recorded_runs(
    row_model: str, rows: dict[str, Any], context_bytes: ContextSum
) -> None:
    entry = rows[row_model]
    metadata = Metadata(entry["metadata"], architecture=entry["architecture"])
    layout = hparams_and_layers(metadata, n_vocab=1)
    assert layout.cache_interval == 0
    for row in entry["rows"]:
        settings = {key: row[key] for key in row if key not in ("mode", "context_bytes")}
        assert context_bytes(layout.layers, **settings) == row["context_bytes"], row


def test_an_encoder_keeps_nothing(rows: dict[str, Any]) -> None:
    entry = rows["nomic-embed-text-v1.5"]
    layout = hparams_and_layers(
        Metadata(entry["metadata"], architecture=entry["architecture"]), n_vocab=30528
    )
    assert not layout.hparams.causal
    assert all(layer.attention is None and layer.recurrent is None for layer in layout.layers)


def test_gemma_3n_keeps_a_cache_in_its_first_twenty_layers_only(rows: dict[str, Any]) -> None:
    entry = rows["gemma-3n-e4b"]
    layout = hparams_and_layers(
        Metadata(entry["metadata"], architecture=entry["architecture"]), n_vocab=1
    )
    assert [layer.attention is None for layer in layout.layers] == [False] * 20 + [True] * 15
    assert [layer.reuses_cache for layer in layout.layers] == [False] * 20 + [True] * 15


def test_jamba_attends_in_every_eighth_layer_and_keeps_a_state_in_the_others(
    rows: dict[str, Any],
) -> None:
    entry = rows["jamba-1.5-mini"]
    layout = hparams_and_layers(
        Metadata(entry["metadata"], architecture=entry["architecture"]), n_vocab=1
    )
    attending = [i for i, layer in enumerate(layout.layers) if layer.attention is not None]
    assert attending == [4, 12, 20, 28]
    assert all(
        (layer.recurrent is None) == (layer.attention is not None) for layer in layout.layers
    )
