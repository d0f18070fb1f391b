"""A safetensors checkpoint or a bare `config.json` as the GGUF it becomes.

llama.cpp loads no safetensors: what it takes is the GGUF that its converter and `llama-quantize`
make of the checkpoint, under the file type that was asked for. What lies on disk is in the notes.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from whatfits.sizing.architectures import find_entry, spec_from_config
from whatfits.sizing.errors import UnsupportedArchitectureError, printable
from whatfits.sizing.quants.default_type import chosen_file_type
from whatfits.sizing.quants.layouts.from_config import checkpoint_quantisation
from whatfits.sizing.readers.checkpoint_shape import bytes_by_type, counts_of, parameters_of
from whatfits.sizing.sources.checkpoint_files import CONFIG, Checkpoint, read_checkpoint
from whatfits.sizing.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.quants.layouts.from_config import CheckpointQuantisation

__all__ = ["display_name", "load_checkpoint_model"]

_TYPES_SHOWN: Final = 4
_FILES_SHOWN: Final = 5
_SNAPSHOTS: Final = "snapshots"
_CACHE_PREFIX: Final = "models--"
_SAME: Final = (
    ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    ("hidden_size", "n_embd", "d_model", "dim"),
    ("num_attention_heads", "n_head", "n_heads"),
    ("num_key_value_heads", "n_kv_heads", "num_kv_heads"),
    ("intermediate_size", "n_inner", "hidden_dim", "ffn_dim"),
    ("vocab_size", "padded_vocab_size"),
    ("head_dim",),
)
_TEXT: Final = "text_config"


def load_checkpoint_model(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model of a folder, a .safetensors file, its index or a config.json.

    Raises:
        UnreadableFileError: missing, not permitted, not a checkpoint.
        MalformedFileError: the bytes contradict the format, or the configuration has holes.
        UnsupportedArchitectureError: nothing sound can be said about it.
        UnknownFileTypeError: no such file type.
    """
    found = read_checkpoint(name)
    config, said = _completed(found, name)
    quantisation = checkpoint_quantisation(config)
    native = None if quantisation is None else quantisation.method
    chosen, why = chosen_file_type(file_type, native=native)
    spec = _spec(config, found, quantisation, name=name, file_type=chosen)
    notes = (
        *spec.notes,
        *why,
        *_held(found, quantisation, spec, config),
        *_route(quantisation, chosen),
        *(() if found.config is None else found.config.findings),
        *found.findings,
        *said,
    )
    return replace(spec, notes=tuple(dict.fromkeys(notes)), planned=True)


