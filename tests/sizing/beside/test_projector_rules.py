"""Projectors' own numbers: images as tools/mtmd/clip.cpp sizes them, and stages worked out by hand.

A side of the warm-up image and the most tokens of an image are those that clip.cpp sets for a kind
of projector (load_hparams); a patch of 14 and two layers' widths are made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from whatfits.sizing.extras import Projector, ProjectorTensor
from whatfits.sizing.placement import place_layers
from whatfits.sizing.projector import Patches, projector_part, tower_compute, tower_patches
from whatfits.sizing.workload import PlacementRequest

if TYPE_CHECKING:
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec

PATCH, WIDTH, INNER = 14, 64, 128
# kind: patches a side of a token, tokens a side of the warm-up image, most tokens of an image
SIZES = {
    "deepseek4v": (1, 16, 384),
    "dots3note_v": (2, 46, None),
    "dots_ocr": (1, 46, None),
    "exaone4_5": (2, 46, None),
    "gemma4uv": (3, 16, 1120),
    "gemma4v": (3, 16, 1120),
    "glm4v": (2, 46, 4096),
    "glm5v": (2, 46, None),
    "hunyuanvl": (2, 32, 16384),
    "kimik25": (2, 64, 4096),
    "kimivl": (2, 16, 1024),
    "lfm2": (2, 16, 256),
    "lightonocr": (1, 16, None),
    "ling3vl": (2, 46, 4096),
    "mimovl": (2, 46, None),
    "minimax_m3": (2, 16, 576),
    "muse-glimmer": (2, 32, 4096),
    "paddleocr": (2, 28, None),
    "phi4": (1, 16, None),
    "pixtral": (1, 16, 1024),
    "qwen2.5o": (2, 46, 4096),
    "qwen2.5vl_merger": (2, 46, 4096),
    "qwen2vl_merger": (2, 46, 4096),
    "qwen3vl_merger": (2, 46, 4096),
    "youtuvl": (2, 16, 62500),
}
MASKED = {"exaone4_5", "mimovl", "muse-glimmer", "qwen2.5o", "qwen2.5vl_merger", "youtuvl"}


def eyes(kind: str, *tensors: ProjectorTensor, **keys: object) -> Projector:
    """Return a vision tower; keys are those below `clip.vision`."""
    metadata = {
        "clip.vision.patch_size": PATCH,
        "clip.vision.embedding_length": WIDTH,
        "clip.vision.feed_forward_length": INNER,
        **{f"clip.vision.{key}": value for key, value in keys.items()},
    }
    return Projector("eyes", {"vision": kind}, tensors, metadata)


def matrix(name: str, *shape: int) -> ProjectorTensor:
    size = 2
    for dimension in shape:
        size *= dimension
    return ProjectorTensor(name, shape, "F16", size)


@pytest.mark.parametrize("kind", SIZES)
def test_an_image_has_the_patches_that_clip_gives_its_kind(kind: str) -> None:
    merge, side, most = SIZES[kind]
    warm = (merge * side) ** 2
    largest = warm if most is None else max(warm, most * merge**2)
    assert tower_patches(eyes(kind), "vision") == Patches(warm, largest, merge**2)


@pytest.mark.parametrize("kind", [*SIZES, "unheard-of"])
def test_towers_that_attend_through_a_mask_pay_for_it(kind: str) -> None:
    patches = 400
    rows = 6 * 4 * WIDTH * patches  # residual, q, k, v, and k and v once more in 16 bits
    mask = (4 + 2) * patches**2 if kind in MASKED else 0
    assert tower_compute(eyes(kind), "vision", patches, merged=4) == rows + mask
    # what a sound goes through has none
    assert tower_compute(eyes(kind), "audio", patches, merged=4) == 0


def test_the_file_says_how_patches_merge_before_the_kind_does() -> None:
    assert tower_patches(eyes("pixtral", spatial_merge_size=2), "vision").merged == 4
    scaled = eyes("pixtral", **{"projector.scale_factor": 3})
    assert tower_patches(scaled, "vision") == Patches(48**2, 1024 * 9, 9)


def test_pixels_of_the_file_come_before_tokens_of_the_kind() -> None:
    sized = eyes("qwen3vl_merger", image_max_pixels=PATCH**2 * 9000 + 5)
    assert tower_patches(sized, "vision") == Patches(92**2, 9000, 4)
    small = eyes("qwen3vl_merger", image_max_pixels=PATCH**2)
    assert tower_patches(small, "vision") == Patches(92**2, 92**2, 4)


def test_without_a_size_of_its_kind_an_image_is_as_large_as_the_file_says() -> None:
    assert tower_patches(eyes("gemma3", image_size=896), "vision") == Patches(4096, 4096, 1)
    plain = Projector("eyes", {"vision": "gemma3"}, (), {"clip.vision.image_size": 8})
    assert tower_patches(plain, "vision") == Patches(64, 64, 1)  # a patch is a pixel
    for wrong in (True, "14", None):
        told = eyes("gemma3", image_size=8, patch_size=wrong)
        assert tower_patches(told, "vision").warm == 64


def test_the_widest_stage_is_attention_feed_forward_or_the_projection() -> None:
    n, hidden = 100, 4 * WIDTH * 100
    assert tower_compute(eyes("gemma3"), "vision", n, merged=1) == 6 * hidden
    wide = eyes("gemma3", feed_forward_length=1000)
    assert tower_compute(wide, "vision", n, merged=1) == 3 * hidden + 4 * 1000 * n
    gate = matrix("v.blk.0.ffn_gate.weight", WIDTH, 1000)
    gated = eyes("gemma3", gate, feed_forward_length=1000)
    assert tower_compute(gated, "vision", n, merged=1) == 4 * hidden + 3 * 4 * 1000 * n
    elsewhere = matrix("a.blk.0.ffn_gate.weight", WIDTH, 1000)
    deaf = eyes("gemma3", elsewhere, feed_forward_length=1000)
    assert tower_compute(deaf, "vision", n, merged=1) == 3 * hidden + 4 * 1000 * n
    # rows of four patches each, the last one not full: 25 of 97 patches; a vector is no matrix
    out = (matrix("mm.0.weight", 256, 5000), matrix("mm.0.bias", 9000), matrix("v.x", 9999, 2))
    projected = tower_compute(eyes("gemma3", *out), "vision", 97, merged=4)
    assert projected == 4 * WIDTH * 97 + 2 * 4 * 5000 * 25


def test_a_projector_on_a_card_leaves_what_goes_in_to_the_host(
    plain_model: ModelSpec, gpu_box: Machine
) -> None:
    tensors = (matrix("mm.0.weight", 64, 64), matrix("mm.2.weight", 64, 96), matrix("v.y", 640, 64))
    projector = eyes("qwen2.5vl_merger", *tensors)
    placement = place_layers(plain_model.n_layers, PlacementRequest(), gpu_box)
    first, second, host = projector_part(projector, placement, offload=True).shares
    weights = sum(tensor.n_bytes for tensor in tensors)
    patches = tower_patches(projector, "vision")
    warm, most = (
        tower_compute(projector, "vision", n, merged=4) for n in (patches.warm, patches.most)
    )
    # the image, its patches beside it, three channels of 32 bits a pixel, and the mask
    fed = 2 * 4 * 3 * patches.most * PATCH**2 + 6 * patches.most**2
    assert (first.weights_bytes, first.compute_bytes) == (weights, warm)
    assert first.low_bytes == weights + warm // 2
    assert first.high_bytes == weights + most * 3 // 2 + fed + 2 * 64 * 96 * 2
    assert second.high_bytes == 0
    assert (host.low_bytes, host.high_bytes, host.total_bytes) == (0, fed, 0)
    *cards, all_here = projector_part(projector, placement, offload=False).shares
    assert all(card.high_bytes == 0 for card in cards)
    assert (all_here.low_bytes, all_here.high_bytes) == (first.low_bytes, first.high_bytes)


def test_ears_without_a_number_of_bins_hear_one(plain_model: ModelSpec, host_box: Machine) -> None:
    placement = place_layers(plain_model.n_layers, PlacementRequest(), host_box)
    ears = Projector("ears", {"audio": "ultravox"}, ())
    (host,) = projector_part(ears, placement, offload=True).shares
    assert (host.low_bytes, host.compute_bytes, host.high_bytes) == (0, 0, 4 * 3000)
    both = Projector("both", {"vision": "gemma3", "audio": "ultravox"}, (), eyes("x").metadata)
    (host,) = projector_part(both, placement, offload=True).shares
    seen = 46**2
    assert host.compute_bytes == 6 * 4 * WIDTH * seen
    assert host.high_bytes == 9 * 4 * WIDTH * seen + 2 * 4 * 3 * seen * PATCH**2 + 4 * 3000
