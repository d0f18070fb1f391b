"""Files of a model that were made before its prediction layers were kept: they have fewer layers.

A catalog model is sized as it is converted today. A program that counts layers from the end, as
`-ngl` does, would put more of an older file on the devices than was planned.
Source: llama.cpp (0c1e57098) llama-model.cpp:load_tensors (the first layer on a device is
block_count + 1 - n_gpu_layers); conversion/qwen.py (block_count includes mtp_num_hidden_layers).
"""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial

__all__ = ["older_file_note"]


def older_file_note(spec: ModelSpec, trial: Trial) -> tuple[str, ...]:
    """Return which number of layers an older file wants; nothing where it is the same.

    The program cuts a number that is beyond all layers, so only a part of them matters. Layers
    that are shared out are counted from the front, experts on the host too: both stay as they are.
    """
    extra, told = spec.hparams.n_layer_nextn, trial.placement.gpu_layers
    kept = spec.n_layers + extra
    is_file = spec.source != "catalog" and not spec.planned
    if is_file or not extra or not 1 < told <= kept or not trial.placement.accelerators:
        return ()
    counted = f"block_count {spec.n_layers}, not {kept}"
    which = f"A file made before prediction layers were kept ({counted})"
    return (f"{which} has to get {max(1, told - extra)} layers on devices instead of {told}.",)
