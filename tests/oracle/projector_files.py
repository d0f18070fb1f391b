"""Projector files without data: the towers people run, with the tensors mtmd asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from whatfits.bench.synthetic import write_synthetic_gguf
from whatfits.sizing.model import TensorSpec
from whatfits.sizing.quants.ggml_types import tensor_bytes

if TYPE_CHECKING:
    from pathlib import Path


class Tower(NamedTuple):
    """Shape of a vision tower; `merge` is the patches a side of one token."""

    kind: str
    width: int
    inner: int
    heads: int
    patch: int
    image: int
    merge: int = 1
    gated: bool = False
    fused: bool = False
    temporal: bool = False
    positions: int = 0
    patch_bias: bool = True
    class_token: bool = False
    layers: int = 2
    head: tuple[tuple[str, tuple[int, ...]], ...] = ()
    metadata: tuple[tuple[str, object], ...] = ()


def _mlp(n_in: int, hidden: int, out: int, names: tuple[str, str] = ("mm.0", "mm.2")) -> tuple:
    first, second = names
    return (
        (f"{first}.weight", (n_in, hidden)),
        (f"{first}.bias", (hidden,)),
        (f"{second}.weight", (hidden, out)),
        (f"{second}.bias", (out,)),
    )


TOWERS = {
    "gemma-3": Tower(
        "gemma3",
        1152,
        4304,
        16,
        14,
        896,
        positions=4096,
        head=(("mm.input_projection.weight", (2560, 1152)), ("mm.soft_emb_norm.weight", (1152,))),
    ),
    "qwen2-vl": Tower(
        "qwen2vl_merger",
        1280,
        5120,
        16,
        14,
        560,
        2,
        temporal=True,
        patch_bias=False,
        head=_mlp(5120, 5120, 3584),
    ),
    "qwen2.5-vl": Tower(
        "qwen2.5vl_merger",
        1280,
        3420,
        16,
        14,
        560,
        2,
        gated=True,
        temporal=True,
        patch_bias=False,
        layers=8,
        head=_mlp(5120, 5120, 3584),
        metadata=(("clip.vision.n_wa_pattern", 8), ("clip.vision.projection_dim", 3584)),
    ),
    "qwen3-vl": Tower(
        "qwen3vl_merger",
        1152,
        4304,
        16,
        16,
        768,
        2,
        fused=True,
        temporal=True,
        positions=2304,
        head=_mlp(4608, 4608, 4096),
        metadata=(("clip.vision.is_deepstack_layers", (False, False)),),
    ),
    "pixtral": Tower(
        "pixtral",
        1024,
        4096,
        16,
        14,
        1540,
        2,
        gated=True,
        patch_bias=False,
        head=(
            *_mlp(1024, 5120, 5120, ("mm.1", "mm.2")),
            ("mm.input_norm.weight", (1024,)),
            ("mm.patch_merger.weight", (4096, 1024)),
            ("v.token_embd.img_break", (5120,)),
        ),
    ),
    "llava-1.5": Tower(
        "mlp",
        1024,
        4096,
        16,
        14,
        336,
        positions=577,
        class_token=True,
        patch_bias=False,
        head=_mlp(1024, 4096, 4096),
        metadata=(("clip.has_llava_projector", True),),
    ),
    "internvl": Tower(
        "internvl",
        1024,
        4096,
        16,
        14,
        448,
        2,
        positions=1025,
        class_token=True,
        head=(
            ("mm.model.mlp.0.weight", (4096,)),
            ("mm.model.mlp.0.bias", (4096,)),
            *_mlp(4096, 2048, 2048, ("mm.model.mlp.1", "mm.model.mlp.3")),
        ),
        metadata=(("clip.vision.projector.scale_factor", 2),),
    ),
    "idefics3": Tower(
        "idefics3",
        768,
        3072,
        12,
        16,
        512,
        4,
        positions=1024,
        head=(("mm.model.fc.weight", (12288, 960)),),
        metadata=(("clip.vision.projector.scale_factor", 4),),
    ),
    "kimi-vl": Tower(
        "kimivl",
        1152,
        4304,
        16,
        14,
        896,
        2,
        positions=4096,
        head=(
            ("mm.input_norm.weight", (1152,)),
            ("mm.input_norm.bias", (1152,)),
            *_mlp(4608, 4608, 2048, ("mm.1", "mm.2")),
        ),
        metadata=(("clip.vision.projector.scale_factor", 2),),
    ),
}

_GEMMA, _PIXTRAL, _QWEN = TOWERS["gemma-3"], TOWERS["pixtral"], TOWERS["qwen2.5-vl"]
TOWERS |= {
    "gemma-3, small image": _GEMMA._replace(image=448, positions=1024),
    "gemma-3, tiny image": _GEMMA._replace(image=224, positions=256),
    "gemma-3, narrow inside": _GEMMA._replace(inner=1152),
    "pixtral, wide": _PIXTRAL._replace(
        width=1664,
        inner=8192,
        head=(
            *_mlp(1664, 5120, 5120, ("mm.1", "mm.2")),
            ("mm.input_norm.weight", (1664,)),
            ("mm.patch_merger.weight", (6656, 1664)),
            ("v.token_embd.img_break", (5120,)),
        ),
    ),
    "qwen2.5-vl, narrow": _QWEN._replace(width=1024, inner=2048, head=_mlp(4096, 4096, 3584)),
}


def write_projector(tower: Tower, path: Path) -> tuple[int, ...]:
    """Write a tower as a sparse file and return the bytes of each of its tensors."""
    tensors = [_tensor(name, shape) for name, shape in _shapes(tower)]
    metadata = {
        "general.architecture": "clip",
        "clip.has_vision_encoder": True,
        "clip.projector_type": tower.kind,
        "clip.vision.image_size": tower.image,
        "clip.vision.patch_size": tower.patch,
        "clip.vision.embedding_length": tower.width,
        "clip.vision.feed_forward_length": tower.inner,
        "clip.vision.projection_dim": 2048,
        "clip.vision.block_count": tower.layers,
        "clip.vision.attention.head_count": tower.heads,
        "clip.vision.attention.layer_norm_epsilon": 1e-6,
        "clip.vision.image_mean": (0.5, 0.5, 0.5),
        "clip.vision.image_std": (0.5, 0.5, 0.5),
        "clip.vision.spatial_merge_size": tower.merge,
        "clip.use_silu": tower.gated,
        "clip.use_gelu": not tower.gated,
        **dict(tower.metadata),
    }
    write_synthetic_gguf(path, metadata=metadata, tensors=tensors)
    return tuple(tensor.n_bytes for tensor in tensors)


def _tensor(name: str, shape: tuple[int, ...]) -> TensorSpec:
    kind = "F16" if len(shape) > 1 and "position" not in name else "F32"
    return TensorSpec(name, shape, kind, tensor_bytes(kind, shape), "input")


def _shapes(tower: Tower) -> list[tuple[str, tuple[int, ...]]]:
    width, patch = tower.width, tower.patch
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("v.patch_embd.weight", (patch, patch, 3, width)),
        ("v.post_ln.weight", (width,)),
        ("v.post_ln.bias", (width,)),
    ]
    if tower.temporal:
        shapes.append(("v.patch_embd.weight.1", (patch, patch, 3, width)))
    if tower.patch_bias:
        shapes.append(("v.patch_embd.bias", (width,)))
    if tower.positions:
        shapes.append(("v.position_embd.weight", (width, tower.positions)))
    if tower.class_token:
        shapes += [("v.class_embd", (width,))]
        shapes += [(f"v.pre_ln.{part}", (width,)) for part in ("weight", "bias")]
    for index in range(tower.layers):
        shapes += [(f"v.blk.{index}.{name}", shape) for name, shape in _block(tower)]
    return [*shapes, *tower.head]


def _block(tower: Tower) -> list[tuple[str, tuple[int, ...]]]:
    width, inner = tower.width, tower.inner
    matrices = {"attn_out": (width, width), "ffn_up": (width, inner), "ffn_down": (inner, width)}
    if tower.fused:
        matrices["attn_qkv"] = (width, 3 * width)
    else:
        matrices |= dict.fromkeys(("attn_q", "attn_k", "attn_v"), (width, width))
    if tower.gated:
        matrices["ffn_gate"] = (width, inner)
    shapes: list[tuple[str, tuple[int, ...]]] = []
    for name, shape in matrices.items():
        shapes += [(f"{name}.weight", shape), (f"{name}.bias", (shape[1],))]
    for name in ("ln1", "ln2"):
        shapes += [(f"{name}.weight", (width,)), (f"{name}.bias", (width,))]
    return shapes
