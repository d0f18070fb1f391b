"""The programs to choose from: what each is, how it is installed, how it is started and reached.

Sources: ggml-org/llama.cpp docs/install.md and the list of builds of a release; ollama.com
(install.sh, install.ps1); LM Studio's developer documents (install.sh, install.ps1, `lms`);
janhq/jan README; vLLM's documents, Installation (GPU), and AMD's on its image under WSL;
ml-explore/mlx-lm README. Ports and prefixes: each one's documents. Checked 2026-11-25.
"""

from __future__ import annotations

from whatfits.sizing.named_tuples import NamedTuple
from whatfits.sizing.typed import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing import Final

__all__ = ["PROGRAMS", "OsName", "Program", "find_program"]

OsName = Literal["linux", "macos", "windows"]
_RELEASES: Final = "https://github.com/ggml-org/llama.cpp/releases"
_LM_STUDIO: Final = "the app from https://lmstudio.ai, or without a window:"
_ROCM_IMAGE: Final = "the ROCm image that https://docs.vllm.ai recommends"
_CONDA: Final = "conda install -c conda-forge llama-cpp"


class Program(NamedTuple):
    """A runtime, an app, or both in one download.

    Attributes:
        id: as runtimes are named everywhere here.
        label: for people.
        layer: `runtime` does the work, `app` has a window to chat in, `both` bundles the two.
        summary: what it is, in one sentence.
        engine: what does the work in it.
        window: where one chats with it.
        install: (operating system, one line to type or to read) pairs.
        start: what to type to serve a model; MODEL stands for it.
        port: where it then listens.
        builds: (operating system, kind of device, line) where that kind needs another build.
        needs_key: whether its server refuses whoever has no key.
    """

    id: str
    label: str
    layer: Literal["runtime", "app", "both"]
    summary: str
    engine: str
    window: str
    install: tuple[tuple[OsName, str], ...]
    start: tuple[str, ...]
    port: int
    builds: tuple[tuple[OsName, str, str], ...] = ()
    needs_key: bool = False

    @property
    def base_url(self) -> str:
        """What an OpenAI-compatible client is pointed at once the server runs."""
        return f"http://127.0.0.1:{self.port}/v1"

    def install_line(self, os: OsName, device_kind: str) -> str | None:
        """Return the line for a system and its accelerator; None where it does not run."""
        for system, kind, line in self.builds:
            if (system, kind) == (os, device_kind):
                return line
        return dict(self.install).get(os)


PROGRAMS: Final = (
    Program(
        "llama.cpp",
        "llama.cpp",
        "runtime",
        "The engine itself: every setting, every kind of device, GGUF files.",
        "itself",
        "llama-server has a page of its own, at the address it listens on",
        (
            ("linux", "brew install llama.cpp"),
            ("macos", "brew install llama.cpp"),
            ("windows", "winget install llama.cpp"),
        ),
        ("llama-server -m MODEL.gguf",),
        8080,
        (
            ("linux", "cuda", f"{_CONDA}  # has CUDA builds"),
            ("windows", "cuda", f"{_CONDA}  # has CUDA builds; so has {_RELEASES}"),
            ("linux", "rocm", f"the Vulkan or ROCm build from {_RELEASES}"),
            ("windows", "rocm", f"the Vulkan or HIP build from {_RELEASES}"),
            ("linux", "vulkan", f"the Vulkan build from {_RELEASES}"),
            ("windows", "vulkan", f"the Vulkan build from {_RELEASES}"),
            ("linux", "sycl", f"the Vulkan or SYCL build from {_RELEASES}"),
            ("windows", "sycl", f"the Vulkan or SYCL build from {_RELEASES}"),
        ),
    ),
    Program(
        "ollama",
        "Ollama",
        "both",
        "One command loads a model and answers; it starts llama.cpp with settings of its own.",
        "llama.cpp, in the download; on Apple silicon MLX for models in its form",
        "its app on macOS and Windows, the terminal elsewhere",
        (
            ("linux", "curl -fsSL https://ollama.com/install.sh | sh"),
            ("macos", "curl -fsSL https://ollama.com/install.sh | sh"),
            ("windows", "irm https://ollama.com/install.ps1 | iex"),
        ),
        ("ollama run MODEL",),
        11434,
    ),
    Program(
        "lm-studio",
        "LM Studio",
        "both",
        "An app with a model browser and a chat window in one download.",
        "llama.cpp, and on Apple silicon MLX, in the download",
        "its own window",
        (
            ("linux", f"{_LM_STUDIO} curl -fsSL https://lmstudio.ai/install.sh | bash"),
            ("macos", f"{_LM_STUDIO} curl -fsSL https://lmstudio.ai/install.sh | bash"),
            ("windows", f"{_LM_STUDIO} irm https://lmstudio.ai/install.ps1 | iex"),
        ),
        ("lms get MODEL", "lms load MODEL", "lms server start"),
        1234,
    ),
    Program(
        "jan",
        "Jan",
        "both",
        "An open-source app with a model browser and a chat window in one download.",
        "llama.cpp, in the download",
        "its own window",
        (
            ("linux", "the .deb or the AppImage from https://jan.ai, or Jan from Flathub"),
            ("macos", "jan.dmg from https://jan.ai"),
            ("windows", "jan.exe from https://jan.ai"),
        ),
        ("start the local API server in Jan's settings",),
        1337,
        needs_key=True,
    ),
    Program(
        "vllm",
        "vLLM",
        "runtime",
        "A server for many users at once: their requests share one paged cache.",
        "itself",
        "none: any OpenAI-compatible client, Jan among them",
        (
            ("linux", "uv pip install vllm --torch-backend=auto"),
            ("windows", "inside WSL: uv pip install vllm --torch-backend=auto"),
        ),
        ("vllm serve MODEL",),
        8000,
        (
            ("linux", "rocm", _ROCM_IMAGE),
            ("windows", "rocm", f"inside WSL, with AMD's settings for it: {_ROCM_IMAGE}"),
        ),
    ),
    Program(
        "mlx",
        "MLX (mlx-lm)",
        "runtime",
        "Apple's own engine: models in MLX form, straight out of unified memory.",
        "itself",
        "none: any OpenAI-compatible client, Jan among them",
        (("macos", "pip install mlx-lm"),),
        ("mlx_lm.server --model MODEL",),
        8080,
    ),
)


def find_program(program_id: str) -> Program:
    """Return the program of an id.

    Raises:
        KeyError: there is none.
    """
    for program in PROGRAMS:
        if program.id == program_id:
            return program
    raise KeyError(program_id)
