"""Jan's data folder: `DATA/llamacpp/models/…/model.yml` and `DATA/mlx/models/…/model.yml`.

A `model.yml` names its files relative to the data folder, or anywhere when a file was imported
where it lay. Source: janhq/jan src-tauri/src/core/app/commands.rs (where the data folder is),
extensions/llamacpp-extension (model.yml).
"""

from __future__ import annotations

import os
import re

from whatfits.sizing.errors import BadInputError, MalformedFileError, printable
from whatfits.sizing.readers.strict_json import parse_json
from whatfits.sizing.sources.split_gguf import parse_split_name
from whatfits.sizing.sources.stores.checkpoint_format import checkpoint_format
from whatfits.sizing.sources.stores.stored import StoreContents, StoredExtra, StoredModel
from whatfits.sizing.sources.stores.walk import FoundFile, Walk, find_file, read_small_file
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.sizing.sources.stores.surroundings import Surroundings

__all__ = ["NAME", "data_folders", "parse_model_yml", "read"]

NAME: Final = "Jan"
_ENGINES: Final = ("llamacpp", "mlx")
_YML: Final = "model.yml"
_DEPTH: Final = 5  # a model's name may have slashes
_MAX_YML_BYTES: Final = 64 * 2**10
_MAX_SETTINGS_BYTES: Final = 2**20
_KEYS: Final = ("model_path", "mmproj_path", "name", "size_bytes")
_LINE: Final = re.compile(r"(?P<key>[A-Za-z_][A-Za-z0-9_]*):(?:[ \t]+(?P<value>.*))?")
_QUOTED: Final = re.compile(r"\"(?P<double>[^\"\\]*)\"|'(?P<single>(?:[^']|'')*)'")
_SPECIAL: Final = tuple("&*!|>{}[]%@`\"'#,?-")
_MODEL_SUFFIX: Final = ".gguf"


