"""A program that starts llama.cpp: what it asks for, what comes of changes, its commands."""

from __future__ import annotations

from functools import partial

from whatfits.sizing.graph.index import Replays
from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.runtimes import DEFAULT_RUNTIME, Run
from whatfits.sizing.search.trials import Trials
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.workload import PINS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from whatfits.sizing.extras import Extras
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.runtimes import Asked, RuntimeEntry
    from whatfits.sizing.search.trial import Trial
    from whatfits.sizing.workload import PlacementRequest, Workload

__all__ = ["Attempts", "Program", "model_file"]

_PLAIN: Final = str.maketrans("/:", "--")  # names of Ollama's have both, names of files neither


class Attempts(NamedTuple):
    """How a changed request is tried, by the program's own rules.

    Attributes:
        changed: returns what comes of another model, machine or workload.
        instead: returns what comes of another model, all else just as it was asked for.
        resplit: returns what comes of leaving the split over accelerators open; None where it is.
        on_cpu: returns what comes of the CPU alone, of memory that it shares; None where it is so.
        unpinned: returns what comes of leaving open which layers, experts and tensors lie where;
            None where that is open.
    """

    changed: Callable[[ModelSpec, Machine, Workload], Trial]
    instead: Callable[[ModelSpec], Trial]
    resplit: Callable[[], Trial | None]
    on_cpu: Callable[[], Trial | None]
    unpinned: Callable[[], Trial | None]


class Program(NamedTuple):
    """A program that starts llama.cpp, and what stays the same whatever is tried with it."""

    spec: ModelSpec
    entry: RuntimeEntry
    request: PlacementRequest
    extras: Extras
    replays: Replays

    def asks(self, model: ModelSpec, machine: Machine, workload: Workload) -> tuple[Asked, Trials]:
        """Return what the program asks llama.cpp for, and the trials of it."""
        asked = self.entry.adapter().asked(model, machine, workload, self.request)
        with_them, beside = self._with_companions(asked.workload)
        asked = asked._replace(workload=with_them)
        # another file type shares the layers, a smaller model does not
        replays = self.replays if model.layers is self.spec.layers else Replays()
        fitted = _fitted(model, machine, asked, replays)
        trials = Trials(
            model,
            machine,
            with_them,
            fitted,
            beside,
            replays=replays,
            experts_move=asked.experts_move,
            splits_move=asked.splits_move,
        )
        return asked, trials

    def attempts(self, machine: Machine, workload: Workload) -> Attempts:
        """Return how changes of a request for this model are tried."""
        return Attempts(
            self.attempt,
            partial(self.attempt, machine=machine, workload=workload),
            partial(self.resplit, self.spec, machine, workload),
            partial(self.on_cpu, self.spec, machine, workload),
            partial(self.unpinned, self.spec, machine, workload),
        )

    def attempt(self, model: ModelSpec, machine: Machine, workload: Workload) -> Trial:
        """Return the best trial of a changed request; any one where none can run."""
        trials = self.asks(model, machine, workload)[1]
        return trials.first() if trials.is_too_large() else trials.best()

    def resplit(self, model: ModelSpec, machine: Machine, workload: Workload) -> Trial | None:
        """Return the best trial of a request that leaves the split over its accelerators open.

        None where it does so already, or the program cannot be told of a split.
        """
        request = self.request
        freed = replace(request, tensor_split=None, split_mode=None, devices=None)
        if freed == request or request.devices == ():
            return None
        if request.devices is not None:
            machine = _with_accelerators(machine, request.devices)
        asked, trials = self._replace(request=freed).asks(model, machine, workload)
        return trials.best() if asked.splits_move else None

    def on_cpu(self, model: ModelSpec, machine: Machine, workload: Workload) -> Trial | None:
        """Return the trial of a request with no accelerator, where CPU and GPU share memory.

        What a limit keeps from the GPU is open to the CPU. None where memory is apart, which
        placements spill into by themselves, or where the program cannot be told.
        """
        shared = {pool.id for pool in machine.pools if pool.limit_scope == "accelerators"}
        on_gpu = {device.pool for device in machine.accelerators}
        told = self.entry.id == DEFAULT_RUNTIME and self.request.devices != ()
        if not told or not on_gpu or not on_gpu <= shared:
            return None
        request = replace(self.request, devices=(), tensor_split=None, split_mode=None)
        return self._replace(request=request).attempt(model, machine, workload)

    def unpinned(self, model: ModelSpec, machine: Machine, workload: Workload) -> Trial | None:
        """Return the best trial of a request that says nothing of what lies where.

        Which accelerators may be used, and how they share, stays as it was asked for.
        """
        open_again = {name: value for name, (_, value) in PINS.items()}
        request = replace(self.request, **open_again)
        if request == self.request:
            return None
        return self._replace(request=request).attempt(model, machine, workload)

    def commands(
        self, model: ModelSpec, machine: Machine, workload: Workload, trial: Trial
    ) -> tuple[str, ...]:
        """Return the commands that start a trial."""
        shown = workload
        if self.entry.id == DEFAULT_RUNTIME:  # others load companions by themselves
            shown, _ = self._with_companions(workload)
        run = Run(model, model_file(model), shown, self.request, trial, machine)
        return self.entry.adapter().commands(run)

    def _with_companions(self, workload: Workload) -> tuple[Workload, Extras]:
        if not self.spec.companions:
            return workload, self.extras
        from whatfits.sizing.companions import with_companions  # noqa: PLC0415 - few models

        return with_companions(workload, self.extras, self.spec.companions)


def _with_accelerators(machine: Machine, ids: Sequence[str]) -> Machine:
    """Return a machine with some of its accelerators alone, in another order."""
    by_id = {device.id.lower(): device for device in machine.accelerators}
    chosen = (by_id[name.lower()] for name in ids)
    others = (device for device in machine.devices if device.id.lower() not in by_id)
    return replace(machine, devices=(*chosen, *others))


def _fitted(spec: ModelSpec, machine: Machine, asked: Asked, replays: Replays) -> PlacementRequest:
    """Return where things go: as asked for, or as llama.cpp's own fitting step decides it."""
    if asked.fit_margin_bytes is None:
        return asked.request
    from whatfits.sizing.runtimes.llama_cpp_fit import fit_to_memory  # noqa: PLC0415 - few runtimes

    decided = fit_to_memory(
        spec,
        machine,
        asked.workload,
        asked.request,
        margin_bytes=asked.fit_margin_bytes,
        replays=replays,
    )
    if decided.request.gpu_layers is not None or asked.request.devices == ():
        return decided.request
    # nothing was to be moved: all of them stay, whatever our own search would say
    every = spec.n_layers + spec.hparams.n_layer_nextn + 1
    return replace(decided.request, gpu_layers=every)


def model_file(spec: ModelSpec) -> str:
    """Return the path to write into a command: the file itself, or its usual name."""
    if spec.source == "catalog" or spec.planned:
        return f"{spec.name}-{spec.file_type}.gguf".translate(_PLAIN)
    return spec.file or spec.source
