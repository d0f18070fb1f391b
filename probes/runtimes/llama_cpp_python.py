"""llama-cpp-python's server: llama.cpp inside a Python process, `python -m llama_cpp.server`.

It has OpenAI's paths alone: no properties, no slots, no health. Its list of models tells it, by an
owner and a field of its own; its command line, where that can be seen, tells the rest.
Source: abetlen/llama-cpp-python 0.3.36 llama_cpp/server/app.py (GET /v1/models), settings.py.
"""

from __future__ import annotations

import os
import sys

from whatfits.probes.runtimes.answers import entries, json_object, text
from whatfits.probes.runtimes.report import InstalledRuntime, LoadedModel
from whatfits.probes.runtimes.started_with import option
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

ID: Final = "llama-cpp-python"
LABEL: Final = "llama-cpp-python"
PORTS: Final = (8000,)
TELL_TALES: Final = ("/v1/models",)
FACTS: Final = ()
_OWNER: Final = "me"
_OF_ITS_SERVER: Final = "sse-starlette"  # comes with the extra [server], with nothing else here


def read_installed(here: Surroundings) -> InstalledRuntime | None:
    """Return the package of this Python when its server's own packages are there too."""
    version = here.package_version("llama-cpp-python")
    if version is None or here.package_version(_OF_ITS_SERVER) is None:
        return None
    return InstalledRuntime(ID, LABEL, "runtime", version, sys.prefix, "this Python's packages")


def is_it(answers: Answers, _listener: Listener | None) -> bool:
    """Return whether it is that server: by how it lists its models."""
    listed = _listed(answers)
    return bool(listed) and all(
        model.get("owned_by") == _OWNER and model.get("permissions") == [] for model in listed
    )


def server_version(_answers: Answers) -> str | None:
    """Return None: it does not say."""
    return None


def parse_loaded(
    answers: Answers, listener: Listener | None = None
) -> tuple[LoadedModel, ...] | None:
    """Return the models of its list; a single one with the file that its command line names.

    It holds one at a time, and does not tell which of several.
    """
    names = [name for name in (text(model.get("id")) for model in _listed(answers)) if name]
    if len(names) != 1:
        return tuple(LoadedModel(name) for name in names)
    (name,) = names
    file = option(listener.command, "--model") if listener is not None else None
    is_path = os.path.isabs(name)  # noqa: PTH117 - a text, of any machine
    return (LoadedModel(name, path=file or (name if is_path else None)),)


def _listed(answers: Answers) -> list[dict[str, object]]:
    return entries(json_object(answers, "/v1/models").get("data"))
