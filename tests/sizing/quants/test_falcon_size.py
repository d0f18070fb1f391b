"""A published Falcon has an output matrix beside its embedding, as the size of its GGUF shows.

tiiuae-falcon-40b-Q4_K_M.gguf (tests/recorded/file_sizes/gguf.json) is of 2023. Then fused attention
matrices had five bits throughout (llama.cpp until 2025, src/llama-quant.cpp: `attn_qkv.weight`);
how many of the first layers had six bits in their feed-forward outputs is not known, at most the
three of today. Whatever their number, no tokenizer is as large as what a tied file leaves over.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.quants.ggml_types import tensor_bytes

RECORDED = Path(__file__).parents[2] / "recorded" / "file_sizes" / "gguf.json"
PLAIN = {k: v for k, v in find_model("falcon-40b").config.items() if k != "tie_word_embeddings"}
# Bytes a token has before the data in the other published files: sizing/quants/file_layout.py.
LEAST_A_TOKEN, MOST_A_TOKEN = 22.4, 65.0


def published_bytes() -> int:
    rows = json.loads(RECORDED.read_text())["rows"]
    (size,) = {row["bytes"]["Q4_K_M"] for row in rows if row["model"] == "falcon-40b"}
    return int(size)


def type_then(name: str, layer: int | None, today: str, *, six_bit_layers: int) -> str:
    if "attn_qkv" in name:
        return "Q5_K"
    if today == "Q6_K":
        assert "ffn_down" in name
        assert layer is not None
        return "Q6_K" if layer < six_bit_layers else "Q5_K"
    return today


@pytest.mark.parametrize(("tied", "is_right"), [(None, True), (False, True), (True, False)])
def test_the_published_file_has_room_for_an_output_matrix(
    tied: bool | None, is_right: bool
) -> None:
    config = PLAIN if tied is None else {**PLAIN, "tie_word_embeddings": tied}
    spec = spec_from_config(config, name="falcon", source="test", file_type="Q4_K_M")
    left_a_token = [
        (
            published_bytes()
            - sum(
                tensor_bytes(type_then(t.name, t.layer, t.type, six_bit_layers=count), t.shape)
                for t in spec.tensors
            )
        )
        / spec.hparams.n_vocab
        for count in range(4)
    ]
    assert any(LEAST_A_TOKEN < one < MOST_A_TOKEN for one in left_a_token) is is_right
    assert (min(left_a_token) > MOST_A_TOKEN) is not is_right
