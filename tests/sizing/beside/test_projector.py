"""Projectors: exact weights, and working memory against what mtmd itself plans."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from projector_files import TOWERS, write_projector

from whatfits.sizing.api import answer
from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.placement import resolve_placement
from whatfits.sizing.projector import projector_part, tower_compute, tower_patches
from whatfits.sizing.sources.extra_files import load_extras
from whatfits.sizing.units import pad
from whatfits.sizing.workload import PlacementRequest, Workload

if TYPE_CHECKING:
    from whatfits.sizing.extras import Extras, Projector
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

ASK = Path(__file__).parents[2] / "oracle" / "ask_mtmd.py"
EXACT = ("gemma-3", "idefics3")


def _projector(model: ModelSpec, path: Path) -> Projector:
    extras: Extras = load_extras(model, Workload(mmproj=str(path)))
    assert extras.projector is not None
    return extras.projector


@pytest.mark.oracle
@pytest.mark.parametrize("name", TOWERS)
def test_mtmds_own_plan_lies_in_the_interval(
    name: str, plain_model: ModelSpec, host_box: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "mmproj.gguf"
    sizes = write_projector(TOWERS[name], path)
    said = subprocess.run(
        [sys.executable, str(ASK), str(path)], capture_output=True, text=True, check=True
    )
    planned = int(said.stdout.split()[-1])  # its weights without the buffer's padding
    projector = _projector(plain_model, path)
    placement = resolve_placement(plain_model, PlacementRequest(), host_box)
    host = projector_part(projector, placement, offload=True).shares[-1]
    assert host.weights_bytes == sum(pad(size, 32) for size in sizes)
    assert host.low_bytes <= planned <= host.high_bytes
    if name in EXACT:
        assert host.compute_bytes == planned - sum(sizes)


def test_the_whole_file_lies_on_the_first_accelerator(
    plain_model: ModelSpec, gpu_box: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "mmproj.gguf"
    write_projector(TOWERS["gemma-3"], path)
    projector = _projector(plain_model, path)
    placement = resolve_placement(plain_model, PlacementRequest(), gpu_box)
    first, second, host = projector_part(projector, placement, offload=True).shares
    assert first.weights_bytes > 0
    assert (second.total_bytes, host.total_bytes) == (0, 0)
    kept = projector_part(projector, placement, offload=False).shares
    assert (kept[0].total_bytes, kept[1].total_bytes) == (0, 0)
    assert kept[2].weights_bytes > 0


def test_larger_images_raise_the_upper_end_only(plain_model: ModelSpec, tmp_path: Path) -> None:
    path = tmp_path / "mmproj.gguf"
    write_projector(TOWERS["qwen3-vl"], path)
    projector = _projector(plain_model, path)
    patches = tower_patches(projector, "vision")
    assert (patches.warm, patches.most) == ((46 * 2) ** 2, 4096 * 4)
    warm, most = (
        tower_compute(projector, "vision", n, merged=patches.merged)
        for n in (patches.warm, patches.most)
    )
    assert most > warm


def test_an_answer_lists_the_projector_apart_and_counts_it(
    plain_model: ModelSpec, gpu_box: Machine, tmp_path: Path
) -> None:
    path = tmp_path / "mmproj.gguf"
    write_projector(TOWERS["gemma-3"], path)
    workload = Workload(mmproj=str(path))
    plan = answer(plain_model, machine=gpu_box, workload=workload, request=PlacementRequest())
    bare = answer(plain_model, machine=gpu_box, workload=Workload(), request=PlacementRequest())
    (part,) = plan.memory.parts
    assert (part.kind, part.name) == ("projector", "mmproj")
    assert plan.memory.total_bytes - bare.memory.total_bytes == part.total_bytes
    assert f"--mmproj {path}" in plan.commands["llama.cpp"][0]


def test_a_text_model_is_no_projector(plain_model: ModelSpec, tmp_path: Path) -> None:
    from comparison import write_model

    path = tmp_path / "model.gguf"
    write_model(plain_model, path)
    with pytest.raises(InvalidRequestError, match="projector file"):
        load_extras(plain_model, Workload(mmproj=str(path)))