def _completed(found: Checkpoint, name: str) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return the configuration, holes filled from the tensors; where both speak, the tensors count.

    Raises:
        UnsupportedArchitectureError: there is no configuration, and tensors do not say enough.
    """
    counts = counts_of(found.tensors)
    if found.config is None:
        if "num_hidden_layers" not in counts or "num_attention_heads" not in counts:
            raise UnsupportedArchitectureError(
                what=f"{_total(found)}, and no {CONFIG} beside them says what model they are:",
                got=name,
                next_step=f"put the {CONFIG} of the model into the same folder",
            )
        said = f"There is no {CONFIG}: the shape is read from the tensors, heads of "
        return dict(counts), (f"{said}{counts['head_dim']} elements assumed.",)
    config = dict(found.config.values)
    inner = config.get(_TEXT)
    text: dict[str, object] = dict(inner) if isinstance(inner, dict) else config
    filled = [names[0] for names in _SAME if _fill(config, text, names, counts)]
    said_filled = f"{', '.join(filled)}: missing in {CONFIG}, read from the tensors."
    notes: tuple[str, ...] = (said_filled,) if filled else ()
    rows, given = counts.get("vocab_size"), text.get("vocab_size")
    if rows is not None and type(given) is int and given != rows:
        text["vocab_size"] = rows
        notes += (
            f"vocab_size is {given:,} in {CONFIG}, the embedding has {rows:,} rows: they count.",
        )
    if text is not config:
        config[_TEXT] = text
    return config, notes


def _fill(
    config: Mapping[str, object],
    text: dict[str, object],
    names: tuple[str, ...],
    counts: Mapping[str, int],
) -> bool:
    """Fill one count that no name of it gives; only what every model has to have."""
    optional = names[0] in ("head_dim", "num_key_value_heads", "intermediate_size")
    if names[0] not in counts or optional or any(n in text or n in config for n in names):
        return False
    text[names[0]] = counts[names[0]]
    return True


def _spec(
    config: Mapping[str, object],
    found: Checkpoint,
    quantisation: CheckpointQuantisation | None,
    *,
    name: str,
    file_type: str,
) -> ModelSpec:
    shown = display_name(name)
    origin = "config.json and safetensors headers" if found.tensors else "config.json"
    if find_entry(config) is not None:
        return spec_from_config(
            config, name=shown, source=name, file_type=file_type, origin=f"{origin}: {name}"
        )
    from whatfits.sizing.approximate import ParameterRange, approximate_spec  # noqa: PLC0415 - rare
    from whatfits.sizing.architectures.plain_fields import plain_parameters  # noqa: PLC0415 - same

    counted = None
    if found.tensors and not found.missing:
        bits = None if quantisation is None else quantisation.bits
        counted = parameters_of(found.tensors, bits=bits)
    plain = {**config, **_inner(config)}
    parameters = (
        plain_parameters(plain) if counted is None else ParameterRange(counted, counted, counted)
    )
    return approximate_spec(
        plain,
        name=shown,
        source=name,
        file_type=file_type,
        parameters=parameters,
        active_parameters=None,
        origin=f"{origin}: {name}",
        parameters_from="a plain transformer of these widths",
    )


def _inner(config: Mapping[str, object]) -> Mapping[str, object]:
    inner = config.get(_TEXT)
    return inner if isinstance(inner, dict) else {}


def _held(
    found: Checkpoint,
    quantisation: CheckpointQuantisation | None,
    spec: ModelSpec,
    config: Mapping[str, object],
) -> Iterator[str]:
    """Yield what lies on disk, or what a checkpoint of a bare configuration would take."""
    how = "" if quantisation is None else f" ({quantisation.label})"
    if found.tensors:
        yield f"On disk: {_total(found)}{how}."
    else:
        from whatfits.sizing.quants.layouts.whole import whole_checkpoint_bytes  # noqa: PLC0415 - one path

        expected = whole_checkpoint_bytes(spec.tensors, quantisation, config) or None
        if expected is not None:
            yield (
                f"Only the configuration is here; a checkpoint of it{how} has about "
                f"{expected:,} bytes ({format_bytes(expected)}) of tensors."
            )
    if found.missing:
        names = ", ".join(printable(name) for name in found.missing[:_FILES_SHOWN])
        more = ", …" if len(found.missing) > _FILES_SHOWN else ""
        yield f"{len(found.missing):,} files are missing of the checkpoint: {names}{more}."


def _total(found: Checkpoint) -> str:
    """Return how many tensors and bytes there are, and of which types."""
    sums = bytes_by_type(found.tensors)
    total = sum(sums.values())
    types = ", ".join(
        f"{printable(kind)} {n_bytes / max(total, 1):.1%}"
        for kind, n_bytes in list(sums.items())[:_TYPES_SHOWN]
    )
    files = "1 file" if found.n_files == 1 else f"{found.n_files:,} files"
    return (
        f"{len(found.tensors):,} tensors of {total:,} bytes ({format_bytes(total)}) in {files} of "
        f"{found.file_bytes:,} bytes: {types}"
    )


def _route(quantisation: CheckpointQuantisation | None, file_type: str) -> Iterator[str]:
    """Yield how to get from here to the file that these figures are of."""
    if quantisation is not None and not quantisation.converts:
        yield (
            f"llama.cpp's converter does not read {quantisation.label}: start from the checkpoint "
            "it was made of."
        )
        return
    yield (
        "llama.cpp loads no safetensors: these are the figures of the GGUF that its converter and "
        f"llama-quantize make of it as {file_type}."
    )


def display_name(path: str) -> str:
    """Return what to call the model: the folder's name, the repository's in a download cache."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - paths may be any bytes
    folder, name = os.path.split(absolute)
    if not os.path.isdir(absolute):  # noqa: PTH112 - same
        stem, _ = os.path.splitext(name)  # noqa: PTH122 - same
        if name != CONFIG and not stem.startswith("model"):
            return printable(stem)
        folder, name = os.path.split(folder)
    cache, parent = os.path.split(folder)
    repository = os.path.basename(cache)  # noqa: PTH119 - same
    if parent == _SNAPSHOTS and repository.startswith(_CACHE_PREFIX):
        name = repository.rpartition("--")[2]
    return printable(name or "model")
