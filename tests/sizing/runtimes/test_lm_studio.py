"""What `lms load` is told of the layers: the share of them on GPUs."""

from __future__ import annotations

import shlex

import pytest

from whatfits.sizing import check


def share_of(gpu_layers: int) -> str:
    """Return what is told for a model of 36 layers and the output layer."""
    plan = check(
        "qwen3-8b",
        machine="rtx 4090 + 64gb",
        runtime="lm-studio",
        placement={"gpu_layers": gpu_layers},
    )
    words = shlex.split(plan.commands["lm-studio"][1])
    return words[words.index("--gpu") + 1]


@pytest.mark.parametrize(
    ("gpu_layers", "told"),
    [(0, "off"), (1, "0.027"), (18, "0.5"), (35, "0.972"), (36, "0.999"), (37, "max")],
)
def test_no_share_takes_more_layers_than_were_planned(gpu_layers: int, told: str) -> None:
    assert share_of(gpu_layers) == told
    if told not in ("off", "max"):
        assert int(float(told) * 36) <= gpu_layers
