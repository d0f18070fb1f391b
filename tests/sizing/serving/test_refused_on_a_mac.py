"""What a refusal names instead can do what was asked: MLX does not serve many users here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whatfits.sizing import check, load_machine, serve
from whatfits.sizing.errors import BadInputError
from whatfits.sizing.serving.deploying import SERVE_RUNTIMES

MAC = "m4-max-64gb"
MODEL = "llama-3.1-8b"


def test_serve_names_only_what_serves() -> None:
    with pytest.raises(BadInputError) as refused:
        serve(MODEL, runtime="vllm", machine=MAC, users=4)
    assert refused.value.next_step == "take --runtime llama.cpp on a Mac"
    assert "llama.cpp" in SERVE_RUNTIMES
    assert serve(MODEL, runtime="llama.cpp", machine=MAC, users=4).verdict == "fits"


def test_check_names_mlx_too_because_it_answers_there() -> None:
    with pytest.raises(BadInputError) as refused:
        check(MODEL, runtime="vllm", machine=MAC)
    assert refused.value.next_step == "take --runtime llama.cpp on a Mac, or mlx for one user"
    assert check(MODEL, runtime="mlx", machine=MAC).verdict == "fits"


def test_an_older_macos_that_mlx_refuses_is_sent_to_llama_cpp() -> None:
    older = replace(load_machine(MAC), os_version="13.6")
    with pytest.raises(BadInputError, match=r"macOS 13\.6"):
        check(MODEL, runtime="mlx", machine=older)
    with pytest.raises(BadInputError) as refused:
        check(MODEL, runtime="vllm", machine=older)
    assert refused.value.next_step == "take --runtime llama.cpp on a Mac"
    assert check(MODEL, runtime="llama.cpp", machine=older).verdict == "fits"
