"""Vision and audio projectors (`mmproj`): exact weights, and an interval of working memory.

The whole file is read into one buffer of the first accelerator, or of the host. Its graph is
planned for a warm-up image whose size depends on the kind of projector; larger images make it
grow while the server runs, up to the most pixels its preprocessing lets through. The upper end of
the interval is that image, the middle the warm-up.
Source: llama.cpp (0c1e57098) tools/mtmd/clip.cpp (load_hparams, warmup, build_vit, build_attn),
tools/mtmd/clip-model.h (set_warmup_n_tokens, set_limit_image_tokens). Error: the middle equals
mtmd's own plan for SigLIP towers; other towers lie in the interval (tests/sizing).
"""

from __future__ import annotations

from whatfits.sizing.buffers import allocated_bytes
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.share import Part, Share
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.sizing.extras import Projector
    from whatfits.sizing.placement import Placement

__all__ = ["PROJECTOR_SOURCE", "Patches", "projector_part", "tower_compute", "tower_patches"]

PROJECTOR_SOURCE: Final = "llama.cpp (0c1e57098) tools/mtmd/clip.cpp"
_F32: Final = 4
_F16: Final = 2
_CHANNELS: Final = 3
_LEAST_SHARE: Final = 0.5
_MOST_SHARE: Final = 1.5
_AUDIO_FRAMES: Final = 3000  # clip-model.h: warmup_audio_size
_ATTENTION_ROWS: Final = 6  # residual, q, k, v, and keys and values once more in 16 bits


class _Rows(NamedTuple):
    """Rows of the hidden and of the inner width that are live in the feed-forward part."""

    hidden: int
    inner: int


_PLAIN_ROWS: Final = _Rows(3, 1)
_GATED_ROWS: Final = _Rows(4, 3)


class _Rule(NamedTuple):
    """How a kind of projector sizes images.

    Attributes:
        merge: patches a side that become one token, when the file does not say.
        warm_side: tokens a side of the warm-up image; 0: the image size of the file.
        most_tokens: most tokens of one image; 0: by the file's pixels, else the warm-up image.
        masked: its layers attend through a mask over all patches.
    """

    merge: int = 1
    warm_side: int = 0
    most_tokens: int = 0
    masked: bool = False


_RULES: Final = {
    "deepseek4v": _Rule(1, 16, 384),
    "dots3note_v": _Rule(2, 46),
    "dots_ocr": _Rule(1, 46),
    "exaone4_5": _Rule(2, 46, masked=True),
    "gemma4uv": _Rule(3, 16, 1120),
    "gemma4v": _Rule(3, 16, 1120),
    "glm4v": _Rule(2, 46, 4096),
    "glm5v": _Rule(2, 46),
    "hunyuanvl": _Rule(2, 32, 16384),
    "kimik25": _Rule(2, 64, 4096),
    "kimivl": _Rule(2, 16, 1024),
    "lfm2": _Rule(2, 16, 256),
    "lightonocr": _Rule(1, 16),
    "ling3vl": _Rule(2, 46, 4096),
    "mimovl": _Rule(2, 46, masked=True),
    "minimax_m3": _Rule(2, 16, 576),
    "muse-glimmer": _Rule(2, 32, 4096, masked=True),
    "paddleocr": _Rule(2, 28),
    "phi4": _Rule(1, 16),
    "pixtral": _Rule(1, 16, 1024),
    "qwen2.5o": _Rule(2, 46, 4096, masked=True),
    "qwen2.5vl_merger": _Rule(2, 46, 4096, masked=True),
    "qwen2vl_merger": _Rule(2, 46, 4096),
    "qwen3vl_merger": _Rule(2, 46, 4096),
    "youtuvl": _Rule(2, 16, 62500, masked=True),
}
_MERGE_KEYS: Final = ("clip.vision.spatial_merge_size", "clip.vision.projector.scale_factor")
_UNKNOWN_SIDE: Final = 46  # tokens a side where neither the kind nor the file says: the largest


class Patches(NamedTuple):
    """Patches of the warm-up image and of the largest one, and patches that make one token."""

    warm: int
    most: int
    merged: int


