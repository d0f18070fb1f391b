"""What catalog models take of each device, worked out when the catalog is built.

With it a whole catalog is ranked without making a single tensor table. Only the usual case is
stored: llama-server with its defaults, everything on one accelerator, on two equal ones or on the
CPU, a few contexts, the file types of the ladder. Every figure equals the engine's to the byte;
what is not stored is None here, and the engine is asked. Bytes of an accelerator depend on its
kind, those of a CPU on the features that decide where weights are rearranged (`KINDS`).
"""

from __future__ import annotations

from whatfits.sizing.buffers import has_pinned_host_memory
from whatfits.sizing.catalog.index_file import open_index, read_json
from whatfits.sizing.graph.fused import is_told
from whatfits.sizing.placement import layer_devices, usable_accelerators
from whatfits.sizing.quants.repack import deciding_features
from whatfits.sizing.share import Share
from whatfits.sizing.speed.terms import Term
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Final

    from whatfits.sizing.machine import Machine
    from whatfits.sizing.placement import Placement

__all__ = [
    "CONTEXTS",
    "FILE_NAME",
    "KINDS",
    "WORK_FILE_NAME",
    "StoredModel",
    "kind_of_machine",
    "splits_evenly",
    "stored_decode_terms",
    "stored_model",
]

FILE_NAME: Final = "shares.json"
WORK_FILE_NAME: Final = "decode_work.jsonl"
CONTEXTS: Final = (4096, 8192, 16384, 32768, 65536, 131072, 262144)
_CPU: Final = "cpu"
# what makes a graph lie elsewhere, or be laid out differently, than on other devices of its kind
_ODD_FEATURES: Final = frozenset({"no_flash_attention", "no_async"})
# (kind of the accelerators or `cpu`, features that decide where the host's weights lie)
KINDS: Final = {
    "2x cuda": ("cuda", ()),
    "cuda": ("cuda", ()),
    "rocm": ("rocm", ()),
    "vulkan": ("vulkan", ()),
    "metal": ("metal", ()),
    "metal dotprod": ("metal", ("dotprod",)),
    "metal dotprod i8mm": ("metal", ("dotprod", "i8mm")),
    "cpu": (_CPU, ()),
    "cpu avx2": (_CPU, ("avx2",)),
    "cpu avx2 avx512f": (_CPU, ("avx2", "avx512f")),
    "cpu dotprod": (_CPU, ("dotprod",)),
    "cpu dotprod i8mm": (_CPU, ("dotprod", "i8mm")),
}


def kind_of_machine(machine: Machine) -> str | None:
    """Return which of `KINDS` a machine is; None when what it takes is not stored.

    Over several accelerators layers are stored as equal shares split them: see `splits_evenly`.
    """
    accelerators = usable_accelerators(machine)
    host = machine.host
    kinds = {device.kind for device in accelerators} or {_CPU}
    odd = {feature for device in accelerators for feature in device.features} & _ODD_FEATURES
    if host is None or len(kinds) > 1 or odd or not all(map(is_told, accelerators)):
        return None
    if len(accelerators) > 1:
        pools = {host.pool, *(device.pool for device in accelerators)}
        if len(pools) <= len(accelerators):
            return None  # two of them compute out of one pool
    kind = next(iter(kinds))
    features: frozenset[str] = frozenset()
    if not has_pinned_host_memory(kind):
        features = deciding_features(frozenset(host.features))
    count = f"{len(accelerators)}x " if len(accelerators) > 1 else ""
    name = count + " ".join((kind, *sorted(features)))
    return name if name in KINDS else None


def splits_evenly(placement: Placement) -> bool:
    """Return whether layers lie where equal accelerators would have them, as they are stored."""
    count = len(placement.accelerators)
    if count < 2:  # noqa: PLR2004 - nothing to split
        return True
    even = layer_devices(len(placement.layer_device), placement.gpu_layers, [1.0] * count)
    return (*placement.layer_device, placement.output_device) == even


class StoredModel:
    """One catalog model as it is stored.

    Attributes:
        file_types: stored ones, best first; or only the native one.
        contexts: stored ones, in tokens, the default first.
        n_layers: layers, those that predict further tokens included.
        context_train_tokens: context it was trained for; None when unknown.
        parameters: all weights.
        active_parameters: weights used for one token.
    """

    __slots__ = (
        "_record",
        "active_parameters",
        "context_train_tokens",
        "contexts",
        "file_types",
        "n_layers",
        "parameters",
    )

    def __init__(self, record: dict[str, Any]) -> None:
        self._record = record
        self.n_layers: int = record["layers"]
        self.context_train_tokens: int | None = record["trained"]
        self.parameters: int | None = record["parameters"]
        self.active_parameters: int | None = record["active"]
        self.file_types: list[str] = record["types"]
        self.contexts: list[int] = record["contexts"]

    @property
    def default_type(self) -> str:
        """The file type when none is asked for."""
        return self.file_types[-1]

    @property
    def default_context_tokens(self) -> int:
        """The context when none is asked for."""
        return self.contexts[0]

    def shares(self, kind: str, file_type: str, context_tokens: int) -> list[Share] | None:
        """Return a share for each accelerator, and the host's last; None when it is not stored."""
        record = self._record
        place = record["on"].get(kind)
        if place is None or file_type not in self.file_types or context_tokens not in self.contexts:
            return None
        stored = record["places"][place]
        at = self.contexts.index(context_tokens)
        weights = stored["weights"][self.file_types.index(file_type)]
        caches, working = stored["caches"][at], stored["working"][at]
        outputs = [0] * (len(weights) - 1) + [record["output"]]
        return [_share(*parts) for parts in zip(weights, caches, working, outputs, strict=True)]


def _share(weights: int, cache: int, working: int | list[int], output: int) -> Share:
    """Return a share; working memory is one number where it is exact, else low, middle, high."""
    low, mid, high = (working,) * 3 if isinstance(working, int) else working
    certain = weights + cache + output
    return Share(
        weights_bytes=weights,
        kv_cache_bytes=cache,
        compute_bytes=mid,
        output_bytes=output,
        low_bytes=certain + low,
        high_bytes=certain + high,
    )


def stored_model(model_id: str) -> StoredModel | None:
    """Return what is stored of a catalog model; None when nothing is."""
    record = read_json(FILE_NAME)["models"].get(model_id)
    return None if record is None else StoredModel(record)


def stored_decode_terms(model_id: str, file_type: str, accelerators: int) -> list[Term] | None:
    """Return the terms of one step of decoding, in bytes and counts, with nothing on the host.

    After a short prompt, with every default. An embedding model, which writes nothing, has none;
    None when that is not stored.
    """
    index = open_index(WORK_FILE_NAME)
    number = index.header["models"].get(model_id)
    if number is None:
        return None
    terms = index.entry(number).get(file_type)
    if terms is None:
        return None
    return [Term(at, amount, tuple(costs)) for at, amount, *costs in terms[accelerators]]
