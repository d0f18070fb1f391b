"""The file that llama-quantize writes, by the GGUF format's own sizes of fields."""

from __future__ import annotations

from whatfits.sizing.model import TensorSpec
from whatfits.sizing.quants.file_layout import data_offsets, header_range


def test_tensors_lie_layer_by_layer_and_by_name_on_boundaries_of_32_bytes() -> None:
    names = ["blk.10.a", "blk.2.b", "output.weight", "blk.2.a", "token_embd.weight", "xblk.1.a"]
    sizes = [32, 33, 1, 64, 31, 8]
    # of no layer: output, token_embd, xblk; then 2.a, 2.b, 10.a
    assert data_offsets(names, sizes) == (96 + 64 + 64, 96 + 64, 0, 96, 32, 64)


def test_a_list_of_tensors_takes_its_fields_and_a_tokenizer_so_much_a_token() -> None:
    tensors = [
        TensorSpec("output.weight", (64, 100), "F16", 12_800, "output"),
        TensorSpec("blk.0.attn_norm.weight", (64,), "F32", 256, "layer", 0),
    ]
    # length and text of the name; 32 bits for how many dimensions, each in 64; type; offset
    fields = sum(8 + len(t.name) + 4 + 8 * len(t.shape) + 4 + 8 for t in tensors)
    found = header_range(tensors, n_vocab=1000)
    assert (found.low_bytes, found.mid_bytes, found.high_bytes) == (
        fields + 16_800,
        fields + 35_000,
        fields + 73_100,
    )
    assert header_range((), n_vocab=10).mid_bytes == 350
