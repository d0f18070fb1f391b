"""mlx-lm: a Python package; its server is known by its process, or by what it does not answer.

It listens where llama-server does, and tells next to nothing of itself.
Source: ml-explore/mlx-lm 0.32.2 mlx_lm/server.py (http.server of the standard library, /health,
/v1/models).
"""

from __future__ import annotations

import os
import sys

from whatfits.probes.runtimes.answers import OK, entries, json_object, text
from whatfits.probes.runtimes.installed import environment_version
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

ID: Final = "mlx"
LABEL: Final = "MLX (mlx-lm)"
PORTS: Final = (8080,)
TELL_TALES: Final = ("/health", "/v1/models")
FACTS: Final = ()
_MARKS: Final = ("mlx_lm.server", "mlx_lm/server.py")
_SERVER: Final = "BaseHTTP/"


def read_installed(here: Surroundings) -> InstalledRuntime | None:
    """Return the package of this Python, else the program of another."""
    version = here.package_version("mlx-lm")
    if version is not None:
        return InstalledRuntime(ID, LABEL, "runtime", version, sys.prefix, "this Python's packages")
    program = here.program("mlx_lm.server", "mlx_lm.generate")
    if program is None:
        return None
    version = environment_version(here, program, "mlx_lm")
    return InstalledRuntime(ID, LABEL, "runtime", version, program, "the packages beside it")


def is_it(answers: Answers, listener: Listener | None) -> bool:
    """Return whether it is mlx_lm.server: well, with models, and by its process or its library.

    Where nothing was ever downloaded from the Hub its list of models breaks off after the headers.
    """
    if json_object(answers, "/health") != {"status": "ok"}:
        return False
    listed = answers.get("/v1/models")
    models = json_object(answers, "/v1/models")
    if models.get("object") != "list" and (listed is None or listed.body or listed.status != OK):
        return False
    if _is_owned(models):
        return False
    command = " ".join(listener.command) if listener is not None else ""
    if any(mark in command for mark in _MARKS):
        return True
    return answers["/health"].headers.get("server", "").startswith(_SERVER)


def _is_owned(models: dict[str, object]) -> bool:
    return any("owned_by" in model for model in entries(models.get("data")))


def server_version(_answers: Answers) -> str | None:
    """Return None: only an answer of the model would tell."""
    return None


def parse_loaded(
    answers: Answers, listener: Listener | None = None
) -> tuple[LoadedModel, ...] | None:
    """Return the model it was started with; where that cannot be seen, all that it would load.

    Which of those is in memory its API does not tell; None when its list broke off.
    """
    models = json_object(answers, "/v1/models")
    names = [text(entry.get("id")) for entry in entries(models.get("data"))]
    started = option(listener.command, "--model") if listener is not None else None
    if started is not None:
        own = next((name for name in names if name and _is_same(name, started)), started)
        return (LoadedModel(own, path=own),)
    if not models:
        return None
    return tuple(LoadedModel(name) for name in names if name)


def _is_same(name: str, started: str) -> bool:
    """Return whether a name of the list, which resolves links, is that of the command line."""
    return os.path.realpath(name) == os.path.realpath(started)
