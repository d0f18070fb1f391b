"""Which model a server holds: by the file or the name that it tells, read here like any other."""

from __future__ import annotations

import json
import os
import re

from whatfits.sizing.api import load_model
from whatfits.sizing.errors import BadInputError, InvalidRequestError, ProbeError, printable
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Final

    from whatfits.probes.runtimes.address import ServerAddress
    from whatfits.probes.runtimes.report import LoadedModel
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import Workload

__all__ = ["served_model", "with_files"]

_DEADLINE_S: Final = 3.0
_MOST_SHOWN_BYTES: Final = 4_000_000  # licences are in it, and the template
_MLX_16_BITS: Final = "bf16"
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?", re.ASCII)


def with_files(
    address: ServerAddress, loaded: LoadedModel, *, api_key: str | None
) -> tuple[LoadedModel, Workload, tuple[str, ...]]:
    """Return a model of Ollama's with its file, and what is loaded beside it, as far as it says."""
    from whatfits.probes.runtimes.answers import json_object
    from whatfits.probes.runtimes.http_ask import Request, ask
    from whatfits.probes.runtimes.ollama import parse_show
    from whatfits.sizing.workload import Workload

    body = json.dumps({"model": loaded.name}).encode()
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    request = Request(address.ip, address.port, "/api/show", body, headers)
    try:
        said = ask(request, deadline_s=_DEADLINE_S, most_bytes=_MOST_SHOWN_BYTES)
    except ProbeError:
        return loaded, Workload(), ()
    shown = parse_show(json_object({"/api/show": said}, "/api/show"))
    beside = Workload(mmproj=shown.projector, lora=shown.adapters)
    notes = ("Its draft model is not counted here.",) if shown.has_draft else ()
    return replace(loaded, path=shown.path), beside, notes


def served_model(
    options: argparse.Namespace,
    address: ServerAddress,
    loaded: LoadedModel,
    *,
    runtime: str,
    folder: str | None = None,
) -> ModelSpec:
    """Return the model: as named, else by the file that the server names, else by its name.

    `folder` is where the server was started, if that is known.

    Raises:
        BadInputError: it cannot be read here.
    """
    named = options.model
    if named and named not in (loaded.name, loaded.name.removesuffix(":latest")):
        return _as_served(named, options.file_type, runtime)
    for name, file_type in _sources(address, loaded, folder):
        try:
            return _as_served(name, options.file_type or file_type, runtime)
        except BadInputError:
            continue
    raise InvalidRequestError(
        what="model of the server cannot be read here:",
        got=printable(loaded.name),
        allowed="a file, a folder or a catalog name",
        next_step="say which it is: whatfits verify MODEL --server URL",
    )


def _as_served(name: str, file_type: str | None, runtime: str) -> ModelSpec:
    """Return a model as a server holds it: MLX's converts nothing, and runs 16 bits as they are."""
    spec = load_model(name, file_type=file_type, runtime=runtime)
    is_checkpoint = spec.source != "catalog"
    if runtime == "mlx" and file_type is None and spec.planned and is_checkpoint:
        return load_model(name, file_type=_MLX_16_BITS, runtime=runtime)
    return spec


def _sources(
    address: ServerAddress, loaded: LoadedModel, folder: str | None
) -> Sequence[tuple[str, str | None]]:
    """Return names to read the model by, with a file type where the name does not settle it.

    A path is only a path on the machine of the server.
    """
    found: list[tuple[str, str | None]] = []
    path = loaded.path
    if address.is_here and path:
        if os.path.isabs(path):  # noqa: PTH117 - a text
            found.append((path, None))
        elif folder is not None:
            found.append((os.path.join(folder, path), None))  # noqa: PTH118 - same
    plain = [(path or "", None), (loaded.name.replace(":", "-"), loaded.file_type)]
    for name, file_type in plain:
        # what a server calls a name must not be a way to a file here
        if _NAME.fullmatch(name) and not os.path.lexists(name):
            found.append((name, file_type))
    return found
