"""What a server's caches may grow to: its prompts, and the checkpoints of each slot, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.growth import Growth, checkpoint_bytes, growth_of
from whatfits.sizing.model import RecurrentState, SlidingWindow
from whatfits.sizing.settings import resolve_settings
from whatfits.sizing.units import GIB, MIB
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec


def test_a_server_keeps_32_checkpoints_a_slot_and_8_gib_of_prompts(window_model: ModelSpec) -> None:
    workload = Workload(context_tokens=2048, parallel=3, program="server")
    settings = resolve_settings(window_model, workload)
    one = checkpoint_bytes(window_model, settings)
    assert growth_of(window_model, settings, workload) == Growth(8 * GIB, one, 32, 3)
    asked = replace(workload, cache_ram_mib=5, ctx_checkpoints=2)
    assert growth_of(window_model, settings, asked) == Growth(5 * MIB, one, 2, 3)
    assert growth_of(window_model, settings, asked).limit_bytes == 5 * MIB + one * 2 * 3


def test_a_model_that_can_step_back_keeps_no_checkpoints(
    plain_model: ModelSpec, window_model: ModelSpec
) -> None:
    workload = Workload(context_tokens=2048, parallel=3, program="server")
    settings = resolve_settings(plain_model, workload)
    assert checkpoint_bytes(plain_model, settings) == 0
    none = Growth(8 * GIB, 0, 0, 3)
    assert growth_of(plain_model, settings, workload) == none
    for draft in (plain_model, window_model):
        assert growth_of(plain_model, settings, workload, draft=draft) == none
    # windows that are kept whole need none either
    whole = resolve_settings(window_model, replace(workload, swa_full=True))
    assert growth_of(window_model, whole, workload) == none


def test_a_checkpoint_holds_that_of_a_draft_that_has_some(window_model: ModelSpec) -> None:
    workload = Workload(context_tokens=2048, program="server")
    settings = resolve_settings(window_model, workload)
    one = checkpoint_bytes(window_model, settings)
    both = growth_of(window_model, settings, workload, draft=window_model)
    assert both == Growth(8 * GIB, 2 * one, 32, 1)


@pytest.mark.parametrize(
    ("name", "most"), [("cache_ram_mib", 16_777_216), ("ctx_checkpoints", 65_536)]
)
def test_a_limit_goes_as_far_as_is_said(plain_model: ModelSpec, name: str, most: int) -> None:
    settings = resolve_settings(plain_model, Workload())
    for taken in (0, most):
        growth_of(plain_model, settings, Workload(**{name: taken}))  # type: ignore[arg-type]
    for refused in (-1, most + 1, True, 1.0):
        with pytest.raises(InvalidRequestError, match=f"from 0 to {most:,}"):
            growth_of(plain_model, settings, Workload(**{name: refused}))  # type: ignore[arg-type]


def test_a_checkpoint_of_states_is_a_cell_and_a_row_of_each_kind(plain_model: ModelSpec) -> None:
    settings = resolve_settings(plain_model, Workload(context_tokens=1024))
    (layer, *_) = plain_model.layers
    kinds = (RecurrentState(100, 1000), RecurrentState(0, 500))
    layers = tuple(replace(layer, attention=None, recurrent=state) for state in kinds)
    # magic and sequence; one cell's head, position and count; layout; type and row of each kind
    rows = (12 + 4 * 100) + (12 + 4 * 1000) + (12 + 4 * 500)
    found = checkpoint_bytes(replace(plain_model, layers=layers), settings)
    assert found == 8 + 4 + 8 + 8 + rows


def test_positions_of_several_axes_take_twelve_bytes_more_a_cell(window_model: ModelSpec) -> None:
    settings = resolve_settings(window_model, Workload(context_tokens=1024))
    key = f"{window_model.architecture}.rope.dimension_sections"
    axes = replace(window_model, metadata={**window_model.metadata, key: (1, 1, 1)})
    more = checkpoint_bytes(axes, settings) - checkpoint_bytes(window_model, settings)
    assert more == 12 * 256


def test_a_context_shorter_than_a_window_is_all_there_is_to_save(window_model: ModelSpec) -> None:
    layers = tuple(
        replace(layer, attention=replace(layer.attention, window_tokens=1024))
        if isinstance(layer.attention, SlidingWindow)
        else layer
        for layer in window_model.layers
    )
    wide = replace(window_model, layers=layers)
    settings = resolve_settings(wide, Workload(context_tokens=512))
    cells, row = 512, 2 * 32 * 2
    assert checkpoint_bytes(wide, settings) == 24 + 12 * cells + 5 * 2 * (12 + cells * row)


def test_each_stream_of_a_cache_tells_its_cells(window_model: ModelSpec) -> None:
    one, three = (
        checkpoint_bytes(
            window_model, resolve_settings(window_model, Workload(context_tokens=8192, parallel=n))
        )
        for n in (1, 3)
    )
    assert three - one == 2 * 4
