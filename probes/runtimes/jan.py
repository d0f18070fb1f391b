"""Jan: an app that starts llama-server; its server answers nobody without an API key.

Source: janhq/jan README, docs (local API server: 127.0.0.1:1337, prefix /v1, a key is required);
places as its installers choose them.
"""

from __future__ import annotations

from whatfits.probes.runtimes.answers import entries, json_object, text
from whatfits.probes.runtimes.installed import bundle_version
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

ID: Final = "jan"
LABEL: Final = "Jan"
PORTS: Final = (1337,)
TELL_TALES: Final = ("/v1/models",)
FACTS: Final = ()
_NAMES: Final = frozenset(("jan", "jan.exe"))
_REFUSED: Final = frozenset((200, 401))
_FLATPAKS: Final = "flatpak/app/ai.jan.Jan"


def read_installed(here: Surroundings) -> InstalledRuntime | None:
    """Return the app where an installer of its system puts it."""
    app = here.first_there(here.of_system("/Applications/Jan.app"))
    if here.platform == "darwin" and app is not None:
        version = bundle_version(here, app)
        return InstalledRuntime(ID, LABEL, "both", version, app, "its Info.plist")
    if here.platform == "win32":
        path = here.first_there(
            here.below_local("Programs/jan/Jan.exe"), here.below_local("Jan/Jan.exe")
        )
    else:
        path = here.program("Jan") or here.first_there(
            here.of_system(f"/var/lib/{_FLATPAKS}"), here.below_home(f".local/share/{_FLATPAKS}")
        )
    if path is None:
        return None
    return InstalledRuntime(ID, LABEL, "both", None, path, "the app's folder")


def is_it(answers: Answers, listener: Listener | None) -> bool:
    """Return whether it is Jan: a process of that name that answers or asks for a key."""
    said = answers.get("/v1/models")
    name = (listener.name or "").lower() if listener is not None else ""
    return said is not None and said.status in _REFUSED and name in _NAMES


def server_version(_answers: Answers) -> str | None:
    """Return None: the server does not say."""
    return None


def parse_loaded(
    answers: Answers, _listener: Listener | None = None
) -> tuple[LoadedModel, ...] | None:
    """Return the models it offers to whoever has the key; None without it."""
    said = json_object(answers, "/v1/models")
    if "data" not in said:
        return None
    names = (text(entry.get("id")) for entry in entries(said["data"]))
    return tuple(LoadedModel(name) for name in names if name)