def tower_patches(projector: Projector, modality: str) -> Patches:
    """Return how many positions the tower works on."""
    if modality != "vision":
        return Patches(_AUDIO_FRAMES // 2, _AUDIO_FRAMES, 1)
    rule = _RULES.get(projector.kinds.get("vision", ""), _Rule())
    patch = max(1, _integer(projector, "clip.vision.patch_size") or 1)
    merge = next((n for key in _MERGE_KEYS if (n := _integer(projector, key))), rule.merge)
    image = _integer(projector, "clip.vision.image_size")
    if rule.warm_side:
        warm = (rule.warm_side * merge) ** 2
    elif image:
        warm = (image // patch) ** 2
    else:
        warm = (_UNKNOWN_SIDE * merge) ** 2
    pixels = _integer(projector, "clip.vision.image_max_pixels")
    most = pixels // patch**2 if pixels else rule.most_tokens * merge**2
    return Patches(warm, max(warm, most), merge**2)


def tower_compute(projector: Projector, modality: str, patches: int, *, merged: int) -> int:
    """Return the largest stage of the tower's graph over `patches` positions, in bytes."""
    width = _integer(projector, f"clip.{modality}.embedding_length")
    inner = _integer(projector, f"clip.{modality}.feed_forward_length")
    prefix = "v." if modality == "vision" else "a."
    gated = any(t.name.startswith(prefix) and ".ffn_gate." in t.name for t in projector.tensors)
    hidden = _F32 * width * patches
    rows = _GATED_ROWS if gated else _PLAIN_ROWS
    feed_forward = rows.hidden * hidden + rows.inner * _F32 * inner * patches
    attention = _ATTENTION_ROWS * hidden
    widest = max(
        (max(t.shape) for t in projector.tensors if t.name.startswith("mm.") and len(t.shape) > 1),
        default=0,
    )
    projection = hidden + 2 * _F32 * widest * -(-patches // merged)
    return max(feed_forward, attention, projection) + _mask(projector, modality, patches)


def _mask(projector: Projector, modality: str, patches: int) -> int:
    """Return the mask over all patches that some towers attend through, once more in 16 bits."""
    rule = _RULES.get(projector.kinds.get("vision", ""), _Rule())
    return (_F32 + _F16) * patches**2 if rule.masked and modality == "vision" else 0


def projector_part(projector: Projector, placement: Placement, *, offload: bool) -> Part:
    """Return what a projector takes: all on the first accelerator, or all on the host."""
    count = len(placement.accelerators)
    home = 0 if offload and count else count
    kind = placement.accelerators[0].kind if home < count else "cpu"
    weights = sum(
        allocated_bytes(t.type, t.shape[0], t.n_bytes, device_kind=kind) for t in projector.tensors
    )
    low = mid = high = inputs = 0
    for modality in projector.kinds:
        patches = tower_patches(projector, modality)
        warm, most = (
            tower_compute(projector, modality, n, merged=patches.merged)
            for n in (patches.warm, patches.most)
        )
        low += round(warm * _LEAST_SHARE)
        mid += warm
        fed = _inputs(projector, modality, patches.most)
        high += round(most * _MOST_SHARE) + fed + 2 * _largest_matrix(projector)
        inputs += fed
    shares = [Share()] * (count + 1)
    shares[home] = Share(
        weights_bytes=weights,
        compute_bytes=mid,
        low_bytes=weights + low,
        high_bytes=weights + high,
    )
    if home < count:  # what goes in is prepared on the host
        shares[count] = Share(high_bytes=inputs)
    return Part("projector", projector.name, tuple(shares))


def _largest_matrix(projector: Projector) -> int:
    """Return the bytes of the projection's largest matrix.

    Some towers turn it over first thing and keep the copy to the end; where the image is small it
    fits no hole, and what comes after it is pushed back by as much again.
    """
    return max((t.n_bytes for t in projector.tensors if t.name.startswith("mm.")), default=0)


def _inputs(projector: Projector, modality: str, patches: int) -> int:
    """Return the image (or sound) itself, its patches beside it, and the mask if there is one."""
    if modality != "vision":
        return _F32 * _AUDIO_FRAMES * max(1, _integer(projector, "clip.audio.num_mel_bins"))
    patch = _integer(projector, "clip.vision.patch_size")
    image = _F32 * _CHANNELS * patches * patch**2
    return 2 * image + _mask(projector, modality, patches)


def _integer(projector: Projector, key: str) -> int:
    value = projector.metadata.get(key)
    return value if type(value) is int else 0
