"""The block of compressed-tensors (llm-compressor) → how a checkpoint stores its matrices.

Source: neuralmagic/compressed-tensors src/compressed_tensors/quantization/quant_config.py and
quant_scheme.py for the fields; `compressed_tensors` beside this file for the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from whatfits.sizing.errors import printable
from whatfits.sizing.quants.layouts.block import (
    CheckpointQuantisation,
    bits_said,
    grouped,
    listed,
    number,
)
from whatfits.sizing.quants.layouts.compressed_tensors import (
    int8_parts,
    mxfp4_parts,
    pack_quantized_parts,
)
from whatfits.sizing.quants.layouts.fp8 import Fp8Scaling, fp8_parts
from whatfits.sizing.quants.layouts.name_patterns import NamePatterns
from whatfits.sizing.quants.layouts.nvfp4 import nvfp4_parts
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from whatfits.sizing.quants.layouts.checkpoint import Layout

__all__ = ["compressed_tensors"]

_BLOCK: Final = 128
_EVERY_LINEAR: Final = "Linear"
_MXFP4: Final = "mxfp4-pack-quantized"
_CONVERTED: Final = frozenset(
    {"float-quantized", "int-quantized", "naive-quantized", "pack-quantized"}
)


def compressed_tensors(block: Mapping[str, object]) -> CheckpointQuantisation:
    """Return how a checkpoint with this block is quantised.

    Several groups of modules have no layout here: which module is in which is not worked out.
    """
    groups = block.get("config_groups")
    groups = groups if isinstance(groups, Mapping) else {}
    first = next(iter(groups.values()), None)
    group = first if isinstance(first, Mapping) else {}
    weights = group.get("weights")
    scheme = weights if isinstance(weights, Mapping) else {}
    form = block.get("format")
    form = form if isinstance(form, str) else "unknown format"
    make = _FORMATS.get(form)
    several = len(groups) > 1
    # Kimi publishes blocks without groups: four bits in groups of 32 are what MXFP4 always has.
    described = bool(scheme) or form == _MXFP4
    bits = number(scheme, "num_bits", default=None) or bits_said(block)
    label = f"compressed-tensors {printable(form)}"
    if bits is not None and not several and "group_size" in scheme:
        label = grouped(label, bits, number(scheme, "group_size", default=-1) or -1)
    return CheckpointQuantisation(
        "compressed-tensors",
        label,
        bits if bits is not None or form != _MXFP4 else 4,
        None if make is None or several or not described else make(scheme, _inputs(group)),
        listed(block, "ignore"),
        only=_targets(group),
        converts=not several and form in _CONVERTED,
        native="mxfp4" if form == _MXFP4 else None,
    )


def _inputs(group: Mapping[str, object]) -> Mapping[str, object]:
    """Return how activations are quantised, empty when they are not."""
    found = group.get("input_activations")
    return found if isinstance(found, Mapping) else {}


def _targets(group: Mapping[str, object]) -> NamePatterns:
    """Return the modules a group is for; nothing named where it is for every linear layer."""
    targets = group.get("targets")
    names = [one for one in targets if isinstance(one, str)] if isinstance(targets, list) else []
    return NamePatterns(() if _EVERY_LINEAR in names else names)


def _packed(scheme: Mapping[str, object], _activations: Mapping[str, object]) -> Layout:
    return partial(
        pack_quantized_parts,
        bits=number(scheme, "num_bits", default=4) or 4,
        group=number(scheme, "group_size", default=-1) or -1,
        symmetric=scheme.get("symmetric") is not False,
        reordered=scheme.get("actorder") == "group",
    )


def _whole_bytes(scheme: Mapping[str, object], inputs: Mapping[str, object]) -> Layout:
    """Return the layout of whole bytes: FP8 by block, row or tensor; eight-bit integers by row.

    Fixed scales of activations have the width of the weights' scales.
    """
    if scheme.get("type") == "int":
        return int8_parts
    static = inputs.get("dynamic") is False
    structure = scheme.get("block_structure")
    if isinstance(structure, list) and len(structure) == 2:  # noqa: PLR2004 - rows, columns
        rows, columns = (n if type(n) is int and n > 0 else _BLOCK for n in structure)
        return partial(fp8_parts, block=(rows, columns), scale_bytes=2, static_input=static)
    scaling: Fp8Scaling = "row" if scheme.get("strategy") == "channel" else "tensor"
    return partial(fp8_parts, scaling=scaling, scale_bytes=2, static_input=static)


def _nvfp4(_scheme: Mapping[str, object], inputs: Mapping[str, object]) -> Layout:
    """Return NVFP4; a scheme for weights alone (W4A16) has no scale of the activations."""
    return partial(nvfp4_parts, quantised_inputs=bool(inputs))


def _mxfp4(_scheme: Mapping[str, object], _activations: Mapping[str, object]) -> Layout:
    return mxfp4_parts


_FORMATS: Final[Mapping[str, Callable[[Mapping[str, object], Mapping[str, object]], Layout]]] = {
    "pack-quantized": _packed,
    "float-quantized": _whole_bytes,
    "naive-quantized": _whole_bytes,
    "int-quantized": _whole_bytes,
    "nvfp4-pack-quantized": _nvfp4,
    _MXFP4: _mxfp4,
}
