"""Catalog models with a vision part say what their projector would add."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import load_model
from whatfits.sizing.catalog.lookup import find_model, model_entries
from whatfits.sizing.vision import tower_parameters, vision_note


def test_the_counted_parameters_lie_near_the_towers_own_blocks() -> None:
    # a projector and embeddings come on top of the blocks, or are part of the count
    checked = 0
    for entry in model_entries():
        bounds = None if entry.vision is None else tower_parameters(entry.vision)
        if bounds is None or not entry.params_vision_audio:
            continue
        least, most = bounds
        assert 0.75 * least < entry.params_vision_audio < 1.7 * most, entry.id
        checked += 1
    assert checked > 10


def test_a_model_with_a_tower_says_so_and_one_without_does_not() -> None:
    assert find_model("gemma-3-4b").vision is not None
    notes = load_model("gemma-3-4b").notes
    assert [note for note in notes if "file of its own (--mmproj), about 0.8 GiB in F16" in note]
    assert not [note for note in load_model("llama-3.1-8b").notes if "projector" in note]


@pytest.mark.parametrize(
    ("vision", "said"),
    [
        ({"hidden_size": 1024, "intermediate_size": 4096, "depth": 24}, "0.6 GiB to 0.8 GiB"),
        # its blocks are as wide inside as what they hand on, its merger is wider
        (
            {
                "model_type": "glm4v",
                "hidden_size": 1536,
                "intermediate_size": 13_696,
                "out_hidden_size": 4096,
                "depth": 24,
            },
            "1.0 GiB to 1.3 GiB",
        ),
        ({"model_type": "unknown"}, "its size is not known"),
    ],
)
def test_an_uncounted_tower_gets_an_interval_or_is_called_unknown(
    vision: dict[str, object], said: str
) -> None:
    assert said in vision_note(vision, parameters=None)
