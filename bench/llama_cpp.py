"""llama.cpp as the reference: exact buffers of a dry run or a real load, and of `llama-quantize`.

`llama_get_memory_breakdown` is exported from libllama under its C++ name and returns a `std::map`
through a hidden pointer; on Linux with libstdc++ its tree can be walked through ctypes. Everything
else goes through llama-cpp-python's own binding.
"""

from __future__ import annotations

import ctypes
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whatfits.bench.run_settings import RunSettings, context_params, model_params
from whatfits.sizing.errors import MissingExtraError, ProbeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Buffers",
    "Registered",
    "Reservation",
    "Run",
    "dry_run",
    "library",
    "quantized_types",
    "reserve",
    "running",
]

_BREAKDOWN_SYMBOL: Final = "_Z26llama_get_memory_breakdownPK13llama_context"


@dataclass(frozen=True, slots=True)
class Buffers:
    """Bytes of one buffer type, in llama.cpp's three columns."""

    model: int
    context: int
    compute: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What llama.cpp reserves for a model and settings.

    Attributes:
        buffers: buffer type name → its three columns.
        n_ctx: context after padding.
        n_parameters: elements of all weights, as llama.cpp counts them.
        model_bytes: sum of tensor bytes in the file.
        log: everything it said.
    """

    buffers: Mapping[str, Buffers]
    n_ctx: int
    n_parameters: int
    model_bytes: int
    log: str = field(repr=False)

    @property
    def model(self) -> int:
        """Weights over all buffers."""
        return sum(row.model for row in self.buffers.values())

    @property
    def context(self) -> int:
        """Cache and recurrent state over all buffers."""
        return sum(row.context for row in self.buffers.values())

    @property
    def compute(self) -> int:
        """Scheduler buffers over all buffers."""
        return sum(row.compute for row in self.buffers.values())


def _binding() -> Any:  # noqa: ANN401 - an untyped C binding
    try:
        from llama_cpp import llama_cpp  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError(extra="bench", purpose="asking llama.cpp itself") from error
    return llama_cpp


@cache
def _backend() -> Any:  # noqa: ANN401 - an untyped C binding
    """Return the binding with its back end started, once per process."""
    binding = _binding()
    binding.llama_backend_init()
    return binding


@contextmanager
def _captured_log(binding: Any) -> Iterator[list[str]]:  # noqa: ANN401 - an untyped C binding
    """Collect what llama.cpp logs instead of printing it."""
    lines: list[str] = []

    @binding.llama_log_callback  # type: ignore[untyped-decorator]
    def collect(_level: int, text: bytes, _user_data: object) -> None:
        lines.append(text.decode(errors="replace"))

    binding.llama_log_set(collect, None)
    try:
        yield lines
    finally:
        silent = binding.llama_log_callback(lambda _level, _text, _user_data: None)
        _keep_alive.append(silent)
        binding.llama_log_set(silent, None)


_keep_alive: list[object] = []


@cache
def _breakdown_functions() -> tuple[Any, Any]:
    if not sys.platform.startswith("linux"):
        raise ProbeError("the exact breakdown can only be read on Linux")
    binding = _backend()
    breakdown = getattr(binding._lib, _BREAKDOWN_SYMBOL)  # noqa: SLF001 - not bound otherwise
    breakdown.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    breakdown.restype = ctypes.c_void_p
    buffer_name = library("ggml-base").ggml_backend_buft_name
    buffer_name.argtypes = [ctypes.c_void_p]
    buffer_name.restype = ctypes.c_char_p
    return breakdown, buffer_name


@cache
def library(name: str) -> ctypes.CDLL:
    """Return the library `lib<name>` that llama.cpp itself has loaded, its symbols made global.

    A wheel holds each library under several names that are files of their own: only the name
    llama.cpp was linked with gives the copy that it uses.
    """
    import llama_cpp  # noqa: PLC0415 - an extra

    _backend()
    path = Path(llama_cpp.__file__).parent / "lib" / f"lib{name}.so.0"
    return ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


class Registered:
    """The devices that llama.cpp has registered, by its own names; `CPU` is the host."""

    def device(self, name: str) -> int:
        """Return the address of a device.

        Raises:
            ProbeError: llama.cpp has none of that name.
        """
        function = library("ggml").ggml_backend_dev_by_name
        function.argtypes = [ctypes.c_char_p]
        function.restype = ctypes.c_void_p
        address: int | None = function(name.encode())
        if address is None:
            raise ProbeError(f"llama.cpp has no device {name!r} here")
        return address

    def buffer_type(self, name: str) -> int:
        """Return the address of a device's plain buffer type.

        Raises:
            ProbeError: llama.cpp has no device of that name.
        """
        function = library("ggml-base").ggml_backend_dev_buffer_type
        function.argtypes = [ctypes.c_void_p]
        function.restype = ctypes.c_void_p
        address: int = function(self.device(name))
        return address


def _breakdown(context: Any) -> dict[str, Buffers]:  # noqa: ANN401 - a C pointer
    """Walk the red-black tree of the returned map (libstdc++ layout)."""
    breakdown, buffer_name = _breakdown_functions()
    header = (ctypes.c_uint64 * 6)()  # compare and colour, parent, left, right, count
    breakdown(ctypes.addressof(header), context)
    rows: dict[str, Buffers] = {}

    def walk(address: int) -> None:
        if not address:
            return
        # colour, parent, left, right, key, model, context, compute
        node = (ctypes.c_uint64 * 8).from_address(address)
        walk(node[2])
        name = buffer_name(node[4]).decode()
        rows[name] = Buffers(model=node[5], context=node[6], compute=node[7])
        walk(node[3])

    walk(header[2])
    return rows


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
            buffers=_breakdown(self._context),
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
    binding = _backend()
    with _captured_log(binding) as log:
        params, alive = model_params(binding, settings, real=real, backends=Registered())
        model = binding.llama_model_load_from_file(str(path).encode(), params)
        if not model:
            raise ProbeError(f"llama.cpp refused the model: {_last_error(log)}")
        try:
            context = binding.llama_init_from_model(model, context_params(binding, settings))
            if not context:
                raise ProbeError(f"llama.cpp refused the settings: {_last_error(log)}")
            try:
                yield Run(binding, model, context, log)
            finally:
                binding.llama_free(context)
        finally:
            binding.llama_model_free(model)
            del alive


def _last_error(log: list[str]) -> str:
    lines = [line for line in "".join(log).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "fail" in line.lower()]
    return (errors or lines or ["no reason given"])[0].strip()


_QUANT_LINE: Final = re.compile(
    r"^\[\s*\d+/\s*\d+\] (?P<name>\S+)\s+- \[.*?\], type =\s*(?P<source>\S+),"
    r" size =.*?(?:\((?P<target>\S+)\))?$"
)


def quantized_types(path: Path, ftype_id: int) -> dict[str, str]:
    """Return tensor name → storage type that `llama-quantize` would write for a file type.

    A dry run of `llama_model_quantize`: nothing is read but the header, nothing written.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        ProbeError: llama.cpp refuses the model.
    """
    binding = _backend()
    params = binding.llama_model_quantize_default_params()
    params.ftype = ftype_id
    params.dry_run = True
    params.allow_requantize = True
    with _captured_log(binding) as log:
        status = binding.llama_model_quantize(
            str(path).encode(), b"unused.gguf", ctypes.byref(params)
        )
    if status != 0:
        raise ProbeError(f"llama.cpp refused to quantise: {_last_error(log)}")
    types: dict[str, str] = {}
    for line in "".join(log).splitlines():
        match = _QUANT_LINE.match(line)
        if match:
            types[match["name"]] = (match["target"] or match["source"]).upper()
    return types
