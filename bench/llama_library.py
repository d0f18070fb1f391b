"""llama.cpp in this process: its back end, its log, its libraries and devices, its breakdown.

`llama_get_memory_breakdown` is exported from libllama under its C++ name and returns a `std::map`
through a hidden pointer; on Linux with libstdc++ its tree can be walked through ctypes. Everything
else goes through llama-cpp-python's own binding.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from whatfits.bench.reservation import Buffers
from whatfits.sizing.errors import MissingExtraError, ProbeError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Registered", "backend", "breakdown", "captured_log", "last_error", "library"]

# the name that others are linked with first; Source: llama.cpp CMakeLists.txt, SOVERSION 0
_ELF_NAMES: Final = ("lib{}.so.0", "lib{}.so")
_LIBRARY_NAMES: Final = {
    "darwin": ("lib{}.0.dylib", "lib{}.dylib"),
    "win32": ("{}.dll",),
}
_BREAKDOWN_SYMBOL: Final = "_Z26llama_get_memory_breakdownPK13llama_context"


def _binding() -> Any:  # noqa: ANN401 - an untyped C binding
    try:
        from llama_cpp import llama_cpp  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError(extra="bench", purpose="asking llama.cpp itself") from error
    except (OSError, RuntimeError) as error:  # its library, or one that it needs, cannot be loaded
        raise ProbeError(
            f"llama-cpp-python is installed, but cannot be loaded: {printable(str(error))}; "
            "install it anew"
        ) from error
    return llama_cpp


@cache
def backend() -> Any:  # noqa: ANN401 - an untyped C binding
    """Return the binding with its back end started, once per process."""
    binding = _binding()
    binding.llama_backend_init()
    return binding


@contextmanager
def captured_log(binding: Any) -> Iterator[list[str]]:  # noqa: ANN401 - an untyped C binding
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
    binding = backend()
    read = getattr(binding._lib, _BREAKDOWN_SYMBOL)  # noqa: SLF001 - not bound otherwise
    read.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    read.restype = ctypes.c_void_p
    buffer_name = library("ggml-base").ggml_backend_buft_name
    buffer_name.argtypes = [ctypes.c_void_p]
    buffer_name.restype = ctypes.c_char_p
    return read, buffer_name


@cache
def library(name: str) -> ctypes.CDLL:
    """Return the library `lib<name>` that llama.cpp itself has loaded, its symbols made global.

    A wheel holds each library under several names that are files of their own: only the name
    llama.cpp was linked with gives the copy that it uses.

    Raises:
        MissingExtraError: llama-cpp-python is not installed.
        ProbeError: it cannot be loaded, or lacks that library.
    """
    backend()
    import llama_cpp  # noqa: PLC0415 - an extra

    folder = Path(llama_cpp.__file__).parent / "lib"
    names = [pattern.format(name) for pattern in _LIBRARY_NAMES.get(sys.platform, _ELF_NAMES)]
    for file in names:
        if (folder / file).exists():
            return ctypes.CDLL(str(folder / file), mode=ctypes.RTLD_GLOBAL)
    raise ProbeError(f"the installed llama.cpp has no {names[0]} in {printable(str(folder))}")


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


def breakdown(context: Any) -> dict[str, Buffers]:  # noqa: ANN401 - a C pointer
    """Walk the red-black tree of the returned map (libstdc++ layout)."""
    read, buffer_name = _breakdown_functions()
    header = (ctypes.c_uint64 * 6)()  # compare and colour, parent, left, right, count
    read(ctypes.addressof(header), context)
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


def last_error(log: list[str]) -> str:
    """Return the reason that llama.cpp logged: the first line that calls itself one, or the last.

    What it says of settings that a model does not have is called neither an error nor a failure.
    """
    lines = [line for line in "".join(log).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "fail" in line.lower()]
    return (errors or lines[-1:] or ["no reason given"])[0].strip()
