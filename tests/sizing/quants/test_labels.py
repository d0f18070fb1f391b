"""What labels say, part by part."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from whatfits.sizing.errors import UnknownFileTypeError
from whatfits.sizing.quants.file_types import FILE_TYPES
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.quants.labels import LabelParts, explain_label

MAX_WORDS = 25


@pytest.mark.parametrize("name", FILE_TYPES)
def test_every_file_type_is_explained_in_few_words(name: str) -> None:
    parts = explain_label(name)
    assert parts.label == name
    assert parts.file_type == FILE_TYPES[name].stock_name
    assert parts.bits_per_weight == GGML_TYPES[parts.default_type].bits_per_weight
    for field in fields(LabelParts):
        assert len(str(getattr(parts, field.name)).split()) <= MAX_WORDS


@pytest.mark.parametrize("name", FILE_TYPES)
def test_the_layout_names_the_length_of_the_block(name: str) -> None:
    parts = explain_label(name)
    block = GGML_TYPES[parts.default_type].block_elements
    wanted = "no blocks" if block == 1 else f"{block} weights"
    assert parts.block_layout.startswith(wanted)


@pytest.mark.parametrize(
    ("label", "bits", "method", "bits_per_weight"),
    [
        ("Q4_K_M", 4, "K", 4.5),
        ("Q6_K", 6, "K", 6.5625),
        ("Q8_0", 8, "legacy", 8.5),
        ("IQ3_XXS", 3, "I", 3.0625),
        ("IQ4_XS", 4, "I", 4.25),
        ("TQ1_0", 1, "ternary", 1.6875),
        ("MXFP4", 4, "microscaling", 4.25),
        ("BF16", 16, "floating point", 16.0),
    ],
)
def test_bits_method_and_exact_size_of_labels_people_meet(
    label: str, bits: int, method: str, bits_per_weight: float
) -> None:
    # Bits a weight: block_bytes * 8 / block_elements of ggml/src/ggml-common.h.
    parts = explain_label(label)
    assert parts.bits == bits
    assert parts.method.startswith(f"{method}:")
    assert parts.bits_per_weight == bits_per_weight


def test_the_bits_written_in_a_layout_add_up_to_the_bits_per_weight() -> None:
    # 256 weights of b bits, groups with their own scale (and minimum), 16-bit factors.
    pattern = re.compile(
        r"256 weights of (\d) bits: (\d+) groups with (\d)-bit (scales?)( and minimum)?,"
        r" (one|two) 16-bit factors?$"
    )
    checked = 0
    for name in FILE_TYPES:
        parts = explain_label(name)
        found = pattern.match(parts.block_layout)
        if found is None:
            continue
        bits, groups, scale = (int(found[n]) for n in (1, 2, 3))
        per_group = scale * (2 if found[5] else 1)
        total = 256 * bits + groups * per_group + 16 * (1 if found[6] == "one" else 2)
        assert total / 256 == parts.bits_per_weight
        checked += 1
    assert checked >= 5


def test_the_large_variants_say_what_they_keep() -> None:
    assert explain_label("q4_k_l").variant == (
        "stock Q4_K_M, but token embedding and output matrix are kept at Q8_0"
    )


@pytest.mark.parametrize(
    ("label", "default_type"),
    [("UD-Q4_K_XL", "Q4_K"), ("ud-iq3_xxs", "IQ3_XXS"), ("UD-Q8_K_XL", "Q8_0")],
)
def test_a_ud_label_is_said_to_follow_no_published_rule(label: str, default_type: str) -> None:
    parts = explain_label(label)
    assert parts.label == label.upper()
    assert parts.default_type == default_type
    assert parts.file_type is None
    assert "no published rule" in parts.variant


@pytest.mark.parametrize("label", ["UD-Q9_K_XL", "Q4_K_XXL_9", ""])
def test_an_unknown_label_is_refused(label: str) -> None:
    with pytest.raises(UnknownFileTypeError):
        explain_label(label)
