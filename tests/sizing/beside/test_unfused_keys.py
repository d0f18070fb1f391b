"""Keys of a type that CUDA fuses no attention over."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import load_machine, load_model
from whatfits.sizing.flash_attention import all_can_fuse


@pytest.mark.parametrize(
    ("machine", "keys", "fuses"),
    [
        ("rtx-4090 + 64gb", "iq4_nl", False),
        ("rtx-4090 + 64gb", "IQ4_NL", False),
        ("rtx-4090 + 64gb", "q8_0", True),
        ("rtx-4090 + 64gb", None, True),
        ("m4-max-64gb", "iq4_nl", True),
        ("64gb", "iq4_nl", True),
    ],
)
def test_cuda_fuses_no_attention_over_keys_in_iq4_nl(
    machine: str, keys: str | None, *, fuses: bool
) -> None:
    devices = load_machine(machine).accelerators
    assert all_can_fuse(load_model("llama-3.2-1b"), devices, kv_types=(keys, None)) is fuses


def test_what_keeps_no_cache_has_no_type_of_it() -> None:
    card = load_machine("rtx-4090 + 64gb").accelerators
    encoder = load_model("nomic-embed-text-v1.5")
    assert all_can_fuse(encoder, card, kv_types=("iq4_nl", "iq4_nl"))


def test_values_in_iq4_nl_are_not_fused_either() -> None:
    card = load_machine("rtx-4090 + 64gb").accelerators
    assert not all_can_fuse(load_model("llama-3.2-1b"), card, kv_types=(None, "iq4_nl"))
