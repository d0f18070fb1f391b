"""llama.cpp: `llama-server`, `llama-cli`; a server tells itself by `/props`.

Source: ggml-org/llama.cpp tools/server/README.md (/props, /v1/models, /slots), docs/install.md.
"""

from __future__ import annotations

import re

from whatfits.probes.runtimes.answers import UNAUTHORISED, count, entries, json_object, text
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
    "parse_version",
    "read_installed",
    "server_version",
]

ID: Final = "llama.cpp"
LABEL: Final = "llama.cpp"
PORTS: Final = (8080,)
TELL_TALES: Final = ("/props",)
FACTS: Final = ("/v1/models",)
_PROGRAMS: Final = ("llama-server", "llama-cli")
_VERSION: Final = re.compile(r"^version:\s*([0-9]+(?: \([0-9a-f]{4,40}\))?)", re.MULTILINE)


def read_installed(here: Surroundings) -> InstalledRuntime | None:
    """Return the program that is found first; its version is the number of its build."""
    program = here.program(*_PROGRAMS)
    if program is None:
        return None
    version = parse_version(here.say(program, "--version"))
    return InstalledRuntime(ID, LABEL, "runtime", version, program, "its --version")


def parse_version(said: str) -> str | None:
    """Return the build of `--version`, as `6789 (0c1e57098)`."""
    found = _VERSION.search(said)
    return found[1] if found else None


def is_it(answers: Answers, _listener: Listener | None) -> bool:
    """Return whether it is a llama-server: by the form of its properties, or by its refusal."""
    props = json_object(answers, "/props")
    if "default_generation_settings" in props and ("total_slots" in props or "role" in props):
        return True
    refused = answers.get("/props")
    if refused is None or refused.status != UNAUTHORISED:
        return False
    return "llama.cpp" in refused.headers.get("server", "")


def server_version(answers: Answers) -> str | None:
    """Return the build of the server."""
    return text(json_object(answers, "/props").get("build_info"))


def parse_loaded(
    answers: Answers, _listener: Listener | None = None
) -> tuple[LoadedModel, ...] | None:
    """Return the model; None for a router, which starts others, and for one that wants a key."""
    props = json_object(answers, "/props")
    path = text(props.get("model_path"))
    if path is None:
        return None
    settings = props.get("default_generation_settings")
    listed = entries(json_object(answers, "/v1/models").get("data"))
    model = listed[0] if listed else {}
    meta = model.get("meta")
    name = text(props.get("model_alias")) or text(model.get("id"))
    return (
        LoadedModel(
            name=name or path.replace("\\", "/").rpartition("/")[2],
            path=path,
            tensor_bytes=count(meta.get("size")) if isinstance(meta, dict) else None,
            context_tokens=count(settings.get("n_ctx")) if isinstance(settings, dict) else None,
            parallel=count(props.get("total_slots")),
        ),
    )