def data_folders(surroundings: Surroundings, settings: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return where Jan's data may lie: as told, else the usual places.

    `settings` are the contents of the settings files that are there, by path.
    """
    named = surroundings.variable("JAN_DATA_FOLDER")
    if named is not None:
        return (named,)
    moved = [_data_folder(content, surroundings) for content in settings.values()]
    usual = [surroundings.join(place, "data") for place in _app_folders(surroundings)]
    return tuple(dict.fromkeys(folder for folder in (*moved, *usual) if folder))


def parse_model_yml(data: bytes) -> dict[str, str]:
    """Return the few keys that are needed of a `model.yml`, as text.

    Plain and quoted values on the key's own line; no other form of YAML is taken for them.

    Raises:
        MalformedFileError: one of the keys has another form, or is given twice.
    """
    found: dict[str, str] = {}
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise _error("file", "is not UTF-8") from error
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or match["key"] not in _KEYS:
            continue
        key = match["key"]
        if key in found:
            raise _error(key, "is given twice")
        found[key] = _value(key, (match["value"] or "").strip())
    return found


def read(surroundings: Surroundings) -> tuple[StoreContents, ...]:
    """Return what lies in every data folder that is there."""
    settings = {}
    for place in _app_folders(surroundings):
        path = surroundings.join(place, "settings.json")
        try:
            settings[path] = read_small_file(path, most_bytes=_MAX_SETTINGS_BYTES)
        except BadInputError:
            continue
    there = (f for f in data_folders(surroundings, settings) if os.path.isdir(f))  # noqa: PTH112 - paths may be any bytes
    return tuple(_read_folder(folder) for folder in there)


def _app_folders(surroundings: Surroundings) -> tuple[str, ...]:
    """Return Jan's own folders: today's, then where older versions on Linux had it."""
    places = [surroundings.user_data]
    if surroundings.platform.startswith("linux"):
        places.append(
            surroundings.variable("XDG_CONFIG_HOME") or surroundings.below_home(".config")
        )
    return tuple(surroundings.join(place, "Jan") for place in places if place)


def _data_folder(settings: bytes, surroundings: Surroundings) -> str | None:
    try:
        value = parse_json(settings, "Jan settings", on_duplicate=lambda _: None)
    except BadInputError:
        return None
    named = value.get("data_folder") if isinstance(value, dict) else None
    usable = isinstance(named, str) and "\0" not in named and surroundings.is_absolute(named)
    return str(named) if usable else None


def _value(key: str, text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        double = quoted["double"]
        return double if double is not None else quoted["single"].replace("''", "'")
    if not text or text.startswith(_SPECIAL) or " #" in text or ": " in text:
        raise _error(key, f"is {printable(text)!r}", allowed="plain or quoted text on one line")
    return text


def _error(field: str, reason: str, *, allowed: str = "") -> MalformedFileError:
    return MalformedFileError(file_format=_YML, field=field, reason=reason, allowed=allowed)


def _read_folder(data_folder: str) -> StoreContents:
    models: list[StoredModel] = []
    findings: list[str] = []
    for engine in _ENGINES:
        root = os.path.join(data_folder, engine, "models")  # noqa: PTH118 - paths may be any bytes
        walk = Walk(root, depth=_DEPTH, wanted=lambda name: name == _YML, within=(data_folder,))
        findings += walk.findings
        for file in walk.files:
            try:
                fields = parse_model_yml(read_small_file(file.path, most_bytes=_MAX_YML_BYTES))
                models.append(_model(data_folder, file.folder, fields, is_mlx=engine == "mlx"))
            except BadInputError as error:
                findings.append(f"{printable(file.relative)}: {error}")
    return StoreContents(NAME, data_folder, tuple(models), tuple(findings))


def _model(data_folder: str, name: str, fields: Mapping[str, str], *, is_mlx: bool) -> StoredModel:
    """Return the model that a `model.yml` describes.

    Raises:
        BadInputError: it names no model file, one that is not there, or one outside.
    """
    if not fields.get("model_path"):
        raise _error("model_path", "is missing")
    main = _file(data_folder, fields["model_path"], key="model_path")
    if is_mlx:
        return _checkpoint(name, main)
    if not main.name.lower().endswith(_MODEL_SUFFIX):
        raise _error("model_path", f"is {printable(main.path)!r}", allowed="a .gguf file")
    extras: tuple[StoredExtra, ...] = ()
    if fields.get("mmproj_path"):
        found = _file(data_folder, fields["mmproj_path"], key="mmproj_path")
        extras = (StoredExtra("projector", found.path, found.n_bytes, found.identity),)
    files, missing = _split(main, within=_bounds(data_folder, fields["model_path"]))
    said = [f"{missing:,} files of the split model are missing"] if missing else []
    n_bytes = sum(file.n_bytes for file in files)
    claimed = fields.get("size_bytes", "")
    # Jan counts the projector in, where there is one.
    expected = (n_bytes, n_bytes + sum(extra.file_bytes for extra in extras))
    wrong = claimed.isascii() and claimed.isdigit() and int(claimed[:20]) not in expected
    if wrong:
        said.append(f"{_YML} claims {int(claimed[:20]):,} bytes, the files have {expected[-1]:,}")
    return StoredModel(
        name=name,
        store=NAME,
        paths=tuple(file.path for file in files),
        file_bytes=n_bytes,
        format="gguf",
        extras=extras,
        complete=not missing and not (wrong and int(claimed[:20]) > expected[-1]),
        findings=tuple(said),
        identities=tuple(file.identity for file in files),
    )


def _file(data_folder: str, named: str, *, key: str) -> FoundFile:
    """Return a file that a `model.yml` names; a relative one stays in the data folder."""
    if "\0" in named or ".." in re.split(r"[/\\]", named):
        raise _error(key, f"is {printable(named)!r}", allowed="a path without '..'")
    path = os.path.join(data_folder, named)  # noqa: PTH118 - paths may be any bytes
    relative = os.path.basename(path)  # noqa: PTH119 - same
    return find_file(path, relative=relative, within=_bounds(data_folder, named))


def _bounds(data_folder: str, named: str) -> tuple[str, ...] | None:
    """Return where a named file may lie: in the data folder, or anywhere when it was imported."""
    return None if os.path.isabs(named) else (data_folder,)  # noqa: PTH117 - any bytes


def _split(main: FoundFile, *, within: tuple[str, ...] | None) -> tuple[tuple[FoundFile, ...], int]:
    """Return the files of the set that a file belongs to, and how many are missing."""
    split = parse_split_name(main.name)
    if split is None:
        return (main,), 0
    folder = main.path[: -len(main.name)]
    files = []
    for number in range(1, split.n_files + 1):
        name = split.sibling(number)
        try:
            files.append(find_file(folder + name, relative=name, within=within))
        except BadInputError:
            continue
    return tuple(files), split.n_files - len(files)


def _checkpoint(name: str, main: FoundFile) -> StoredModel:
    """Return the MLX checkpoint in the folder of a file."""
    folder = main.path[: -len(main.name)].rstrip("/\\")
    walk = Walk(folder, depth=0, wanted=lambda name: name.lower().endswith(".safetensors"))
    return StoredModel(
        name=name,
        store=NAME,
        paths=(folder,),
        file_bytes=sum(file.n_bytes for file in walk.files),
        format=checkpoint_format(folder),
        identities=tuple(file.identity for file in walk.files),
    )
