"""Ollama: a program, with an app on macOS and Windows; a server tells itself by `/api/version`.

Source: ollama/ollama docs/api.md (/api/version, /api/ps), cmd/cmd.go (versionHandler).
"""

from __future__ import annotations

import re

from whatfits.probes.runtimes.answers import count, entries, json_object, text
from whatfits.probes.runtimes.installed import bundle_version
from whatfits.probes.runtimes.report import InstalledRuntime, LoadedModel
from whatfits.sizing.named_tuples import NamedTuple
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
    "ShownModel",
    "is_it",
    "parse_host",
    "parse_loaded",
    "parse_show",
    "parse_version",
    "read_installed",
    "server_version",
]

ID: Final = "ollama"
LABEL: Final = "Ollama"
PORTS: Final = (11434,)
TELL_TALES: Final = ("/api/version",)
FACTS: Final = ("/api/ps",)
_VERSION: Final = re.compile(r"version is (v?[0-9][0-9A-Za-z.+-]{0,40})")
_CLIENT: Final = re.compile(r"client version is (v?[0-9][0-9A-Za-z.+-]{0,40})")
_PORT: Final = re.compile(r":([0-9]{1,5})$")
_LAST_PORT: Final = 65_535


def read_installed(here: Surroundings) -> InstalledRuntime | None:
    """Return the program or the app that is found."""
    app = here.first_there(here.of_system("/Applications/Ollama.app"))
    if here.platform == "darwin" and app is not None:
        version = bundle_version(here, app)
        return InstalledRuntime(ID, LABEL, "both", version, app, "its Info.plist")
    program = here.program("ollama")
    if program is None:
        return None
    version = parse_version(here.say(program, "--version"))
    layer = "both" if here.platform == "win32" else "runtime"
    return InstalledRuntime(ID, LABEL, layer, version, program, "its --version")  # type: ignore[arg-type]


def parse_version(said: str) -> str | None:
    """Return the version of the program itself, which may differ from its server's."""
    found = _CLIENT.search(said) or _VERSION.search(said)
    return found[1] if found else None


def parse_host(host: str) -> int | None:
    """Return the port of `OLLAMA_HOST`, as `127.0.0.1:11500`; None where it names none.

    Source: envconfig/config.go, Host: an address, a port, or both, with or without a scheme.
    """
    found = _PORT.search(host.strip().rstrip("/"))
    port = int(found[1]) if found else 0
    return port if 0 < port <= _LAST_PORT else None


def is_it(answers: Answers, _listener: Listener | None) -> bool:
    """Return whether it is Ollama: the one that answers `/api/version` with a version alone."""
    said = json_object(answers, "/api/version")
    return set(said) == {"version"} and text(said["version"]) is not None


def server_version(answers: Answers) -> str | None:
    """Return the version of the server."""
    return text(json_object(answers, "/api/version").get("version"))


def parse_loaded(
    answers: Answers, _listener: Listener | None = None
) -> tuple[LoadedModel, ...] | None:
    """Return the models in memory; None when it does not say."""
    said = json_object(answers, "/api/ps")
    if "models" not in said:
        return None
    found = []
    for entry in entries(said["models"]):
        name = text(entry.get("model")) or text(entry.get("name"))
        if name is None:
            continue
        details = entry.get("details")
        found.append(
            LoadedModel(
                name=name,
                held_bytes=count(entry.get("size")),
                accelerator_bytes=count(entry.get("size_vram")),
                context_tokens=count(entry.get("context_length")),
                file_type=text(details.get("quantization_level"))
                if isinstance(details, dict)
                else None,
            )
        )
    return tuple(found)


class ShownModel(NamedTuple):
    """The files of a model, as `/api/show` names them on the server's own machine.

    Attributes:
        path: of the GGUF; None when it names none.
        projector: of the vision projector, if there is one.
        adapters: of LoRA adapters.
        has_draft: whether a model to draft with is loaded beside it.
    """

    path: str | None
    projector: str | None
    adapters: tuple[str, ...]
    has_draft: bool


def parse_show(said: dict[str, Any]) -> ShownModel:
    """Return the files of a Modelfile: FROM the model, FROM its projector, ADAPTER, DRAFT."""
    modelfile = said.get("modelfile")
    lines = modelfile.splitlines() if isinstance(modelfile, str) else []
    named: dict[str, list[str]] = {"FROM": [], "ADAPTER": [], "DRAFT": []}
    for line in lines:
        word, _, rest = line.partition(" ")
        path = text(rest.strip().strip('"'))
        if word in named and path is not None and _is_absolute(path):
            named[word].append(path)
    files = named["FROM"]
    return ShownModel(
        files[0] if files else None,
        files[1] if len(files) > 1 else None,
        tuple(named["ADAPTER"]),
        bool(named["DRAFT"]),
    )


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or path[1:3] == ":\\"
