"""What was found of runtimes and apps: installed, answering, and what they have loaded."""

from __future__ import annotations

from whatfits.sizing.typed import TYPE_CHECKING, Literal
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from whatfits.probes.report import Finding

__all__ = ["InstalledRuntime", "Layer", "LoadedModel", "RunningServer", "RuntimesReport"]

Layer = Literal["runtime", "app", "both"]


@dataclass(frozen=True, slots=True)
class InstalledRuntime:
    """A runtime or an app that is on this machine.

    Attributes:
        id: `llama.cpp`, `ollama`, `lm-studio`, `jan`, `vllm`, `sglang`, `mlx`,
            `llama-cpp-python`.
        label: for people.
        layer: `runtime` does the work, `app` has a window to chat in, `both` bundles the two.
        version: None when it does not tell without being started.
        path: where it was found.
        source: how its presence and its version are known.
    """

    id: str
    label: str
    layer: Layer
    version: str | None
    path: str
    source: str


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that a server holds, by the server's own account; None where it says nothing.

    Attributes:
        name: as requests name it.
        path: its file or repository, as the server names it.
        held_bytes: all of its buffers.
        accelerator_bytes: the part of them on accelerators.
        tensor_bytes: bytes of all its tensors.
        file_bytes: size on disk.
        context_tokens: context of one sequence.
        parallel: sequences served at once.
        file_type: quantisation.
        cache: settings of a paged cache, by the server's names.
    """

    name: str
    path: str | None = None
    held_bytes: int | None = None
    accelerator_bytes: int | None = None
    tensor_bytes: int | None = None
    file_bytes: int | None = None
    context_tokens: int | None = None
    parallel: int | None = None
    file_type: str | None = None
    cache: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers on this machine.

    Attributes:
        runtime: id of what it is.
        label: for people.
        base_url: what an OpenAI-compatible client is pointed at.
        port: where it listens.
        process: name of the program; None when it belongs to someone else.
        version: None when it does not say.
        needs_key: whether it refuses requests without an API key.
        loaded: its models; None when it does not say.
    """

    runtime: str
    label: str
    base_url: str
    port: int
    process: str | None
    version: str | None
    needs_key: bool
    loaded: tuple[LoadedModel, ...] | None


@dataclass(frozen=True, slots=True)
class RuntimesReport:
    """The whole look at a machine's runtimes and apps.

    Attributes:
        installed: in the order of the registry.
        servers: by port.
        findings: what could not be read, and what else answers.
    """

    installed: tuple[InstalledRuntime, ...] = ()
    servers: tuple[RunningServer, ...] = ()
    findings: tuple[Finding, ...] = ()
