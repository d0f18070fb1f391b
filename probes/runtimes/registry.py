"""The registry of runtimes and apps: one file each, imported when they are looked for."""

from __future__ import annotations

from importlib import import_module

from whatfits.sizing.typed import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from typing import Final

    from whatfits.probes.runtimes.answers import Answers
    from whatfits.probes.runtimes.listeners import Listener
    from whatfits.probes.runtimes.report import InstalledRuntime, LoadedModel
    from whatfits.probes.runtimes.surroundings import Surroundings

__all__ = ["RUNTIMES", "RuntimeProbe", "runtime_probes"]

RUNTIMES: Final = (
    "llama_cpp",
    "ollama",
    "lm_studio",
    "jan",
    "vllm",
    "sglang",
    "llama_cpp_python",
    "mlx",
)


class RuntimeProbe(Protocol):
    """What each file of a runtime has."""

    ID: str
    LABEL: str
    PORTS: tuple[int, ...]
    TELL_TALES: tuple[str, ...]
    FACTS: tuple[str, ...]

    def read_installed(self, here: Surroundings) -> InstalledRuntime | None:
        """Return it when it is on this machine."""
        ...

    def is_it(self, answers: Answers, listener: Listener | None) -> bool:
        """Return whether a server that answers so is this runtime."""
        ...

    def server_version(self, answers: Answers) -> str | None:
        """Return the version that the server tells."""
        ...

    def parse_loaded(
        self, answers: Answers, listener: Listener | None = None
    ) -> tuple[LoadedModel, ...] | None:
        """Return what it has loaded, by its word or its process's; None when it does not say."""
        ...


def runtime_probes() -> tuple[RuntimeProbe, ...]:
    """Return the registry, imported."""
    return tuple(
        cast("RuntimeProbe", import_module(f"whatfits.probes.runtimes.{name}")) for name in RUNTIMES
    )
