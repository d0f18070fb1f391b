"""One file a runtime: memory rules and commands.

What starts llama.cpp is an adapter over its rules: it says what the program is asked for, and
gives the commands. What allocates in its own way (vLLM, MLX) gives whole plans.
"""

from __future__ import annotations

from importlib import import_module

from whatfits.sizing.errors import InvalidRequestError
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

    from whatfits.sizing.estimate import Plan, Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = [
    "DEFAULT_RUNTIME",
    "RUNTIMES",
    "Asked",
    "LlamaAdapter",
    "OtherModels",
    "OwnRuntime",
    "Run",
    "RuntimeEntry",
    "find_runtime",
]

_PACKAGE: Final = "whatfits.sizing.runtimes"


class Asked(NamedTuple):
    """What a program asks llama.cpp for.

    Attributes:
        workload: in llama.cpp's own terms.
        request: where things go; what the program leaves open is open.
        slot_contexts: of how many slots the cache is, when the program's own context flag is that
            of one slot; None when it is that of the whole cache, as in llama.cpp.
        experts_move: whether experts alone may be put on the host.
        splits_move: whether it can be told how to share layers out over accelerators; llama.cpp's
            own split counts where it cannot.
        fit_margin_bytes: what llama.cpp's own fitting step leaves free on a device, when the
            program leaves the placement to it; None when the placement is ours.
        notes: what was decided for the reader, one sentence each.
        context_steps: tokens of all slots above which the program decides otherwise (batch, cards);
            empty where it decides nothing by the context.
    """

    workload: Workload
    request: PlacementRequest
    slot_contexts: int | None = None
    experts_move: bool = True
    splits_move: bool = True
    fit_margin_bytes: int | None = None
    notes: tuple[str, ...] = ()
    context_steps: tuple[int, ...] = ()


class Run(NamedTuple):
    """What a command starts.

    Attributes:
        spec: the model.
        model_file: path to write into it.
        workload: as asked for, in the program's own terms.
        request: the placement as asked for.
        trial: what came of it.
        machine: where.
    """

    spec: ModelSpec
    model_file: str
    workload: Workload
    request: PlacementRequest
    trial: Trial
    machine: Machine


class LlamaAdapter(Protocol):
    """A program that starts llama.cpp."""

    def asked(
        self, spec: ModelSpec, machine: Machine, workload: Workload, request: PlacementRequest
    ) -> Asked:
        """Return what the program asks llama.cpp for.

        Raises:
            InvalidRequestError: the program has no such setting, or it is out of range.
        """
        ...

    def commands(self, run: Run) -> tuple[str, ...]:
        """Return what to type, line by line."""
        ...


class OtherModels(NamedTuple):
    """How to get at models other than the one that was asked for: reading them is the caller's.

    Attributes:
        load: the model behind a name in a file type, as the runtime loads it; BadInputError when
            there is none.
        smaller: smaller models than one, that may fit into a room of bytes, nearest first.
    """

    load: Callable[[str, str | None], ModelSpec]
    smaller: Callable[[ModelSpec, int], Iterable[ModelSpec]]


class OwnRuntime(Protocol):
    """A program that allocates in its own way."""

    def plan(
        self,
        spec: ModelSpec,
        machine: Machine,
        workload: Workload,
        request: PlacementRequest,
        *,
        others: OtherModels,
        force: bool,
        brief: bool = False,
    ) -> Plan:
        """Return the whole answer; no commands for what does not fit, unless forced.

        A `brief` one has no longest context, no speed, no basis and no remedies.

        Raises:
            InvalidRequestError: the program has no such setting, or it is out of range.
        """
        ...

    def tried(
        self, spec: ModelSpec, machine: Machine, workload: Workload
    ) -> tuple[int, Speed | None] | None:
        """Return the upper end of what it takes, and the speed; None where it does not fit.

        Raises:
            InvalidRequestError: the program does not run there, or has no such setting.
        """
        ...


class RuntimeEntry(NamedTuple):
    """One runtime.

    Attributes:
        id: as it is asked for.
        label: for people.
        module: its file, which is a `LlamaAdapter` or an `OwnRuntime`.
        starts_llama_cpp: whether it is the former.
        counts_slots: whether its context setting is that of one sequence, not of all together.
        loader: the file of `whatfits.sizing.sources` and the `ModelSource` in it that loads models
            as this runtime reads them; None where that is the GGUF.
    """

    id: str
    label: str
    module: str
    starts_llama_cpp: bool
    counts_slots: bool = False
    loader: tuple[str, str] | None = None

    def adapter(self) -> LlamaAdapter:
        """Return the runtime as an adapter, importing it."""
        return cast("LlamaAdapter", import_module(f"{_PACKAGE}.{self.module}"))

    def own(self) -> OwnRuntime:
        """Return the runtime that gives its own plans, importing it."""
        return cast("OwnRuntime", import_module(f"{_PACKAGE}.{self.module}"))


RUNTIMES: Final = (
    RuntimeEntry("llama.cpp", "llama.cpp", "llama_server", starts_llama_cpp=True),
    RuntimeEntry("ollama", "Ollama", "ollama", starts_llama_cpp=True, counts_slots=True),
    RuntimeEntry("lm-studio", "LM Studio", "lm_studio", starts_llama_cpp=True),
    RuntimeEntry("jan", "Jan", "jan", starts_llama_cpp=True),
    RuntimeEntry(
        "vllm",
        "vLLM",
        "vllm",
        starts_llama_cpp=False,
        loader=("published_checkpoint", "load_published"),
        counts_slots=True,
    ),
    RuntimeEntry(
        "mlx",
        "MLX",
        "mlx",
        starts_llama_cpp=False,
        loader=("mlx_model", "load_mlx_model"),
        counts_slots=True,
    ),
)


DEFAULT_RUNTIME: Final = RUNTIMES[0].id


def find_runtime(name: str) -> RuntimeEntry:
    """Return the runtime of a name.

    Raises:
        InvalidRequestError: there is none.
    """
    for entry in RUNTIMES:
        if entry.id == name:
            return entry
    allowed = ", ".join(entry.id for entry in RUNTIMES)
    raise InvalidRequestError(what="runtime", got=name, allowed=allowed)
