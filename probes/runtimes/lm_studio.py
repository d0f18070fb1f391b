"""LM Studio: an app with its engines, or its daemon alone; a server tells itself by its models.

Source: LM Studio's documents (2026-04-29): REST API v1 (/api/v1/models), `lms`; places of the app
on macOS and Windows as its installers choose them.
"""

from __future__ import annotations

from whatfits.probes.runtimes.answers import (
    UNAUTHORISED,
    count,
    entries,
    json_object,
    object_of,
    text,
)
from whatfits.probes.runtimes.installed import bundle_version
from whatfits.probes.runtimes.report import InstalledRuntime, LoadedModel
from whatfits.sizing.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, Final

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
    "parse_http_server",
    "parse_loaded",
    "read_installed",
    "server_version",
]

ID: Final = "lm-studio"
LABEL: Final = "LM Studio"
PORTS: Final = (1234,)
TELL_TALES: Final = ("/api/v1/models",)
FACTS: Final = ()
_LAST_PORT: Final = 65_535
_FORM: Final = frozenset(("key", "loaded_instances"))


def read_installed(here: Surroundings) -> InstalledRuntime | None:
    """Return the app, else the command that its first start or its daemon leaves."""
    app = here.first_there(here.of_system("/Applications/LM Studio.app"))
    if here.platform == "darwin" and app is not None:
        version = bundle_version(here, app)
        return InstalledRuntime(ID, LABEL, "both", version, app, "its Info.plist")
    window = here.first_there(
        here.below_local("Programs/LM Studio/LM Studio.exe"),
        here.below_local("Programs/LM-Studio/LM Studio.exe"),
    )
    if here.platform == "win32" and window is not None:
        return InstalledRuntime(ID, LABEL, "both", None, window, "the app's folder")
    command = here.program("lms")
    if command is None:
        return None
    return InstalledRuntime(ID, LABEL, "both", None, command, "its command lms")


def parse_http_server(said: str) -> int | None:
    """Return the port that the app has noted for its server; None where it has not.

    Source: lmstudio-ai/lms src/lmstudioPaths.ts (`.internal/http-server.json`).
    """
    port = count(object_of(said.encode("utf-8", "replace")).get("port"))
    return port if port is not None and 0 < port <= _LAST_PORT else None


def is_it(answers: Answers, listener: Listener | None) -> bool:
    """Return whether it is LM Studio: by the form of its models, or by its name when it refuses."""
    said = json_object(answers, "/api/v1/models")
    models = said.get("models")
    if isinstance(models, list):
        return all(set(entry) >= _FORM for entry in entries(models))
    refused = answers.get("/api/v1/models")
    if refused is None or refused.status != UNAUTHORISED or listener is None:
        return False
    name = (listener.name or "").lower()
    return "lm studio" in name or "llmster" in name


def server_version(_answers: Answers) -> str | None:
    """Return None: the server does not say."""
    return None


def parse_loaded(
    answers: Answers, _listener: Listener | None = None
) -> tuple[LoadedModel, ...] | None:
    """Return each loaded instance; None when a token is wanted."""
    said = json_object(answers, "/api/v1/models")
    if "models" not in said:
        return None
    return tuple(
        loaded
        for model in entries(said["models"])
        for instance in entries(model.get("loaded_instances"))
        if (loaded := _loaded(model, instance)) is not None
    )


def _loaded(model: dict[str, Any], instance: dict[str, Any]) -> LoadedModel | None:
    name = text(instance.get("id")) or text(model.get("key"))
    if name is None:
        return None
    config, quantisation = instance.get("config"), model.get("quantization")
    settings: dict[str, Any] = config if isinstance(config, dict) else {}
    return LoadedModel(
        name=name,
        path=text(model.get("key")),
        file_bytes=count(model.get("size_bytes")),
        context_tokens=count(settings.get("context_length")),
        parallel=count(settings.get("parallel")),
        file_type=text(quantisation.get("name")) if isinstance(quantisation, dict) else None,
    )
