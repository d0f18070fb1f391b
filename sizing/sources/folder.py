"""A safetensors checkpoint or a bare `config.json` as the GGUF it becomes.

llama.cpp loads no safetensors: what it takes is the GGUF that its converter and `llama-quantize`
make of the checkpoint, under the file type that was asked for. What lies on disk is in the notes.
"""

from __future__ import annotations

import os

from whatfits.sizing.architectures import TEXT_PARTS, find_entry, flattened, spec_from_config
from whatfits.sizing.errors import UnsupportedArchitectureError, printable
from whatfits.sizing.quants.default_type import chosen_file_type
from whatfits.sizing.quants.layouts.from_config import checkpoint_quantisation
from whatfits.sizing.readers.checkpoint_shape import (
    bytes_by_type,
    counts_of,
    has_output,
    layers_of,
    parameters_of,
)
from whatfits.sizing.sources.checkpoint_files import CONFIG, Checkpoint, read_checkpoint
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.units import format_bytes
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.quants.layouts.from_config import CheckpointQuantisation

__all__ = [
    "checkpoint_spec",
    "display_name",
    "hollow_layers",
    "load_checkpoint_model",
    "missing_files",
]

_TYPES_SHOWN: Final = 4
_FILES_SHOWN: Final = 5
_SNAPSHOTS: Final = "snapshots"
_CACHE_PREFIX: Final = "models--"
_NEXT: Final = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")
# What every model has to have, under all its names; tensors fill it in where it is missing.
_SAME: Final = (
    ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    ("hidden_size", "n_embd", "d_model", "dim"),
    ("num_attention_heads", "n_head", "n_heads"),
    ("vocab_size", "padded_vocab_size"),
)
_TIED: Final = "tie_word_embeddings"
# Whose converters leave out what a tied configuration disowns. Source: llama.cpp (0c1e57098)
# conversion/{deepseek,glm,hunyuan,pangu}.py; all others write what they find.
_DISOWNS: Final = frozenset(
    {"deepseek2", "glm5-next", "hunyuan-dense", "hunyuan-moe", "pangu-embedded"}
)
MISSING_FILES: Final = "files are missing of the checkpoint"


def load_checkpoint_model(name: str, *, file_type: str | None = None) -> ModelSpec:
    """Return the model of a folder, a .safetensors file, its index or a config.json.

    Raises:
        UnreadableFileError: missing, not permitted, not a checkpoint.
        MalformedFileError: the bytes contradict the format, or the configuration has holes.
        UnsupportedArchitectureError: nothing sound can be said about it.
        UnknownFileTypeError: no such file type.
    """
    return checkpoint_spec(
        read_checkpoint(name), name=name, shown=display_name(name), file_type=file_type
    )


