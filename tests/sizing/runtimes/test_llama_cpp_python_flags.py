"""The command line of llama-cpp-python's server, as its settings read it."""

from __future__ import annotations

import pytest

from whatfits.sizing.runtimes.llama_cpp_python_flags import (
    is_llama_cpp_python,
    read_python_flags,
)

START = ("python3", "-m", "llama_cpp.server", "--model", "/m/x.gguf")


def test_what_is_left_out_is_the_servers_own_default() -> None:
    flags = read_python_flags(START)
    assert flags.model_file == "/m/x.gguf"
    workload, request = flags.workload, flags.request
    assert (workload.context_tokens, workload.batch, workload.micro_batch) == (2048, 512, 512)
    assert (workload.parallel, workload.flash_attention) == (1, "off")
    assert (request.gpu_layers, request.kv_offload, request.mmap) == (0, True, True)
    assert flags.left_out == ()


def test_what_is_given_counts() -> None:
    flags = read_python_flags(
        (*START, "--n_ctx=256", "--n_gpu_layers", "-1", "--flash_attn", "True", "--use_mmap", "no")
    )
    # the batch is no longer than the context: llama.py
    assert (flags.workload.context_tokens, flags.workload.batch) == (256, 256)
    assert flags.workload.flash_attention == "on"
    assert (flags.request.gpu_layers, flags.request.mmap) == (9999, False)


def test_a_context_of_nought_is_that_of_the_training() -> None:
    assert read_python_flags((*START, "--n_ctx", "0")).workload.context_tokens is None


@pytest.mark.parametrize(
    ("more", "left_out"),
    [
        (("--type_k", "8"), ("--type_k",)),
        (("--n_ctx", "many"), ("--n_ctx",)),
        (("--config_file", "settings.json"), ("--config_file",)),
        (("--port", "8000"), ()),
    ],
)
def test_what_changes_memory_and_is_not_understood_is_named(
    more: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    assert read_python_flags((*START, *more)).left_out == left_out


@pytest.mark.parametrize(
    ("command", "is_one"),
    [
        (START, True),
        (("python", "/lib/llama_cpp/server/__main__.py"), True),
        (("python", "-m", "mlx_lm.server"), False),
        ((), False),
    ],
)
def test_it_is_known_by_its_module(command: tuple[str, ...], is_one: bool) -> None:
    assert is_llama_cpp_python(command) == is_one
