"""Metal: that a convolution stays with its activation, and states with the step that makes them.

The conditions are those of ggml-metal-fusion.cpp (ggml_metal_fusion_check_ssm_conv_silu,
ggml_metal_fusion_check_gdn_cache).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from differing import (
    a_result,
    another_kind,
    another_op,
    another_shape,
    apart,
    elsewhere,
    gap,
    read_outside,
    with_between,
)
from named_steps import N_TOKENS, WIDTH, Named, convolution, states, together

if TYPE_CHECKING:
    from named_steps import Change


def test_a_convolution_stays_with_its_activation() -> None:
    assert together(convolution(), "conv") == ["conv", "active"]


ACTIVATION: dict[str, Change] = {
    "is of something else": elsewhere("active"),
    "is of another type": another_kind("active"),
    "has gaps in its rows": gap("active", axis=0),
    "is of another shape": another_shape("active", (WIDTH, 1, 1, 1)),
    "is another step": another_op("active"),
    "is of what is read outside": read_outside("conv"),
}


@pytest.mark.parametrize("change", ACTIVATION.values(), ids=list(ACTIVATION))
def test_a_convolution_is_alone_where_its_activation(change: Change) -> None:
    g = convolution()
    change(g)
    assert together(g, "conv") == ["conv"]


def test_states_are_stored_in_the_step_that_makes_them() -> None:
    assert together(states(), "made") == ["made", "view", "target", "stored"]
    g = states()
    g.add("scores", g.view(g["made"], (8, N_TOKENS)))  # the rest of what is made may be read
    assert together(g, "made") == ["made", "view", "target", "stored"]


def reshaped(g: Named) -> None:
    g["view"].op = "RESHAPE"


def view_of_others(g: Named) -> None:
    g["view"].view_of = g.other("made")


def for_four_sequences(g: Named) -> None:
    g["made"].srcs[2].ne = (4, 2, N_TOKENS, 4)


def wider(g: Named) -> None:
    g["made"].srcs[2].ne = (5, 2, N_TOKENS, 1)


def with_more_heads(g: Named) -> None:
    g["made"].srcs[2].ne = (4, 3, N_TOKENS, 1)


def with_gaps(g: Named) -> None:
    another_shape("view", (16, 2, 1, 1))(g)
    gap("view")(g)


STATES: dict[str, Change] = {
    "of another type": another_kind("made"),
    "a result": a_result("made"),
    "stored as a result": a_result("stored"),
    "in another shape": reshaped,
    "of something else": view_of_others,
    "with gaps": with_gaps,
    "into another type": another_kind("target"),
    "into less": another_shape("target", (16, 1, 1, 1)),
    "for two sequences": another_shape("target", (32, 2, 1, 1)),
    "into four dimensions": another_shape("target", (32, 1, 1, 2)),
    "into elements apart": apart("target", 0),
    "into rows apart": apart("target", 1),
    "for four sequences": for_four_sequences,
    "wider": wider,
    "with more heads": with_more_heads,
    "by another step": another_op("stored"),
    "behind another step": with_between("stored"),
}


@pytest.mark.parametrize("change", STATES.values(), ids=list(STATES))
def test_states_are_stored_later(change: Change) -> None:
    g = states()
    change(g)
    assert together(g, "made") == ["made"]


def test_states_of_several_sequences_and_tokens_are_stored_at_once() -> None:
    g = states()
    g["made"].srcs[2].ne = (4, 2, N_TOKENS, 2)
    another_shape("target", (32, 2, 3, 1))(g)
    apart("target", 2)(g)
    assert together(g, "made") == ["made", "view", "target", "stored"]
