"""`whatfits bench MODEL.gguf`: a file's speed on this machine, beside the prediction."""

from __future__ import annotations

import time
from pathlib import Path

from whatfits.sizing.api import answer, load_machine, load_model
from whatfits.sizing.cli.bench_answer import FileBenchAnswer, FileTiming
from whatfits.sizing.cli.load_here import gguf_of, load_limits, request_here
from whatfits.sizing.errors import InvalidRequestError, ProbeError, UnreadableFileError
from whatfits.sizing.estimate import ModelSummary
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import replace
from whatfits.sizing.version import SCHEMA_VERSION
from whatfits.sizing.workload import Workload

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

    from whatfits.bench.prepared import Prepared
    from whatfits.bench.speed_process import LoadedModel, Step
    from whatfits.bench.timing import Timing
    from whatfits.sizing.estimate import Speed
    from whatfits.sizing.machine import Machine
    from whatfits.sizing.model import ModelSpec
    from whatfits.sizing.workload import PlacementRequest

__all__ = ["file_timing", "measured_file"]

_DEPTHS: Final = (0, 2048)
_PROMPT_TOKENS: Final = 512
_DECODED_TOKENS: Final = 16
_ROOM_TOKENS: Final = _DEPTHS[-1] + _PROMPT_TOKENS
_LEAST_S: Final = 60.0  # for the load and the first step, whatever the budget
_FIRST_DEPTH: Final = 24  # the middle of the first tokens that are decoded


def measured_file(
    options: argparse.Namespace, progress: Callable[[str], None] | None
) -> FileBenchAnswer:
    """Return the file's speed.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        BadInputError: the file cannot be read, or may not fit.
    """
    from whatfits.bench.devices import named_accelerators
    from whatfits.bench.loads import require_llama_cpp
    from whatfits.bench.prepared import prepare
    from whatfits.bench.session import host_threads
    from whatfits.probes import detect

    require_llama_cpp()
    if not Path(options.model).exists():
        raise UnreadableFileError(
            what="file", got=options.model, allowed="a .gguf file on this machine"
        )
    spec, machine = load_model(options.model), load_machine(None)
    accelerators = named_accelerators(machine)
    request = request_here(options, accelerators)
    workload = Workload(context_tokens=_context_tokens(spec), program="api")
    prepared = prepare(spec, machine, workload, request)
    threads = host_threads(detect())
    file = _File(options, spec, machine, request, progress)
    loaded = file.opened(workload, prepared, with_drivers=bool(accelerators))
    file.time(loaded, _steps(spec, threads))
    return FileBenchAnswer(
        schema_version=SCHEMA_VERSION,
        model=ModelSummary.of(spec),
        provenance=file.provenance,
        gpu_layers=sum(index is not None for index in prepared.placement.layer_device),
        threads=threads,
        load_seconds=loaded.load_seconds,
        timings=tuple(file.timings),
        warnings=(*file.warnings, *_disturbed(file.timings)),
    )


