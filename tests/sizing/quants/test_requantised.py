"""A model made anew under another file type is the model that is loaded under it."""

from __future__ import annotations

import pytest

from whatfits.sizing import check, load_model, plan
from whatfits.sizing.requantise import requantised


@pytest.mark.parametrize(
    ("name", "file_type"),
    [
        ("llama-3.3-70b", "Q4_K_M"),  # one of the two rules for 70B models
        ("qwen3-next-80b-a3b", "Q2_K"),  # its first layer is recurrent, its header names heads
        ("qwen3.5-27b", "IQ2_XS"),
        ("jamba-1.5-mini", "Q3_K_M"),  # its header names no heads for the first layer
        ("glm-4.5", "Q4_K_M"),  # a next-token-prediction layer has attention values too
        ("mimo-v2-flash", "Q5_K_M"),
        ("gpt-oss-20b", "Q6_K"),
    ],
)
def test_every_tensor_and_the_file_are_the_same_by_either_way(name: str, file_type: str) -> None:
    loaded = load_model(name, file_type=file_type)
    made = requantised(load_model(name, file_type="Q8_0"), file_type)
    assert made.tensors == loaded.tensors
    assert made.prediction_tensors == loaded.prediction_tensors
    assert (made.file_bytes, made.file_header) == (loaded.file_bytes, loaded.file_header)


def test_a_smaller_file_type_needs_what_was_promised_of_a_hybrid() -> None:
    asked = check("qwen3-next-80b-a3b", file_type="Q4_0", machine="32gb")
    (remedy,) = [one for one in asked.remedies if one.key == "file_type"]
    changed = check("qwen3-next-80b-a3b", machine="32gb", **remedy.change)
    assert changed.memory.total_bytes == remedy.needs_bytes


def test_a_plan_and_a_check_of_its_choice_agree_to_the_byte() -> None:
    best = plan("qwen3.5-9b", machine="m1 8gb")
    again = check(
        "qwen3.5-9b",
        machine="m1 8gb",
        file_type=best.model.file_type,
        workload={"context_tokens": best.workload.context_tokens},
    )
    assert best.model.file_type == "Q2_K"
    assert best.memory.total_bytes == again.memory.total_bytes
    assert best.model.file_bytes == again.model.file_bytes


def test_experts_that_were_only_stored_in_mxfp4_take_another_type() -> None:
    stored = load_model("lfm2-8b-a1b", file_type="MXFP4_MOE")
    trained = load_model("gpt-oss-20b", file_type="MXFP4_MOE")
    for model in (stored, trained):
        loaded = load_model(model.name, file_type="Q5_K_M")
        assert requantised(model, "Q5_K_M").tensors == loaded.tensors
    asked = check("lfm2-8b-a1b", file_type="MXFP4_MOE", machine="m1 8gb")
    assert asked.verdict == "tight"
    assert "Q5_K_M" not in {remedy.change.get("file_type") for remedy in asked.remedies}
