"""What llama.cpp's back ends change in a graph, cut out of its sources and compiled without a GPU.

`graph_optimize` of CUDA, Metal and Vulkan looks at a graph alone, no device; so that it runs
anywhere. Nothing of the sources is kept here: `compiled` reads them from an unpacked llama.cpp.
One line is changed: Metal tells tensors apart by where they lie, which a dry run has not decided;
here each has a place of its own, as in a real load.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["KINDS", "changes_of", "compiled"]

KINDS: Final = ("cuda", "metal", "vulkan")
_BACKEND: Final = re.compile(r"ggml_backend_(cuda|vk)_context \* \w+ = .*?;")
_HEADERS: Final = (
    *("<algorithm>", "<array>", "<cstdlib>", "<cstring>", "<set>", "<unordered_map>", "<vector>"),
    *('"ggml-impl.h"', '"ggml-backend-impl.h"'),
)
_ENTRY: Final = """
extern "C" void change_{kind}(
        ggml_backend_t backend, ggml_cgraph * graph, ggml_backend_graph_optimize_params * params) {{
    {body}
}}
"""
_METAL: Final = """
#include "ggml-metal/ggml-metal-common.h"
#include "ggml-metal/ggml-metal-device.h"
#include "ggml-metal/ggml-metal-fusion.h"
extern "C" ggml_metal_buffer_id ggml_metal_buffer_get_id(ggml_metal_buffer_t, const ggml_tensor *) {
    abort();
}
"""


def changes_of(library: Path, kind: str) -> str:
    """Return how a pretend GPU is told to change graphs as a kind of back end does."""
    return f"{library}:change_{kind}"


def compiled(llama_cpp: Path, folder: Path) -> Path:
    """Return a library with a function a kind, made from llama.cpp's sources in a folder."""
    ggml = llama_cpp / "ggml"
    common = (ggml / "src/ggml-metal/ggml-metal-common.cpp").read_text()
    assert "if (tensor->buffer)" in common
    texts = {
        "cuda": _cuda(ggml / "src/ggml-cuda"),
        "vulkan": _vulkan(ggml / "src/ggml-vulkan"),
        "metal": _head()
        + _METAL
        + _entry(
            "metal",
            "ggml_metal_fusion_add_alloc_deps(params->user_data, params->add_alloc_dep, graph);"
            " ggml_graph_optimize(graph);",
        ),
        "common": common.replace("if (tensor->buffer)", "if (false)"),
        "fusion": (ggml / "src/ggml-metal/ggml-metal-fusion.cpp").read_text(),
    }
    for name, text in texts.items():
        (folder / f"{name}.cpp").write_text(text)
    target = folder / "changes.so"
    command = ["c++", "-std=c++17", "-O1", "-fPIC", "-shared", "-w", "-o", str(target)]
    for include in ("include", "src", "src/ggml-metal"):
        command += ["-I", str(ggml / include)]
    subprocess.run([*command, *(str(folder / f"{name}.cpp") for name in texts)], check=True)
    return target


def _head() -> str:
    return "".join(f"#include {name}\n" for name in _HEADERS)


def _entry(kind: str, body: str) -> str:
    return _ENTRY.format(kind=kind, body=body)


def _cuda(sources: Path) -> str:
    main, choice = (sources / name for name in ("ggml-cuda.cu", "topk-moe.cu"))
    text, chosen = main.read_text(), choice.read_text()
    optimise = _definition(text, "static void ggml_backend_cuda_graph_optimize(")
    # what follows is off unless an environment variable asks for it
    optimise = _BACKEND.sub("", optimise[: optimise.index("#ifdef USE_CUDA_GRAPH")]) + "}\n"
    limit = re.search(
        r"^static constexpr int MOE_WEIGHTED_REDUCTION_MAX_EXPERTS = .*;$", text, re.MULTILINE
    )
    assert limit is not None
    parts = (
        _definition((sources / "topk-moe.cuh").read_text(), "struct ggml_cuda_topk_moe_args {"),
        _definition(chosen, "bool ggml_cuda_should_use_topk_moe("),
        _definition(text, "static bool ggml_cuda_topk_moe_fusion("),
        limit[0] + "\n",
        _definition(text, "struct ggml_cuda_moe_weighted_reduction_match {"),
        _definition(text, "static bool ggml_cuda_match_moe_weighted_reduction("),
        optimise,
    )
    call = "ggml_backend_cuda_graph_optimize(backend, graph, params);"
    return _head() + "".join(parts) + _entry("cuda", call)


def _vulkan(sources: Path) -> str:
    text = (sources / "ggml-vulkan.cpp").read_text()
    headers = "".join(
        (sources / f"ggml-vulkan-{name}.h").read_text() for name in ("common", "types")
    )
    tables = re.findall(
        r"^static [^\n]*std::initializer_list<ggml_op> \w+\s*(?:=\s*)?\{.*?\};",
        text + headers,
        re.DOTALL | re.MULTILINE,
    )
    optimise = _BACKEND.sub("", _definition(text, "void ggml_vk_graph_optimize("))
    optimise = re.sub(r"VK_LOG_DEBUG\(.*?\);\n", "", optimise, count=1)
    optimise = re.sub(r"if \(ctx->device->disable_graph_optimize\) \{\s*return;\s*\}", "", optimise)
    parts = (
        "\n".join(tables) + "\n",
        _definition(text, "int ggml_vk_unary_mul_op_index("),
        _definition(text, "static bool ggml_vk_can_fuse_unary_mul(const"),
        optimise,
    )
    return (
        _head()
        + "".join(parts)
        + _entry("vulkan", "ggml_vk_graph_optimize(backend, graph, params);")
    )


def _definition(text: str, start: str) -> str:
    """Return a function or structure of C++ from its first words to its closing brace."""
    begin = text.index(start)
    depth = 0
    for at in range(text.index("{", begin), len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            end = at + 1 + (text[at + 1] == ";")
            return text[begin:end] + "\n"
    raise ValueError(f"no end of {start}")