def checkpoint_spec(
    found: Checkpoint,
    *,
    name: str,
    shown: str,
    file_type: str | None,
    where: str = "On disk",
    as_found: bool = True,
) -> ModelSpec:
    """Return the model of a checkpoint: the GGUF that it becomes.

    Args:
        found: its files.
        name: what was asked for, and where its figures come from.
        shown: what to call the model.
        file_type: quantisation of the GGUF; None for the usual one.
        where: the files lie, as a note begins.
        as_found: an output matrix is taken for what the files hold, as llama.cpp's converter takes
            it; otherwise for what the configuration says.

    Raises:
        MalformedFileError: the configuration has holes.
        UnsupportedArchitectureError: nothing sound can be said about it.
        UnknownFileTypeError: no such file type.
    """
    config, said = _completed(found, name)
    if as_found and found.tensors and not found.missing:
        config, more = _with_output(config, found)
        said += more
    quantisation = checkpoint_quantisation(config)
    native = None if quantisation is None else quantisation.native
    chosen, why = chosen_file_type(file_type, native=native)
    spec = _spec(config, found, quantisation, name=name, shown=shown, file_type=chosen)
    notes = (
        *spec.notes,
        *why,
        *_held(found, quantisation, spec, config, where),
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
    config = found.config.values
    given = flattened(config)
    filled: dict[str, int] = {
        names[0]: counts[names[0]]
        for names in _SAME
        if names[0] in counts and all(given.get(name) is None for name in names)
    }
    notes: tuple[str, ...] = ()
    if filled:
        notes = (f"{', '.join(filled)}: missing in {CONFIG}, read from the tensors.",)
    rows, claimed = counts.get("vocab_size"), given.get("vocab_size")
    if rows is not None and type(claimed) is int and claimed != rows:
        filled["vocab_size"] = rows
        notes += (
            f"vocab_size is {claimed:,} in {CONFIG}, the embedding has {rows:,} rows: they count.",
        )
    return _with(config, filled), notes


def _with_output(
    config: dict[str, object], found: Checkpoint
) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return the configuration with its output matrix tied or not, as the tensors are."""
    is_there, claimed = has_output(found.tensors), flattened(config).get(_TIED)
    entry = find_entry(config)
    if is_there is None or entry is None or claimed is (not is_there):
        return config, ()
    if claimed is True and entry.architecture in _DISOWNS:
        return config, ()
    notes: tuple[str, ...] = ()
    if claimed is True:
        notes = (f"{_TIED} is true in {CONFIG}, but the files hold an output matrix: it counts.",)
    elif claimed is False:
        notes = (f"{_TIED} is false in {CONFIG}, but the files hold no output matrix.",)
    return _with(config, {_TIED: not is_there}), notes


def _with(config: Mapping[str, object], counts: Mapping[str, object]) -> dict[str, object]:
    """Return a configuration whose language model has these counts."""
    for name in TEXT_PARTS:
        inner = config.get(name)
        if isinstance(inner, dict):
            return {**config, name: _with(inner, counts)}
    return {**config, **counts}


def _spec(
    config: Mapping[str, object],
    found: Checkpoint,
    quantisation: CheckpointQuantisation | None,
    *,
    name: str,
    shown: str,
    file_type: str,
) -> ModelSpec:
    origin = "config.json and safetensors headers" if found.tensors else "config.json"
    if find_entry(config) is not None:
        return spec_from_config(
            config, name=shown, source=name, file_type=file_type, origin=f"{origin}: {name}"
        )
    from whatfits.sizing.approximate import ParameterRange, approximate_spec  # noqa: PLC0415 - rare
    from whatfits.sizing.architectures.plain_fields import (  # noqa: PLC0415 - same
        fields_read,
        plain_parameters,
    )

    counted = None
    if found.tensors and not found.missing:
        bits = None if quantisation is None or quantisation.overrides else quantisation.bits
        counted = parameters_of(found.tensors, bits=bits)
    plain = flattened(config)
    parameters = (
        plain_parameters(plain) if counted is None else ParameterRange(counted, counted, counted)
    )
    spec = approximate_spec(
        plain,
        name=shown,
        source=name,
        file_type=file_type,
        parameters=parameters,
        active_parameters=None,
        origin=f"{origin}: {name}",
        parameters_from="a plain transformer of these widths",
    )
    return replace(spec, notes=(*spec.notes, f"Read of {CONFIG}: {fields_read(plain)}."))


def _held(
    found: Checkpoint,
    quantisation: CheckpointQuantisation | None,
    spec: ModelSpec,
    config: Mapping[str, object],
    where: str,
) -> Iterator[str]:
    """Yield what lies there, or what a checkpoint of a bare configuration would take."""
    how = "" if quantisation is None else f" ({quantisation.label})"
    if found.tensors:
        yield f"{where}: {_total(found)}{how}."
    else:
        yield from _expected(quantisation, how, spec, config)
    yield from missing_files(found)
    yield from hollow_layers(found, spec)


def missing_files(found: Checkpoint) -> Iterator[str]:
    """Yield which files of a checkpoint are not there, if any."""
    if found.missing:
        names = ", ".join(printable(name) for name in found.missing[:_FILES_SHOWN])
        more = ", …" if len(found.missing) > _FILES_SHOWN else ""
        yield f"{len(found.missing):,} {MISSING_FILES}: {names}{more}."


def hollow_layers(found: Checkpoint, spec: ModelSpec) -> Iterator[str]:
    """Yield that layers of the configuration lack every tensor, though no file is missing.

    Layers that do nothing need none (Deci); nor do those behind the configuration's own, which
    predict further tokens.
    """
    held = layers_of(found.tensors)
    if found.config is None or found.missing or not held:
        return
    given = flattened(found.config.values)
    claimed = next((given[name] for name in _SAME[0] if given.get(name) is not None), None)
    if type(claimed) is not int:
        return
    empty = [
        index
        for index, layer in enumerate(spec.layers[:claimed])
        if index not in held and (layer.attention or layer.recurrent or layer.n_ff)
    ]
    if empty:
        yield (
            f"{CONFIG} has {claimed:,} layers, and {len(empty):,} of them have no tensors, the "
            f"first of them layer {empty[0]}: the files are not whole, or of another model, and "
            "runtimes do not load them."
        )


def _expected(
    quantisation: CheckpointQuantisation | None,
    how: str,
    spec: ModelSpec,
    config: Mapping[str, object],
) -> Iterator[str]:
    """Yield what a checkpoint of a bare configuration would take."""
    from whatfits.sizing.quants.layouts.whole import whole_checkpoint_bytes  # noqa: PLC0415 - one path

    said = f"Only the configuration is here; a checkpoint of it{how} has"
    expected = whole_checkpoint_bytes(
        spec.tensors, quantisation, config, predicting=spec.prediction_tensors
    )
    if expected is None:
        if how:
            yield f"{said} a size that is not known: its tensors are not."
    elif expected.low == expected.high:
        shown = format_bytes(expected.low)
        yield f"{said} about {expected.low:,} bytes ({shown}) of tensors{_without(spec, config)}."
    else:
        yield (
            f"{said} between {expected.low:,} and {expected.high:,} bytes "
            f"({format_bytes(expected.low)} and {format_bytes(expected.high)}) of tensors: its "
            "layout, or which modules it is for, is not known here."
        )


def _without(spec: ModelSpec, config: Mapping[str, object]) -> str:
    """Return what a figure leaves out: blocks for further tokens that no GGUF has."""
    given = flattened(config)
    names = [name for name in _NEXT if given.get(name)]
    return f", without the blocks of {names[0]}" if names and not spec.prediction_tensors else ""


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