class _File:
    """A file that is being timed: what was asked, and what is known so far."""

    def __init__(
        self,
        options: argparse.Namespace,
        spec: ModelSpec,
        machine: Machine,
        request: PlacementRequest,
        progress: Callable[[str], None] | None,
    ) -> None:
        self._options = options
        self._spec = spec
        self._machine = machine
        self._request = request
        self._progress = progress
        self.timings: list[FileTiming] = []
        self.warnings: list[str] = []
        self.provenance = "unknown"

    def opened(self, workload: Workload, prepared: Prepared, *, with_drivers: bool) -> LoadedModel:
        """Return the child process that is going to hold it, within limits.

        Raises:
            InvalidRequestError: it may not fit.
        """
        from whatfits.bench.requests import run_settings
        from whatfits.bench.speed_process import LoadedModel

        options = self._options
        limits = load_limits(
            prepared,
            self._machine,
            model=options.model,
            seconds=options.budget,
            force=options.force,
            drivers=with_drivers,
            instead="close something, or --force",
        )
        settings = run_settings(workload, prepared.settings, prepared.placement, mmap=False)
        return LoadedModel(
            gguf_of(self._spec, options.model),
            replace(settings, outputs_max=1),
            on_cpu=not any(index is not None for index in prepared.placement.layer_device),
            memory_bytes=limits.memory_bytes,
            longest_s=max(_LEAST_S, options.budget),
        )

    def time(self, loaded: LoadedModel, steps: Sequence[Step]) -> None:
        """Time one step after the other until the budget is spent.

        Raises:
            InvalidRequestError: llama.cpp cannot time it at all.
        """
        from whatfits.bench.micro import settled

        ends_s = time.monotonic() + self._options.budget
        try:
            with loaded as model:
                for step in steps:
                    if time.monotonic() >= ends_s:
                        late = f"{step.kind} at {step.depth:,}: not measured for want of time"
                        self.warnings.append(late)
                        continue
                    if self._progress is not None:
                        self._progress(f"{step.kind} at {step.depth:,} tokens")
                    speed = _predicted(self._spec, self._machine, step, self._request)
                    self.provenance = self.provenance if speed is None else speed.provenance
                    timing = settled(model, step, ends_s=ends_s)
                    self.timings.append(file_timing(step, timing, speed))
        except ProbeError as error:
            if not self.timings:
                raise InvalidRequestError(
                    what="model that llama.cpp cannot time here:",
                    got=self._options.model,
                    allowed=str(error),
                ) from None
            self.warnings.append(str(error))


def _disturbed(timings: Sequence[FileTiming]) -> Iterator[str]:
    """Yield what is to be said where other programs were running."""
    if any(2 * timing.clean_repeats < timing.repeats for timing in timings):
        yield "other programs were running: repeats they disturbed were left out"
    if any(not timing.clean_repeats for timing in timings):
        yield "where no repeat was undisturbed, the figure is a floor and not compared"


def _context_tokens(spec: ModelSpec) -> int:
    trained = spec.hparams.context_train_tokens
    return _ROOM_TOKENS if trained is None else min(_ROOM_TOKENS, trained)


def _steps(spec: ModelSpec, threads: int) -> list[Step]:
    """Return what is timed, the cheapest first; depths that were never trained are left out."""
    from whatfits.bench.speed_process import Step

    room = _context_tokens(spec)
    prompt = min(_PROMPT_TOKENS, room // 2)
    depths = [depth for depth in _DEPTHS if depth + _PROMPT_TOKENS <= room] or [0]
    decodes = [Step("decode", _DECODED_TOKENS, depth, threads, 3) for depth in depths]
    prefills = [Step("prefill", prompt, 0, threads, 2)]
    if spec.embeds:
        return prefills
    return [decodes[0], *prefills, *decodes[1:]]


def _predicted(
    spec: ModelSpec, machine: Machine, step: Step, request: PlacementRequest
) -> Speed | None:
    tokens = step.tokens if step.kind == "prefill" else max(step.depth, _FIRST_DEPTH)
    workload = Workload(context_tokens=_context_tokens(spec), program="api", prompt_tokens=tokens)
    return answer(spec, machine=machine, workload=workload, request=request, force=True).speed


def file_timing(step: Step, timing: Timing, speed: Speed | None) -> FileTiming:
    """Return a timing beside what was predicted for it."""
    measured = step.tokens / timing.median_seconds
    predicted = None
    if speed is not None:
        is_prompt = step.kind == "prefill"
        predicted = speed.prefill_tokens_per_s if is_prompt else speed.decode_tokens_per_s
    compared = predicted if timing.clean else None
    return FileTiming(
        kind=step.kind,
        tokens=step.tokens,
        depth_tokens=step.depth,
        tokens_per_s=measured,
        spread=timing.spread,
        cpu_share=timing.cpu_share,
        predicted_tokens_per_s=predicted,
        ratio=None if compared is None else compared.mid / measured,
        is_inside=None if compared is None else compared.low <= measured <= compared.high,
        repeats=len(timing.repeats),
        clean_repeats=len(timing.clean),
    )
