"""SGLang: a Python package; a server tells itself by `/server_info`.

Source: sgl-project/sglang 0.5.23 python/sglang/srt/entrypoints/http_server.py.
"""

from __future__ import annotations

import sys

from whatfits.probes.runtimes.answers import count, json_object, text
from whatfits.probes.runtimes.report import InstalledRuntime, LoadedModel
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.runtimes.answers import Answers
    from whatfits.probes.runtimes.listeners import Listener
    from whatfits.probes.runtimes.surroundings import Surroundings

__all__ = [
    "FACTS",
    "ID",
    "LABEL",
    "PORTS",
    "TELL_TALES",
    "is_it",
    "parse_loaded",
    "read_installed",
    "server_version",
]

ID: Final = "sglang"
LABEL: Final = "SGLang"
PORTS: Final = (30000,)
TELL_TALES: Final = ("/server_info",)
FACTS: Final = ()
_FORM: Final = frozenset(("model_path", "mem_fraction_static"))


def read_installed(here: Surroundings) -> InstalledRuntime | None:
    """Return the package of this Python: it has no program of its own to be found by."""
    version = here.package_version("sglang")
    if version is None:
        return None
    return InstalledRuntime(ID, LABEL, "runtime", version, sys.prefix, "this Python's packages")


def is_it(answers: Answers, _listener: Listener | None) -> bool:
    """Return whether it is SGLang: by the form of what it tells of itself."""
    return set(json_object(answers, "/server_info")) >= _FORM


def server_version(answers: Answers) -> str | None:
    """Return the version of the server."""
    return text(json_object(answers, "/server_info").get("version"))


def parse_loaded(
    answers: Answers, _listener: Listener | None = None
) -> tuple[LoadedModel, ...] | None:
    """Return the model and its longest request."""
    said = json_object(answers, "/server_info")
    path = text(said.get("model_path"))
    if path is None:
        return None
    name = text(said.get("served_model_name")) or path
    return (LoadedModel(name, path=path, context_tokens=count(said.get("context_length"))),)
