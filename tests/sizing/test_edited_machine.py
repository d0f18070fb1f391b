"""A saved machine whose amounts were edited by hand is never answered by what they were before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from whatfits.sizing.api import check, load_machine
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.json_values import to_json_value
from whatfits.sizing.machine import Pool
from whatfits.sizing.units import GIB


def saved(name: str, **edited: int | None) -> dict[str, Any]:
    """Return the JSON of a machine, fields of its first pool edited."""
    machine: dict[str, Any] = to_json_value(load_machine(name))
    machine["pools"][0] |= edited
    return machine


@pytest.mark.parametrize(
    ("name", "edited", "said"),
    [
        # the lower end of 24 GiB still stands beside it
        ("rtx 3090 + 16gb", {"total_bytes": 8 * GIB}, "at most total_bytes, 8589934592"),
        ("m4 max 64gb", {"limit_bytes": 8 * GIB}, "at most limit_bytes, 8589934592"),
        ("rtx 3090 + 16gb", {"total_low_bytes": -1}, "0 or more"),
        ("m4 max 64gb", {"limit_low_bytes": -1}, "0 or more"),
    ],
)
def test_a_lower_end_above_its_amount_is_refused(
    name: str, edited: dict[str, int], said: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check("qwen3-8b", machine=saved(name, **edited))
    assert said in str(caught.value)


def test_an_edited_total_counts_once_its_lower_end_is_gone() -> None:
    smaller = saved("rtx 3090 + 16gb", total_bytes=8 * GIB, total_low_bytes=None)
    assert check("qwen3-8b", file_type="F16", machine=smaller).verdict != "fits"
    assert check("qwen3-8b", file_type="F16", machine=saved("rtx 3090 + 16gb")).verdict == "fits"


def test_a_promise_never_rests_on_more_than_there_is() -> None:
    pool = Pool("vram0", "vram", 24 * GIB, total_low_bytes=23 * GIB, limit_low_bytes=22 * GIB)
    assert pool.free_low_bytes == 22 * GIB
    smaller = replace(pool, total_bytes=8 * GIB)
    assert smaller.free_low_bytes == smaller.allowance_low_bytes == 8 * GIB
    assert replace(pool, total_bytes=None).free_low_bytes is None
