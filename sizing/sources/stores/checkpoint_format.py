"""Whether the safetensors in a folder are MLX's: by its `config.json`, then by its name."""

from __future__ import annotations

import os
import re

from whatfits.sizing.errors import BadInputError
from whatfits.sizing.readers.hf_config import MAX_CONFIG_BYTES, read_hf_config
from whatfits.sizing.sources.stores.walk import read_small_file
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.sources.stores.stored import Format

__all__ = ["checkpoint_format", "config_format"]

_BLOCK: Final = "quantization"
_NAME: Final = "mlx"


def checkpoint_format(folder: str, *, repository: str = "") -> Format:
    """Return `mlx` or `safetensors` for a folder with safetensors, of a repository if it is one."""
    path = os.path.join(folder, "config.json")  # noqa: PTH118 - paths may be any bytes
    try:
        config = read_hf_config(read_small_file(path, most_bytes=MAX_CONFIG_BYTES))
    except BadInputError:
        return _by_name(folder, repository)
    return config_format(config.values) or _by_name(folder, repository)


def config_format(config: Mapping[str, object]) -> Format | None:
    """Return `mlx` for a configuration with MLX's own block of quantisation; else None.

    Its converter writes `quantization` with `group_size` and `bits`; nobody else has that key.
    Source: mlx-lm utils.py (quantize_model, save_config).
    """
    block = config.get(_BLOCK)
    return "mlx" if isinstance(block, dict) and "group_size" in block else None


def _by_name(folder: str, repository: str) -> Format:
    """Return the format that the name of the folder, or of the one it lies in, gives away."""
    above, name = os.path.split(os.path.normpath(folder))
    names = f"{os.path.basename(above)}-{name}-{repository}"  # noqa: PTH119 - paths may be any bytes
    return "mlx" if _NAME in re.split(r"[-_/]", names.lower()) else "safetensors"
