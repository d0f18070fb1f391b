"""llama.cpp as the reference: exact buffers of a dry run or a load."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from whatfits.bench.llama_library import Registered, backend, breakdown, captured_log, last_error
from whatfits.bench.reservation import Reservation
from whatfits.bench.run_settings import RunSettings, context_params, model_params
from whatfits.sizing.errors import ProbeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Run", "dry_run", "reserve", "running"]


def dry_run(path: Path, **wanted: Any) -> Reservation:  # noqa: ANN401 - fields of RunSettings
    """Return what llama.cpp would reserve for a model under `RunSettings(**wanted)`.

    Nothing is allocated and no weights are read.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        ProbeError: llama.cpp refuses the model or the settings; the message holds its reason.
    """
    return reserve(path, RunSettings(**wanted))


def reserve(path: Path, settings: RunSettings) -> Reservation:
    """Return what llama.cpp would reserve for a model.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        ProbeError: llama.cpp refuses the model or the settings; the message holds its reason.
    """
    with running(path, settings, real=False) as run:
        return run.reservation()


class Run:
    """A model that llama.cpp has loaded, or has planned to load."""

    def __init__(self, binding: Any, model: Any, context: Any, log: list[str]) -> None:  # noqa: ANN401
        """Hold llama.cpp's own objects; `running` makes and frees them."""
        self._binding = binding
        self._model = model
        self._context = context
        self._log = log

    def reservation(self) -> Reservation:
        """Return the bytes of every buffer."""
        return Reservation(
            buffers=breakdown(self._context),
            n_ctx=self._binding.llama_n_ctx(self._context),
            n_parameters=self._binding.llama_model_n_params(self._model),
            model_bytes=self._binding.llama_model_size(self._model),
            log="".join(self._log),
        )

    def decode(self, n_tokens: int) -> None:
        """Put tokens through a model that is really loaded.

        Raises:
            ProbeError: llama.cpp could not.
        """
        binding = self._binding
        n_vocab = binding.llama_vocab_n_tokens(binding.llama_model_get_vocab(self._model))
        tokens = (binding.llama_token * n_tokens)(*(i % n_vocab for i in range(n_tokens)))
        batch = binding.llama_batch_get_one(tokens, n_tokens)
        step = binding.llama_decode
        if not binding.llama_get_memory(self._context):
            step = binding.llama_encode  # without a cache there is nothing to decode into
        status = step(self._context, batch)
        if status != 0:
            raise ProbeError(f"llama.cpp could not decode (status {status})")

    @property
    def context_tokens(self) -> int:
        """Context after padding."""
        size: int = self._binding.llama_n_ctx(self._context)
        return size

    def use_threads(self, threads: int) -> None:
        """Compute with so many threads from now on."""
        self._binding.llama_set_n_threads(self._context, threads, threads)

    def wait(self) -> None:
        """Wait until what was asked for is computed: an accelerator goes on by itself."""
        self._binding.llama_synchronize(self._context)

    def forget_from(self, position: int) -> None:
        """Take the tokens from a position on out of the cache.

        Raises:
            ProbeError: a cache of states cannot forget a part of them.
        """
        memory = self._binding.llama_get_memory(self._context)
        if position == 0:
            self._binding.llama_memory_clear(memory, False)
        elif not self._binding.llama_memory_seq_rm(memory, 0, position, -1):
            raise ProbeError("this model's cache cannot forget a part of its tokens")


@contextmanager
def running(path: Path, settings: RunSettings, *, real: bool) -> Iterator[Run]:
    """Load a model (plan it, unless `real`) for as long as the block lasts.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        ProbeError: llama.cpp refuses the model or the settings; the message holds its reason.
    """
    binding = backend()
    with captured_log(binding) as log:
        params, alive = model_params(binding, settings, real=real, backends=Registered())
        model = binding.llama_model_load_from_file(os.fsencode(path), params)
        if not model:
            raise ProbeError(f"llama.cpp refused the model: {last_error(log)}")
        try:
            context = binding.llama_init_from_model(model, context_params(binding, settings))
            if not context:
                raise ProbeError(f"llama.cpp refused the settings: {last_error(log)}")
            try:
                yield Run(binding, model, context, log)
            finally:
                binding.llama_free(context)
        finally:
            binding.llama_model_free(model)
            del alive
